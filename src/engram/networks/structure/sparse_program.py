"""A chain of layers as the kernels run it: packed, measured, and planned for any number of inputs."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engram.networks.structure import sparse_packing as packing
from engram.networks.structure.sparse_choice import ROUNDS, WIDTHS, choose, digest, microseconds
from engram.networks.structure.sparse_layers import Chain, Floats, Shape
from engram.networks.structure.sparse_library import Library

KEPT = 4  # numbers of inputs for which a place to work in is kept
COPIED = 1 << 15  # bytes of input that are sooner copied than their address found
SHORT = 4  # calls with so many inputs or fewer keep Python's lock: taking it again would cost more
_costs: dict[bytes, list[float]] = {}  # microseconds of a network's tiles of each width


class Program:
    """A chain of layers, ready to run; `SparseNetwork` is its public face."""

    def __init__(self, chain: Chain, kernels: Library) -> None:
        self._kernels, self._entry, self._shape = kernels, chain.input_shape, chain.shapes[-1]
        steps, sizes = packing.maps(chain.maps, chain.input_shape) if chain.maps else ([], [])
        self._inputs, self._features = math.prod(chain.input_shape), chain.features
        self._outputs = math.prod(self._shape)
        widest = max([self._features, *(len(layer.weight) for layer in chain.linear)])
        floats = max([max(WIDTHS) * widest, *sizes]) + 128
        self._scratch_floats = 3 * floats + (max(WIDTHS) * self._features if chain.maps else 0)
        programs = [[choose(layer, width, kernels) for layer in chain.linear]
                    for width in (WIDTHS if chain.linear else (1,))]
        self.choices = [choice for layers in programs for _, choice in layers]
        self._maps = packing.together(packing.MapStruct, steps)
        self._programs = [packing.together(packing.LayerStruct, [form for form, _ in layers]) for layers in programs]
        self._table = (packing.ProgramStruct * len(programs))(
            *(packing.ProgramStruct(width, len(chain.linear), ctypes.addressof(program.struct))
              for width, program in zip(WIDTHS, self._programs, strict=False))
        )
        self._plan = np.zeros(max(WIDTHS) + 1, np.uint8)
        self._live = _live(chain)
        self._network = packing.NetworkStruct(
            len(steps), self._inputs, self._features, self._outputs, max(WIDTHS), floats,
            ctypes.addressof(self._maps.struct), ctypes.addressof(self._table), self._live.ctypes.data,
            self._plan.ctypes.data,
        )
        self._idle: dict[Shape, list[Workspace]] = {}
        if chain.linear:
            self._make_plan(b"".join(map(digest, chain.linear)) + repr(chain.shapes).encode())

    def again(self, x: Floats) -> Floats | None:
        """Inputs of a shape that was there before and left a place to work in; None for any other."""
        idle = self._idle.get(x.shape)
        if not idle:
            return None
        try:
            work = idle.pop()
        except IndexError:  # another thread has it
            return None
        if work.copies:
            work.input[...] = x
        else:
            x = np.ascontiguousarray(x)
            work.call.input = x.ctypes.data
        work.run(work.address)
        out = work.output.copy()
        idle.append(work)
        return out

    def run(self, rows: Floats) -> Floats:
        """(N, C) outputs of contiguous (N, ...) inputs that are known to fit. The place to work in is kept for the next
        such call.
        """
        if len(self._idle) >= KEPT:
            self._idle.clear()
        self._idle.setdefault(rows.shape, []).append(self._workspace(rows.shape))
        out = self.again(rows)
        return self.run(rows) if out is None else out

    def explain(self) -> str:
        """One line for each kind of layer and width, and in how many at once a number of inputs is taken."""
        widths = [WIDTHS[index] for index in self._plan[1:]]
        alone = next((count for count, width in enumerate(widths) if width > 1), len(widths))
        ending = f"up to {alone} inputs are taken one by one, many {widths[-1]} at once"
        return "\n".join([*self._steps(), *(str(choice) for choice in self.choices), ending])

    def _steps(self) -> list[str]:
        """One line for each step over maps."""
        x, y, lines = packing.example(self._scratch_floats // 3), packing.aligned(self._scratch_floats // 3), []
        for step in self._maps.struct if self._network.maps else ():
            place = ctypes.addressof(step), x.ctypes.data, y.ctypes.data
            spent = microseconds(functools.partial(self._kernels.repeat_map, *place))
            lines.append(f"{packing.STEPS[step.kind]} to {step.channels} maps, one input at a time: {spent:.2f} us")
        return lines

    def _workspace(self, shape: Shape) -> Workspace:
        copies = 4 * math.prod(shape) <= COPIED
        entry = packing.aligned(shape if copies else (0, *self._entry))
        out, scratch = packing.aligned((shape[0], *self._shape)), packing.aligned(self._scratch_floats)
        call = self._call(entry, out, scratch)
        call.count = shape[0]
        run = self._kernels.run_short if shape[0] <= SHORT else self._kernels.run
        return Workspace(entry, out, scratch, copies, call, ctypes.c_void_p(ctypes.addressof(call)), run)

    def _call(self, rows: Floats, out: Floats, scratch: Floats) -> packing.CallStruct:
        return packing.CallStruct(ctypes.addressof(self._network), rows.ctypes.data, out.ctypes.data,
                                  scratch.ctypes.data, len(rows))

    def _make_plan(self, key: bytes) -> None:
        """The cheapest way to make up any number of inputs from tiles, by their measured times."""
        if key not in _costs:
            rounds = [[self._cost(index) for index in range(len(WIDTHS))] for _ in range(ROUNDS)]
            _costs[key] = [min(times) for times in zip(*rounds, strict=True)]
        cost, least = _costs[key], [0.0]
        for left in range(1, len(self._plan)):
            ways = [spent + least[max(left - width, 0)] for width, spent in zip(WIDTHS, cost, strict=True)]
            least.append(min(ways))
            self._plan[left] = int(np.argmin(ways))
        self._plan[-1] = int(np.argmin([spent / width for width, spent in zip(WIDTHS, cost, strict=True)]))

    def _cost(self, index: int) -> float:
        """Microseconds that the whole chain takes for as many inputs as a tile holds."""
        width = WIDTHS[index]
        rows, out = packing.example(width * self._inputs).reshape(width, -1), packing.aligned((width, self._outputs))
        scratch = packing.aligned(self._scratch_floats)
        call = self._call(rows, out, scratch)
        place = ctypes.c_void_p(ctypes.addressof(call))
        self._plan[:] = index

        def run(times: int) -> None:
            for _ in range(times):
                self._kernels.run(place)

        return microseconds(run)


@dataclass(frozen=True, slots=True, eq=False)
class Workspace:
    """What a call needs for itself, ready to be called again with as many inputs."""

    input: Floats
    output: Floats
    scratch: Floats
    copies: bool  # what comes in, to where it can be read at once; a large input is read where it is
    call: packing.CallStruct
    address: ctypes.c_void_p
    run: Callable[[ctypes.c_void_p], None]


def _live(chain: Chain) -> npt.NDArray[np.uint8]:
    """Whether the first linear layer reads anything of each block of 16 features."""
    read = np.zeros(-(-chain.features // 16) * 16, np.uint8)
    if chain.linear:
        read[: chain.features] = chain.linear[0].weight.any(axis=0)
    blocks: npt.NDArray[np.uint8] = read.reshape(-1, 16).max(axis=1)
    return blocks
