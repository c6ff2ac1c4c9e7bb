"""MobileNetV2 1.0 at 224 pixels, from int8 weights, as an ONNX network that runs without PyTorch.

Architecture: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engram.features.backbones import onnx_graph as onnx
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.preprocessing import MOBILENET
from engram.learner import DamagedError, InputError

BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, output channels, repeats, stride of the first."""

WIDTH = 1280
CLASSES = 1001
ARCHIVE_LIMIT = 64_000_000


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

    @property
    def meta(self) -> list[int]:
        """As the weights file describes it: stride, depthwise, activation (3 is ReLU6)."""
        return [self.stride, int(self.depthwise), 3 if self.relu6 else 0]


def layers() -> Iterator[Convolution]:
    """The 53 convolutions in order; `starts` and `adds` mark the two ends of a residual connection."""
    yield Convolution(3, 32, 3, 2)
    channels = 32
    for expansion, outputs, repeats, stride in BLOCKS:
        for repeat in range(repeats):
            step = stride if repeat == 0 else 1
            inner, residual = channels * expansion, step == 1 and channels == outputs
            if expansion > 1:
                yield Convolution(channels, inner, 1, starts=residual)
            yield Convolution(inner, inner, 3, step, depthwise=True)
            yield Convolution(inner, outputs, 1, relu6=False, adds=residual)
            channels = outputs
    yield Convolution(channels, WIDTH, 1)
    yield Convolution(WIDTH, CLASSES, 1, relu6=False)


def load(
    path: str | os.PathLike[str], *, logits: bool = False, name: str = "mobilenet-v2", side: int = 224
) -> OnnxBackbone:
    """The backbone from a weights file: 1280 pooled features, or 1001 logits (0 is background).

    Args:
        path: an .npz with `NN.w` (int8, OIHW), `NN.scale`, `NN.bias` and `NN.meta` for each convolution.
        logits: stop at the classifier instead of before it.
        name: what to call it.
        side: of the pictures it is shown, a multiple of 32; published at 224.

    Raises:
        InputError: no such file, or no such side.
        DamagedError: truncated, or weights of another network.
    """
    network = to_onnx(path, logits=logits, side=side)
    return OnnxBackbone(network, replace(MOBILENET, size=(side, side)), name=name)


def classifier(path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weights (1001, 1280) and biases (1001,) that turn the pooled features into logits. Raises as `load`."""
    *_, (weights, biases) = _weights(Path(path))
    return weights.reshape(CLASSES, WIDTH), biases


def to_onnx(path: str | os.PathLike[str], *, logits: bool = False, side: int = 224) -> bytes:
    """The network as an ONNX file: input (N, 3, side, side), output (N, 1280) or (N, 1001). Raises as `load`."""
    if side < 32 or side % 32:
        raise InputError(f"MobileNetV2 sees squares whose side is a multiple of 32, not {side}.")
    pixels: onnx.Port = ("pixels", ("batch", 3, side, side))
    nodes: list[bytes] = []
    constants = [onnx.tensor("low", np.array(0, np.float32)), onnx.tensor("high", np.array(6, np.float32))]
    value = start = "pixels"
    for number, (layer, (weights, bias)) in enumerate(zip(layers(), _weights(Path(path)), strict=True)):
        last = number == 52
        if last:
            nodes.append(onnx.node("GlobalAveragePool", [value], "pooled"))
            nodes.append(onnx.node("Flatten", ["pooled"], "features"))
            if not logits:
                return onnx.model(nodes, constants, pixels, ("features", ("batch", WIDTH)))
            value = "pooled"
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
    nodes.append(onnx.node("Flatten", [value], "logits"))
    return onnx.model(nodes, constants, pixels, ("logits", ("batch", CLASSES)))


def _convolution(layer: Convolution, value: str, number: int) -> bytes:
    # TensorFlow's SAME: every map here has an even side where the stride is 2, so all padding falls
    # on the far side there.
    near = 1 if layer.kernel == 3 and layer.stride == 1 else 0
    far = 1 if layer.kernel == 3 else 0
    return onnx.node(
        "Conv", [value, f"w{number}", f"b{number}"], f"c{number}",
        group=layer.inputs if layer.depthwise else 1,
        kernel_shape=[layer.kernel] * 2, strides=[layer.stride] * 2, pads=[near, near, far, far],
    )


def _weights(path: Path) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Weights (OIHW) and bias of each layer, dequantised, after they were found to be what they must be."""
    if not path.is_file():
        raise InputError(f"No file at {path}.")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > ARCHIVE_LIMIT:
                raise ValueError("it is far larger than these weights are")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        for number, layer in enumerate(layers()):
            yield _dequantised(arrays, f"{number:02d}", layer)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DamagedError(f"{path} does not hold MobileNetV2's int8 weights: {error}") from error


def _dequantised(
    arrays: dict[str, npt.NDArray[np.generic]], number: str, layer: Convolution
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    weights, scale, bias, meta = (arrays[f"{number}.{part}"] for part in ("w", "scale", "bias", "meta"))
    fits = weights.shape == layer.shape and weights.dtype == np.int8 and meta.tolist() == layer.meta
    if not fits or not scale.shape == bias.shape == (layer.outputs,):
        raise ValueError(f"convolution {number} has another shape")
    factors = np.asarray(scale, np.float32)
    return weights.astype(np.float32) * factors[:, None, None, None], np.asarray(bias, np.float32)
