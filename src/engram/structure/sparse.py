"""Sparse execution: a pruned network run so that it is faster, not only smaller."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from engram.learner import InputError
from engram.structure import sparse_packing as packing
from engram.structure.sparse_layers import Chain, Floats, Layer, Linear, Shape
from engram.structure.sparse_library import Library, library

if TYPE_CHECKING:
    import torch

WIDTHS = (1, 16, 32, 64)  # inputs that a kernel takes at once
FEW, KEPT = 64, 4  # calls with so many inputs or fewer keep a place to work in, of so many different numbers
SHORT = 4  # calls with so many inputs or fewer keep Python's lock: taking it again would cost more
CACHED_FLOATS = 1 << 14  # of a panel's activations
HARDLY_SPARSE, HARDLY_DENSE = 0.6, 0.1  # beyond these densities the other kernel is not tried
_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Choice:
    """What one layer got for inputs taken `width` at once.

    Attributes:
        layer: its number.
        width: inputs at once.
        kernel: the name of the fastest.
        microseconds: of every kernel that was tried.
    """

    layer: int
    width: int
    kernel: str
    microseconds: dict[str, float]

    def __str__(self) -> str:
        tried = ", ".join(f"{name} {us:.2f} us" for name, us in sorted(self.microseconds.items(), key=lambda t: t[1]))
        return f"layer {self.layer}, {self.width} at once: {self.kernel} ({tried})"


class SparseNetwork:
    """A chain of layers whose zero weights cost nothing: numbers in, numbers out, no PyTorch.

    Where there is a C compiler, the kernels are compiled once and kept in the cache, each layer gets the
    kernel that is measured to be fastest for its own weights (compressed rows, blockwise lookup, or dense), and
    one call runs the whole network on one thread. Without a compiler numpy does the same sums.
    Outputs agree with the masked network to 1e-5 of their size; which kernel is fastest may differ from run to
    run, and with it the last bits. Inputs are taken to be finite. Safe to call from several threads.

    Args:
        layers: convolutions and pools first, then linear layers.
        input_shape: of one input; needed where the first layer is not linear.
        compiled: False to use numpy in any case.

    Raises:
        InputError: layers that do not fit each other.

    >>> weight = np.zeros((2, 1000), np.float32)
    >>> weight[0, 3], weight[1, 7] = 2, -1
    >>> network = SparseNetwork([Linear(weight, slope=0.01)])
    >>> network(np.ones((1, 1000)))
    array([[ 2.  , -0.01]], dtype=float32)
    >>> network.live
    2
    """

    def __init__(
        self, layers: Iterable[Layer], input_shape: Sequence[int] | None = None, *, compiled: bool = True
    ) -> None:
        layers = tuple(layers)
        if input_shape is None:
            if not layers or not isinstance(layers[0], Linear):
                raise InputError("Give input_shape, such as (1, 28, 28): the first layer does not tell it.")
            input_shape = (layers[0].weight.shape[1],)
        self.chain = Chain(layers, tuple(int(side) for side in input_shape))
        self.output_shape = self.chain.shapes[-1]
        kernels = library() if compiled else None
        self._compiled = Compiled(self.chain, kernels) if kernels is not None else None

    @classmethod
    def of(cls, module: torch.nn.Module, input_shape: Sequence[int], *, compiled: bool = True) -> Self:
        """The same network as a PyTorch module, of whose weights many are zero.

        Understood are linear and convolutional layers (masks applied), batch normalisation after them, ReLU and
        leaky ReLU, pooling, flattening, dropout and identity, in modules or called in `forward`, one after the
        other. That both give the same answers is tried before this returns.

        Raises:
            InputError: another operation, or operations that are not a chain; the message names it.
        """
        from engram.structure.sparse_modules import layers_of

        return cls(layers_of(module, tuple(input_shape)), input_shape, compiled=compiled)

    @property
    def live(self) -> int:
        """Weights that are not zero."""
        return self.chain.live

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What it was made of."""
        return self.chain.layers

    def __call__(self, inputs: npt.ArrayLike) -> Floats:
        """(N, *input_shape) of any real dtype -> (N, *output_shape) float32.

        Raises:
            InputError: another shape, or nothing that is a number.
        """
        fast = self._compiled
        if fast is not None and inputs.__class__ is np.ndarray and inputs.dtype is _FLOAT32:  # type: ignore[union-attr]
            out = fast.again(inputs)  # type: ignore[arg-type]
            if out is not None:
                return out
        rows = self._checked(inputs)
        return self.chain.run(rows) if fast is None else fast.run(rows)

    def explain(self) -> str:
        """Which kernel each layer got, and the microseconds of all that were tried."""
        return "numpy: there is no C compiler here." if self._compiled is None else self._compiled.explain()

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What `explain` says, to compute with; empty where numpy runs."""
        return () if self._compiled is None else tuple(self._compiled.choices)

    def _checked(self, inputs: npt.ArrayLike) -> Floats:
        try:
            array = np.asarray(inputs)
            if array.dtype.kind not in "fiub":
                raise TypeError(f"they are {array.dtype}")
            rows = np.ascontiguousarray(array, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"Inputs are arrays of real numbers: {error}.") from error
        if rows.shape[1:] != self.chain.input_shape or not rows.ndim:
            raise InputError(f"Inputs have the shape (N, {', '.join(map(str, self.chain.input_shape))}), "
                             f"not {array.shape}.")
        return rows


class Compiled:
    """A chain as the kernels run it: packed, measured, planned. Private to `SparseNetwork`."""

    def __init__(self, chain: Chain, kernels: Library) -> None:
        self._kernels, self._entry, self._shape = kernels, chain.input_shape, chain.shapes[-1]
        self.choices: list[Choice] = []
        steps, sizes = packing.maps(chain.maps, chain.input_shape) if chain.maps else ([], [])
        self._inputs, self._features = math.prod(chain.input_shape), chain.features
        self._outputs = math.prod(self._shape)
        widest = max([self._features, *(len(layer.weight) for layer in chain.linear)])
        floats = max([max(WIDTHS) * widest, *sizes]) + 128
        self._scratch_floats = 3 * floats + max(WIDTHS) * self._features
        programs = [self._program(chain.linear, width) for width in (WIDTHS if chain.linear else (1,))]
        self._maps = packing.together(packing.MapStruct, steps)
        self._programs = [packing.together(packing.LayerStruct, layers) for layers in programs]
        self._table = (packing.ProgramStruct * len(programs))(
            *(packing.ProgramStruct(width, len(chain.linear), ctypes.addressof(program.struct))
              for width, program in zip(WIDTHS, self._programs, strict=False))
        )
        self._plan = np.zeros(max(WIDTHS) + 1, np.uint8)
        self._network = packing.NetworkStruct(
            len(steps), self._inputs, self._features, self._outputs, max(WIDTHS), floats,
            ctypes.addressof(self._maps.struct), ctypes.addressof(self._table), self._plan.ctypes.data,
        )
        self._idle: dict[Shape, list[Workspace]] = {}
        self._large: list[Floats] = []
        if chain.linear:
            self._make_plan()

    def again(self, x: Floats) -> Floats | None:
        """Inputs of a shape that was there before and left a place to work in; None for any other."""
        idle = self._idle.get(x.shape)
        if not idle:
            return None
        try:
            work = idle.pop()
        except IndexError:  # another thread took it
            return None
        work.input[...] = x
        work.run(work.address)
        out = work.output.copy()
        idle.append(work)
        return out

    def run(self, rows: Floats) -> Floats:
        """Contiguous inputs that are known to fit. Of a few, the place to work in is kept for the next such call."""
        if 0 < len(rows) <= FEW:
            work = self._workspace(len(rows))
            work.input[...] = rows
            work.run(work.address)
            if len(self._idle) >= KEPT:
                self._idle.clear()
            self._idle.setdefault(rows.shape, []).append(work)
            return work.output.copy()
        out, scratch = np.empty((len(rows), *self._shape), np.float32), self._scratch()
        call = self._call(rows, out, scratch)
        self._kernels.run(ctypes.addressof(call))
        self._large.append(scratch)
        return out

    def explain(self) -> str:
        """One line for each layer and width, and how a number of inputs is divided."""
        widths = [WIDTHS[i] for i in self._plan]
        lines = [str(choice) for choice in self.choices]
        lone = sum(width == 1 for width in widths[1:])
        return "\n".join([*lines, f"{lone} inputs or fewer run one by one, {len(widths) - 1} and more {widths[-1]} at once"])

    def _workspace(self, count: int) -> Workspace:
        entry, out = packing.aligned((count, *self._entry)), packing.aligned((count, *self._shape))
        call = self._call(entry, out, scratch := packing.aligned(self._scratch_floats))
        run = self._kernels.run_short if count <= SHORT else self._kernels.run
        return Workspace(entry, out, scratch, call, ctypes.c_void_p(ctypes.addressof(call)), run)

    def _scratch(self) -> Floats:
        try:
            return self._large.pop()
        except IndexError:
            return packing.aligned(self._scratch_floats)

    def _call(self, rows: Floats, out: Floats, scratch: Floats) -> packing.CallStruct:
        return packing.CallStruct(ctypes.addressof(self._network), rows.ctypes.data, out.ctypes.data,
                                  scratch.ctypes.data, len(rows))

    def _program(self, layers: Sequence[Linear], width: int) -> list[packing.Packed]:
        """Each layer in the format that is fastest when so many inputs are taken at once."""
        chosen = []
        for number, layer in enumerate(layers):
            best, tried = None, {}
            for name, pack in candidates(layer, width, self._kernels.lanes):
                form = pack()
                tried[name] = self._time(form, width)
                if tried[name] == min(tried.values()):
                    best = form
            assert best is not None
            chosen.append(best)
            self.choices.append(Choice(number, width, min(tried, key=tried.__getitem__), tried))
        return chosen

    def _time(self, form: packing.Packed, width: int) -> float:
        struct = form.struct
        x, y = packing.example(struct.columns * width), packing.aligned(struct.rows * width)
        scratch = packing.aligned(16 * max(struct.groups, 1))
        pointers = (ctypes.addressof(struct), width, x.ctypes.data, y.ctypes.data, scratch.ctypes.data)
        return microseconds(lambda times: self._kernels.repeat(*pointers, times))

    def _make_plan(self) -> None:
        """The cheapest way to make up any number of inputs from programs, by their measured times."""
        rows = packing.example(max(WIDTHS) * self._inputs).reshape(max(WIDTHS), -1)
        out = packing.aligned((max(WIDTHS), self._outputs))
        scratch = packing.aligned(self._scratch_floats)
        cost = []
        for index, width in enumerate(WIDTHS):
            self._plan[:] = index
            call = self._call(rows[:width], out, scratch)
            where = ctypes.addressof(call)
            cost.append(microseconds(lambda times, where=where: [self._kernels.run(where) for _ in range(times)]))
        least = [0.0]
        for left in range(1, len(self._plan)):
            ways = [spent + least[max(left - width, 0)] for width, spent in zip(WIDTHS, cost, strict=True)]
            least.append(min(ways))
            self._plan[left] = int(np.argmin(ways))
        self._plan[-1] = int(np.argmin([spent / width for width, spent in zip(WIDTHS, cost, strict=True)]))


@dataclass(frozen=True, slots=True, eq=False)
class Workspace:
    """What a call of a few inputs needs for itself, ready to be called."""

    input: Floats
    output: Floats
    scratch: Floats
    call: packing.CallStruct
    address: ctypes.c_void_p
    run: Callable[[ctypes.c_void_p], None]


def candidates(layer: Linear, width: int, lanes: int) -> list[tuple[str, Callable[[], packing.Packed]]]:
    """The formats worth trying for a layer, by name."""
    inputs = layer.weight.shape[1]
    density = np.count_nonzero(layer.weight) / layer.weight.size
    found: list[tuple[str, Callable[[], packing.Packed]]] = []
    if density <= HARDLY_SPARSE:
        found.append(("rows", lambda: packing.rows(layer)))
        panel = CACHED_FLOATS // width
        if 1 < width and 2 * panel < inputs:
            found.append((f"rows in panels of {panel}", lambda: packing.rows(layer, panel)))
        if width == 1 and lanes:
            found += [("lookup in 32", lambda: packing.lookup(layer, 32)), ("lookup in 64", lambda: packing.lookup(layer, 64))]
    if density >= HARDLY_DENSE:
        found.append(("dense", lambda: packing.dense(layer, width)))
    return found


def microseconds(run: Callable[[int], Any], batches: int = 7, least: float = 30e-6) -> float:
    """The time of one run: the fastest of some batches that are long enough to be timed."""
    times = 1
    while True:
        start = time.perf_counter()
        run(times)
        if (spent := time.perf_counter() - start) >= least or times >= 1 << 12:
            break
        times *= 2
    best = spent
    for _ in range(batches if spent < 1e-3 else 2):
        start = time.perf_counter()
        run(times)
        best = min(best, time.perf_counter() - start)
    return 1e6 * best / times
