"""Weights in the formats that the kernels read: mirrors of the structures in `sparse_kernels.c`, and their memory."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from engram.networks.structure.sparse_layers import Convolution, Floats, Linear, Pool, Shape

ROWS, LOOKUP_32, LOOKUP_64, DENSE = range(4)
CONVOLUTION, MAXIMUM, AVERAGE, LAYOUT = range(4)
STEPS = ("sparse convolution", "maximum pooling", "average pooling", "copying")
IN_FLIGHT = {1: 4, 16: 4, 32: 2, 64: 1}  # weights at once in the kernel for so many inputs
WIDEST_PANEL = 1 << 16  # columns are 16 bits
MOST_ROWS = 16 << 16  # of a lookup: groups of 16 rows are 16 bits

_int, _pointer = ctypes.c_int32, ctypes.c_void_p


class LayerStruct(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, _int) for name in ("kernel", "rows", "columns", "pieces", "span", "groups")),
        ("slope", ctypes.c_float),
        *((name, _pointer) for name in ("bias", "weight", "column", "start", "place", "count", "group", "order")),
    ]


class MapStruct(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, _int) for name in ("kind", "channels", "height", "width", "pitch", "plane", "out_pitch", "out_plane",
                                    "size_y", "size_x", "step_y", "step_x", "pad_y", "pad_x", "places")),
        ("slope", ctypes.c_float),
        *((name, _pointer) for name in ("bias", "weight", "offset", "start")),
    ]


class ProgramStruct(ctypes.Structure):
    _fields_: ClassVar = [("width", _int), ("layers", _int), ("layer", _pointer)]


class NetworkStruct(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, _int) for name in ("maps", "inputs", "features", "outputs", "limit")),
        ("buffer", ctypes.c_int64),
        *((name, _pointer) for name in ("map", "program", "live", "plan")),
    ]


class CallStruct(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, _pointer) for name in ("network", "input", "output", "scratch")), ("count", ctypes.c_int64)
    ]


@dataclass(frozen=True, eq=False)
class Packed:
    """A structure, and the arrays that it points into: they live as long as it does."""

    struct: Any
    arrays: tuple[npt.NDArray[Any], ...]


def aligned(shape: int | Sequence[int], dtype: Any = np.float32) -> npt.NDArray[Any]:
    """Zeros that begin on a cache line, with a line to spare behind them."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 128, np.uint8)
    start = -raw.ctypes.data % 64
    values: npt.NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return values


def packed(struct: Any, arrays: dict[str, npt.NDArray[Any]], **numbers: float) -> Packed:
    """A structure of that kind with these arrays (of any shape), each copied to a cache line of its own, and numbers.
    """
    own = {}
    for name, array in arrays.items():
        own[name] = aligned(array.shape, array.dtype)
        own[name][...] = array
    addresses = {name: array.ctypes.data for name, array in own.items()}
    return Packed(struct(**addresses, **numbers), tuple(own.values()))


