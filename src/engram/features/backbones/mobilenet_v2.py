"""MobileNetV2 1.0 at 224 pixels, from int8 weights, as an ONNX network that runs without PyTorch.

Architecture: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engram.features.backbones import inverted_residuals
from engram.features.backbones.inverted_residuals import WIDTH, Blocks, Convolution, Weights
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.preprocessing import MOBILENET
from engram.learner import DamagedError, InputError

BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, output channels, repeats, stride of the first."""

CLASSES = 1001
ARCHIVE_LIMIT = 64_000_000


def layers() -> Iterator[Convolution]:
    """The 53 convolutions in order, the classifier last."""
    yield from inverted_residuals.layers(Blocks(*stage) for stage in BLOCKS)
    yield Convolution(WIDTH, CLASSES, 1, relu6=False)


def meta(layer: Convolution) -> list[int]:
    """A layer as the weights file describes it: stride, depthwise, activation (3 is ReLU6)."""
    return [layer.stride, int(layer.depthwise), 3 if layer.relu6 else 0]


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
    *network, (_, last) = zip(layers(), _weights(Path(path)), strict=True)
    return inverted_residuals.to_onnx(network, side, last if logits else None)


def _weights(path: Path) -> Iterator[Weights]:
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
) -> Weights:
    weights, scale, bias, described = (arrays[f"{number}.{part}"] for part in ("w", "scale", "bias", "meta"))
    fits = weights.shape == layer.shape and weights.dtype == np.int8 and described.tolist() == meta(layer)
    if not fits or not scale.shape == bias.shape == (layer.outputs,):
        raise ValueError(f"convolution {number} has another shape")
    factors = np.asarray(scale, np.float32)
    return weights.astype(np.float32) * factors[:, None, None, None], np.asarray(bias, np.float32)
