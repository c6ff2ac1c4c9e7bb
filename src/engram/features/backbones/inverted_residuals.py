"""Networks of inverted residual blocks (MobileNetV2, EfficientNet-Lite) as ONNX files that run without PyTorch.

A block widens its input by a 1×1 convolution, filters each channel by itself, and narrows it again; where nothing
changes its shape, its input is added (Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engram.features.backbones import onnx_graph as onnx

Weights = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Of one convolution: (out, in per group, height, width), and a bias per output channel."""

WIDTH = 1280
"""Features: channels of the last convolution before the classifier."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks one after the other: widening, output channels, how many, stride of the first, kernel."""

    expansion: int
    outputs: int
    repeats: int
    stride: int
    kernel: int = 3


@dataclass(frozen=True, slots=True)
class Convolution:
    """One layer: channels in and out, kernel, stride, whether per channel and followed by ReLU6."""

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    depthwise: bool = False
    relu6: bool = True
    starts: bool = False
    adds: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of its weights: (out, in per group, height, width)."""
        return (self.outputs, 1 if self.depthwise else self.inputs, self.kernel, self.kernel)


def layers(stages: Iterable[Blocks]) -> Iterator[Convolution]:
    """The convolutions in order, up to the features; `starts` and `adds` mark the ends of a residual connection."""
    yield Convolution(3, 32, 3, 2)
    channels = 32
    for stage in stages:
        for repeat in range(stage.repeats):
            step = stage.stride if repeat == 0 else 1
            inner, residual = channels * stage.expansion, step == 1 and channels == stage.outputs
            if stage.expansion > 1:
                yield Convolution(channels, inner, 1, starts=residual)
            yield Convolution(inner, inner, stage.kernel, step, depthwise=True)
            yield Convolution(inner, stage.outputs, 1, relu6=False, adds=residual)
            channels = stage.outputs
    yield Convolution(channels, WIDTH, 1)


def to_onnx(network: Iterable[tuple[Convolution, Weights]], side: int, classifier: Weights | None = None) -> bytes:
    """The network as an ONNX file: input (N, 3, side, side), output (N, 1280) pooled features, or a value per class.

    Args:
        network: each layer of `layers`, with its weights.
        side: of the pictures, a multiple of 32.
        classifier: (C, 1280, 1, 1) and (C,), to give logits; None gives the features.
    """
    pixels: onnx.Port = ("pixels", ("batch", 3, side, side))
    nodes: list[bytes] = []
    constants = [onnx.tensor("low", np.array(0, np.float32)), onnx.tensor("high", np.array(6, np.float32))]
    value = start = "pixels"
    number = -1
    for number, (layer, (weights, bias)) in enumerate(network):
        if layer.starts:
            start = value
        constants += [onnx.tensor(f"w{number}", weights), onnx.tensor(f"b{number}", bias)]
        nodes.append(_convolution(layer, value, number))
        value = f"c{number}"
        if layer.relu6:
            nodes.append(onnx.node("Clip", [value, "low", "high"], f"r{number}"))
            value = f"r{number}"
        if layer.adds:
            nodes.append(onnx.node("Add", [value, start], f"a{number}"))
            value = f"a{number}"
    nodes.append(onnx.node("GlobalAveragePool", [value], "pooled"))
    nodes.append(onnx.node("Flatten", ["pooled"], "features"))
    if classifier is None:
        return onnx.model(nodes, constants, pixels, ("features", ("batch", WIDTH)))
    weights, bias = classifier
    last = number + 1
    constants += [onnx.tensor(f"w{last}", weights), onnx.tensor(f"b{last}", bias)]
    nodes.append(_convolution(Convolution(WIDTH, len(bias), 1, relu6=False), "pooled", last))
    nodes.append(onnx.node("Flatten", [f"c{last}"], "logits"))
    return onnx.model(nodes, constants, pixels, ("logits", ("batch", len(bias))))


def _convolution(layer: Convolution, value: str, number: int) -> bytes:
    # TensorFlow's SAME: every map here has an even side where the stride is 2; what cannot be shared evenly falls on
    # the far side.
    padding = layer.kernel - layer.stride if layer.kernel > 1 else 0
    near, far = padding // 2, padding - padding // 2
    return onnx.node(
        "Conv", [value, f"w{number}", f"b{number}"], f"c{number}",
        group=layer.inputs if layer.depthwise else 1,
        kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2, pads=[near, near, far, far],
    )