def rows(layer: Linear, width: int, span: int = WIDEST_PANEL) -> Packed:
    """Compressed rows, panel after panel of `span` columns.

    In each the shortest rows come first, so that where a row ends is no surprise to the processor, and zeros fill
    each up to a multiple of the weights that the kernel has in flight.
    """
    outputs, inputs = layer.weight.shape
    span = min(span, inputs, WIDEST_PANEL)
    pieces = -(-inputs // span)
    row, column = np.nonzero(layer.weight)
    run = column // span * outputs + row  # the row within its panel
    sizes = np.bincount(run, minlength=pieces * outputs).reshape(pieces, outputs)
    order = np.argsort(sizes, axis=1, kind="stable")
    filled = -(-np.take_along_axis(sizes, order, axis=1) // IN_FLIGHT[width]) * IN_FLIGHT[width]
    start = np.concatenate([[0], np.cumsum(filled)])
    first = np.empty(pieces * outputs, np.int64)  # of each row within its panel
    first[(np.arange(pieces)[:, None] * outputs + order).ravel()] = start[:-1]
    sequence = np.argsort(run, kind="stable")
    rank = np.arange(len(run)) - (np.cumsum(sizes) - sizes.ravel())[run[sequence]]
    spot = first[run[sequence]] + rank
    weight, place = np.zeros(start[-1], np.float32), np.zeros(start[-1], np.uint16)
    weight[spot], place[spot] = layer.weight[row, column][sequence], (column % span)[sequence]
    some = np.flatnonzero(sizes)
    end = first[some] + sizes.ravel()[some]
    for extra in range(IN_FLIGHT[width] - 1):  # zeros look where their row looks anyway: what lies elsewhere may be NaN
        filling = (end + extra - first[some]) % IN_FLIGHT[width] != 0
        place[end[filling] + extra] = place[end[filling] - 1]
        some, end = some[filling], end[filling]
    arrays = {
        "bias": layer.bias, "weight": weight, "column": place, "start": start.astype(np.uint32),
        "order": order.astype(np.int32),
    }
    return packed(LayerStruct, arrays, kernel=ROWS, rows=outputs, columns=inputs, pieces=pieces, span=span,
                  slope=layer.slope)


def lookup(layer: Linear, width: int) -> Packed:
    """Windows of `width` inputs (32 or 64), each half a window further; in each the groups of 16 rows; in each of
    these steps of one weight per row.

    Rows with about as many weights share a group. The row with most weights in a window decides how many steps the
    group takes there, and the others use what is left to get ahead: to weights of the window's second half, which
    are otherwise due in the next. Groups with as many steps come one after the other, so that where they end is no
    surprise to the processor.
    """
    outputs, inputs = layer.weight.shape
    half = width // 2
    windows, groups = -(-inputs // half), -(-outputs // 16)
    order = np.argsort(np.count_nonzero(layer.weight, axis=1), kind="stable")
    row, column = np.nonzero(layer.weight[order])
    run = row * windows + column // half  # row-major, so the weights of a row within half a window stand together
    sizes = np.bincount(run, minlength=groups * 16 * windows)
    rank = np.arange(len(run)) - (np.cumsum(sizes) - sizes)[run]
    steps, ahead, own = _ahead(sizes.reshape(groups, 16, windows))
    early = rank < ahead.ravel()[run]
    window = column // half - early
    rank = np.where(early, rank + own.ravel()[row * windows + window], rank - ahead.ravel()[run])
    group = np.argsort(-steps, axis=1, kind="stable")
    count = np.take_along_axis(steps, group, axis=1)
    first = np.empty_like(steps)
    np.put_along_axis(first, group, (np.cumsum(count) - count.ravel()).reshape(steps.shape), axis=1)
    spot = (first[window, row // 16] + rank) * 16 + row % 16
    place, weight = np.zeros(steps.sum() * 16, np.uint8), np.zeros(steps.sum() * 16, np.float32)
    place[spot], weight[spot] = column - half * window, layer.weight[order[row], column]
    arrays = {
        "bias": layer.bias, "weight": weight, "place": place, "count": count.astype(np.uint8),
        "group": group.astype(np.uint16), "order": order.astype(np.int32),
    }
    return packed(LayerStruct, arrays, kernel=LOOKUP_32 if width == 32 else LOOKUP_64, rows=outputs, columns=inputs,
                  pieces=windows, groups=groups, slope=layer.slope)


def _ahead(sizes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    """How a group's weights are spread over its windows, from how many each row has in each half of one.

    Args:
        sizes: (groups, 16, windows).

    Returns:
        Steps (windows, groups); and (groups, 16, windows) the weights of each half taken in the window before its
        own, and those left for its own.
    """
    own, ahead = sizes.copy(), np.zeros_like(sizes)
    for window in range(1, sizes.shape[2]):
        idle = own[:, :, window - 1].max(axis=1, keepdims=True) - own[:, :, window - 1]
        ahead[:, :, window] = np.minimum(idle, own[:, :, window])
        own[:, :, window] -= ahead[:, :, window]
    return own.max(axis=1).T, ahead, own


def dense(layer: Linear, width: int) -> Packed:
    """All weights: for one input 64 rows abreast, for a tile of inputs 4."""
    outputs, inputs = layer.weight.shape
    abreast = 64 if width == 1 else 4
    whole = np.zeros((-(-outputs // abreast) * abreast, inputs), np.float32)
    whole[:outputs] = layer.weight
    weight = np.ascontiguousarray(whole.reshape(-1, abreast, inputs).transpose(0, 2, 1))
    return packed(LayerStruct, {"bias": layer.bias, "weight": weight}, kernel=DENSE, rows=outputs, columns=inputs,
                  slope=layer.slope)


@dataclass(frozen=True)
class Grid:
    """Where maps lie: (channels, height, width) with so many floats from line to line and from map to map."""

    shape: Shape
    pitch: int
    plane: int

    @classmethod
    def close(cls, shape: Shape) -> Grid:
        """Nothing between lines or maps."""
        return cls(shape, shape[2], shape[1] * shape[2])

    @property
    def size(self) -> int:
        """Floats that it takes."""
        return self.shape[0] * self.plane


def maps(layers: Sequence[Convolution | Pool], entry: Shape) -> tuple[list[Packed], list[int]]:
    """The steps from one input of shape `entry` to flattened features, and how many floats each puts out.

    The first copies the input into our own memory, since convolutions read a little beyond what they need.
    """
    done: list[Packed] = []
    sizes: list[int] = []
    grid = Grid.close(entry)
    for layer in layers:
        if isinstance(layer, Pool):
            step, grid = _pool(layer, grid)
        else:
            if not done or layer.padding != (0, 0) or layer.stride != (1, 1):
                step, grid = _layout(grid, layer.padding, layer.stride)
                done.append(step)
                sizes.append(grid.size)
            step, grid = _convolution(layer, grid)
        done.append(step)
        sizes.append(grid.size)
    if grid != Grid.close(grid.shape):
        step, grid = _layout(grid)
        done.append(step)
        sizes.append(grid.size)
    return done, sizes


def _pool(layer: Pool, grid: Grid) -> tuple[Packed, Grid]:
    out = Grid.close(layer.shape(grid.shape))
    kind = MAXIMUM if layer.kind == "maximum" else AVERAGE
    return _step(kind, out.shape, grid, out, size_y=layer.size[0], size_x=layer.size[1], step_y=layer.stride[0],
                 step_x=layer.stride[1], slope=layer.slope), out


def _layout(grid: Grid, padding: tuple[int, int] = (0, 0), stride: tuple[int, int] = (1, 1)) -> tuple[Packed, Grid]:
    """Zeros around each map, and each split into stride x stride maps of every such line and column."""
    channels, height, width = grid.shape
    pitch = -(-(width + 2 * padding[1]) // stride[1])
    lines = -(-(height + 2 * padding[0]) // stride[0])
    sides = (height + 2 * padding[0], width + 2 * padding[1])
    out = Grid((channels, *sides), pitch, pitch * lines * stride[0] * stride[1])
    step = _step(LAYOUT, grid.shape, grid, Grid(out.shape, pitch, pitch * lines), step_y=stride[0], step_x=stride[1],
                 pad_y=padding[0], pad_x=padding[1])
    return step, out


def _convolution(layer: Convolution, grid: Grid) -> tuple[Packed, Grid]:
    """Over maps that are laid out for its padding and stride already."""
    (step_y, step_x), (gap_y, gap_x) = layer.stride, layer.dilation
    filters, each, high, wide = layer.weight.shape
    height = (grid.shape[1] - gap_y * (high - 1) - 1) // step_y + 1
    width = (grid.shape[2] - gap_x * (wide - 1) - 1) // step_x + 1
    places = (height - 1) * grid.pitch + width
    filter_, channel, i, j = np.nonzero(layer.weight)
    y, x = i * gap_y, j * gap_x
    channel = channel + filter_ // (filters // layer.groups) * each
    phase = grid.plane // (step_y * step_x)
    offset = channel * grid.plane + (y % step_y * step_x + x % step_x) * phase + y // step_y * grid.pitch + x // step_x
    sizes = np.bincount(filter_, minlength=filters)
    arrays = {
        "bias": layer.bias, "weight": layer.weight[layer.weight != 0], "offset": offset.astype(np.int32),
        "start": np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint32),
    }
    out = Grid((filters, height, width), grid.pitch, -(-places // 16) * 16)
    return _step(CONVOLUTION, out.shape, grid, out, arrays, places=places, slope=layer.slope), out


def _step(
    kind: int, shape: Shape, grid: Grid, out: Grid, arrays: dict[str, npt.NDArray[Any]] | None = None, **numbers: float
) -> Packed:
    return packed(MapStruct, arrays or {}, kind=kind, channels=shape[0], height=shape[1], width=shape[2],
                  pitch=grid.pitch, plane=grid.plane, out_pitch=out.pitch, out_plane=out.plane, **numbers)


def together(kind: Any, parts: Sequence[Packed]) -> Packed:
    """An array of structures, with all that they point into."""
    whole = (kind * max(len(parts), 1))(*(part.struct for part in parts))
    return Packed(whole, tuple(array for part in parts for array in part.arrays))


def example(size: int) -> Floats:
    """Numbers to time a kernel on, with room behind them."""
    values: Floats = aligned(size)
    values[...] = np.random.default_rng(0).uniform(-1, 1, size)
    return values
