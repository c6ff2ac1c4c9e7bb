"""Which kernel runs a layer: the one that was fastest when they were tried on its own weights."""

from __future__ import annotations

import ctypes
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.networks.structure import sparse_packing as packing
from engram.networks.structure.sparse_layers import Linear, Shape
from engram.networks.structure.sparse_library import Library

WIDTHS = (1, 16, 32, 64)  # inputs that a kernel takes at once
CACHED_FLOATS = 1 << 14  # of a panel's activations
ROUNDS = 3  # in which all are timed in turn, so that a disturbance does not decide
HARDLY_SPARSE, HARDLY_DENSE = 0.6, 0.1  # beyond these densities the other kernel is not tried
_measured: dict[tuple[bytes, int], dict[str, float]] = {}  # microseconds of each kernel for a layer and a width


@dataclass(frozen=True)
class Choice:
    """What one layer got for inputs taken `width` at once.

    Attributes:
        shape, density: of its weights.
        width: inputs at once.
        kernel: the name of the fastest.
        microseconds: of every kernel that was tried.
    """

    shape: Shape
    density: float
    width: int
    kernel: str
    microseconds: dict[str, float]

    def __str__(self) -> str:
        tried = ", ".join(f"{name} {us:.2f} us" for name, us in sorted(self.microseconds.items(), key=lambda t: t[1]))
        size = " x ".join(map(str, self.shape))
        return f"{size} at {self.density:.1%}, {self.width} at once: {self.kernel} ({tried})"


def choose(layer: Linear, width: int, kernels: Library) -> tuple[packing.Packed, Choice]:
    """A layer in the format that is fastest when so many inputs are taken at once. Measured once in a process."""
    formats = candidates(layer, width, kernels.lanes)
    key = (digest(layer), width)
    if key not in _measured:
        forms = {name: pack() for name, pack in formats.items()}
        rounds = [{name: _time(form, width, kernels) for name, form in forms.items()} for _ in range(ROUNDS)]
        _measured[key] = {name: min(times[name] for times in rounds) for name in forms}
    tried = _measured[key]
    fastest = min(tried, key=tried.__getitem__)
    density = float(np.count_nonzero(layer.weight) / layer.weight.size)
    return formats[fastest](), Choice(layer.weight.shape, density, width, fastest, tried)


def candidates(layer: Linear, width: int, lanes: int) -> dict[str, Callable[[], packing.Packed]]:
    """The formats worth trying for a layer, by name."""
    density = np.count_nonzero(layer.weight) / layer.weight.size
    found: dict[str, Callable[[], packing.Packed]] = {}
    if density <= HARDLY_SPARSE:
        found["rows"] = lambda: packing.rows(layer, width)
        panel = CACHED_FLOATS // width
        if width > 1 and 2 * panel < layer.weight.shape[1]:
            found[f"rows in panels of {panel}"] = lambda: packing.rows(layer, width, panel)
        if width == 1 and lanes and len(layer.weight) <= packing.MOST_ROWS:
            found["lookup in 32"] = lambda: packing.lookup(layer, 32)
            found["lookup in 64"] = lambda: packing.lookup(layer, 64)
    if density >= HARDLY_DENSE:
        found["dense"] = lambda: packing.dense(layer, width)
    return found


def digest(layer: Linear) -> bytes:
    """Thirty-two bytes that stand for a layer's weights."""
    whole = hashlib.sha256(repr(layer.weight.shape).encode())
    whole.update(layer.weight.data)
    return whole.digest()


def _time(form: packing.Packed, width: int, kernels: Library) -> float:
    struct = form.struct
    x, y = packing.example(struct.columns * width), packing.aligned(struct.rows * width)
    scratch = packing.aligned(16 * max(struct.groups, 1))
    place = (ctypes.addressof(struct), width, x.ctypes.data, y.ctypes.data, scratch.ctypes.data)
    return microseconds(lambda times: kernels.repeat(*place, times))


def microseconds(run: Callable[[int], Any], batches: int = 3, least: float = 30e-6) -> float:
    """The time of one run: the fastest of some batches that are long enough to be timed."""
    times = 1
    while True:
        start = time.perf_counter()
        run(times)
        if (spent := time.perf_counter() - start) >= least or times >= 1 << 12:
            break
        times *= 2
    best = spent
    for _ in range(batches if spent < 1e-3 else 1):
        start = time.perf_counter()
        run(times)
        best = min(best, time.perf_counter() - start)
    return 1e6 * best / times
