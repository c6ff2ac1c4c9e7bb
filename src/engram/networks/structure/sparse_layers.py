"""The layers of a sparse network as plain arrays, with the shapes they make and what they compute in numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from engram.learner import InputError

Floats = npt.NDArray[np.float32]
Shape = tuple[int, ...]
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Linear:
    """y = activation(W x + b). Maps that come in are flattened first.

    Attributes:
        weight: (outputs, inputs) float32; its exact zeros cost nothing.
        bias: (outputs,) float32; None for zeros.
        slope: of the activation below zero: 1 for none, 0 for ReLU, 0.01 for the usual leaky ReLU.
    """

    weight: Floats
    bias: Floats = None  # type: ignore[assignment]  # filled in below
    slope: float = 1.0

    def __post_init__(self) -> None:
        _settle(self, dimensions=2)

    def shape(self, entry: Shape) -> Shape:
        """The shape of one output for one input of shape `entry`.

        Raises:
            InputError: `entry` does not fit.
        """
        if math.prod(entry) != self.weight.shape[1]:
            raise InputError(f"A linear layer of {self.weight.shape[1]} inputs cannot take {entry}.")
        return (len(self.weight),)

    def run(self, x: Floats) -> Floats:
        """(N, ...) -> (N, outputs)."""
        return bent(x.reshape(len(x), self.weight.shape[1]) @ self.weight.T + self.bias, self.slope)


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution over maps (C, H, W), as PyTorch's `Conv2d` with zeros as padding.

    Attributes:
        weight: (outputs, inputs / groups, height, width) float32.
        bias, slope: as in `Linear`.
        stride, padding, dilation: (vertical, horizontal).
        groups: into how many the inputs and outputs fall.
    """

    weight: Floats
    bias: Floats = None  # type: ignore[assignment]  # filled in below
    slope: float = 1.0
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        _settle(self, dimensions=4)
        if self.groups < 1 or len(self.weight) % self.groups:
            raise InputError(f"{len(self.weight)} filters do not fall into {self.groups} groups.")

    def shape(self, entry: Shape) -> Shape:
        """The shape of one output for one input of shape `entry`.

        Raises:
            InputError: `entry` does not fit.
        """
        if len(entry) != 3 or entry[0] != self.weight.shape[1] * self.groups:
            wanted = self.weight.shape[1] * self.groups
            raise InputError(f"A convolution over {wanted} maps cannot take {entry}: give (channels, height, width).")
        geometry = zip(entry[1:], self.weight.shape[2:], self.stride, self.padding, self.dilation, strict=True)
        sides = tuple((n + 2 * pad - gap * (k - 1) - 1) // step + 1 for n, k, step, pad, gap in geometry)
        return _positive((len(self.weight), *sides), entry)

    def run(self, x: Floats) -> Floats:
        """(N, C, H, W) -> (N, outputs, H', W')."""
        (down, right), (gap_y, gap_x), (high, wide) = self.padding, self.dilation, self.weight.shape[2:]
        padded = np.pad(x, ((0, 0), (0, 0), (down, down), (right, right)))
        reach = (gap_y * (high - 1) + 1, gap_x * (wide - 1) + 1)
        windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
        windows = windows[:, :, :: self.stride[0], :: self.stride[1], ::gap_y, ::gap_x]
        parts = zip(np.split(windows, self.groups, axis=1), np.split(self.weight, self.groups), strict=True)
        maps = [np.tensordot(part, weight, axes=((1, 4, 5), (1, 2, 3))) for part, weight in parts]
        return bent((np.concatenate(maps, axis=-1) + self.bias).transpose(0, 3, 1, 2), self.slope)


@dataclass(frozen=True)
class Pool:
    """The maximum or average over windows of each map, as PyTorch's pooling without padding.

    Attributes:
        kind: "maximum" or "average".
        size, stride: (vertical, horizontal).
        slope: of an activation afterwards.
    """

    kind: Literal["maximum", "average"]
    size: Pair = (2, 2)
    stride: Pair = (2, 2)
    slope: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("maximum", "average"):
            raise InputError(f"A pool takes the 'maximum' or the 'average', not {self.kind!r}.")
        _check_slope(self.slope)

    def shape(self, entry: Shape) -> Shape:
        """The shape of one output for one input of shape `entry`.

        Raises:
            InputError: `entry` does not fit.
        """
        if len(entry) != 3:
            raise InputError(f"Pooling takes maps (channels, height, width), not {entry}.")
        geometry = zip(entry[1:], self.size, self.stride, strict=True)
        return _positive((entry[0], *((n - k) // step + 1 for n, k, step in geometry)), entry)

    def run(self, x: Floats) -> Floats:
        """(N, C, H, W) -> (N, C, H', W')."""
        windows = np.lib.stride_tricks.sliding_window_view(x, self.size, axis=(2, 3))
        windows = windows[:, :, :: self.stride[0], :: self.stride[1]]
        pooled = windows.max(axis=(4, 5)) if self.kind == "maximum" else windows.mean(axis=(4, 5), dtype=np.float32)
        return bent(pooled, self.slope)


@dataclass(frozen=True)
class Flatten:
    """Maps as one vector. Linear layers flatten by themselves; this is for a network that ends in maps."""

    def shape(self, entry: Shape) -> Shape:
        """As in `Linear`."""
        return (math.prod(entry),)

    def run(self, x: Floats) -> Floats:
        """(N, ...) -> (N, values)."""
        return x.reshape(len(x), math.prod(x.shape[1:]))


Layer = Linear | Convolution | Pool | Flatten


@dataclass(frozen=True)
class Chain:
    """Layers in a row: over maps first, then linear ones, with the shape that stands before each and at the end.

    Raises:
        InputError: no layers, one that does not fit the one before, or a map layer after a linear one.

    >>> chain = Chain((Convolution(np.ones((4, 1, 3, 3))), Pool("maximum"), Linear(np.ones((2, 16)))), (1, 6, 6))
    >>> chain.shapes
    ((1, 6, 6), (4, 4, 4), (4, 2, 2), (2,))
    >>> chain.run(np.ones((1, 1, 6, 6), np.float32))
    array([[144., 144.]], dtype=float32)
    """

    layers: tuple[Layer, ...]
    input_shape: Shape
    shapes: tuple[Shape, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError("A sparse network needs at least one layer.")
        if not self.input_shape or min(self.input_shape) < 1:
            raise InputError(f"The shape of one input is positive numbers, such as (784,), not {self.input_shape}.")
        shapes = [self.input_shape]
        for layer in self.layers:
            shapes.append(layer.shape(shapes[-1]))
        object.__setattr__(self, "shapes", tuple(shapes))

    @property
    def maps(self) -> tuple[Convolution | Pool, ...]:
        """The layers over maps."""
        return tuple(layer for layer in self.layers if isinstance(layer, Convolution | Pool))

    @property
    def linear(self) -> tuple[Linear, ...]:
        """The linear layers, which come after them."""
        return tuple(layer for layer in self.layers if isinstance(layer, Linear))

    @property
    def features(self) -> int:
        """Values that the linear layers take."""
        return self.linear[0].weight.shape[1] if self.linear else math.prod(self.shapes[-1])

    @property
    def live(self) -> int:
        """Weights that are not zero; biases are not counted."""
        weighty = (layer for layer in self.layers if isinstance(layer, Linear | Convolution))
        return sum(int(np.count_nonzero(layer.weight)) for layer in weighty)

    def run(self, x: Floats) -> Floats:
        """(N, *input_shape) -> (N, *output_shape), in numpy alone."""
        for layer in self.layers:
            x = layer.run(x)
        return x


def bent(y: Floats, slope: float) -> Floats:
    """The activation of y, of any shape: y above zero, slope times y below."""
    return y if slope == 1 else np.where(y > 0, y, np.float32(slope) * y)


def _settle(layer: Any, dimensions: int) -> None:
    weight = np.ascontiguousarray(layer.weight, dtype=np.float32)
    if weight.ndim != dimensions or not weight.size:
        raise InputError(f"{type(layer).__name__} weights have {dimensions} dimensions, not the shape {weight.shape}.")
    bias = np.zeros(len(weight), np.float32) if layer.bias is None else np.ascontiguousarray(layer.bias, np.float32)
    if bias.shape != (len(weight),):
        raise InputError(f"A bias of shape {bias.shape} does not fit {len(weight)} outputs.")
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise InputError("A weight or bias is not finite: the network cannot be run.")
    _check_slope(layer.slope)
    object.__setattr__(layer, "weight", weight)
    object.__setattr__(layer, "bias", bias)


def _check_slope(slope: float) -> None:
    if not (math.isfinite(slope) and slope >= 0):
        raise InputError(f"The slope of an activation below zero is at least 0, not {slope}.")


def _positive(shape: Shape, entry: Shape) -> Shape:
    if min(shape) < 1:
        raise InputError(f"Maps of {entry} are too small for this layer: nothing comes out.")
    return shape
