"""The weights of an ONNX network as int8, a quarter of the size, one scale per output channel; or as float16, half.

Only the file shrinks: each weight is turned back into float32 by a node of the network, and activations keep all their
bits (weight-only quantisation, per channel: Krishnamoorthi 2018, arXiv 1806.08342, section 3.1.3). ONNX Runtime carries
out the Cast from float16 once, when it opens the file; DequantizeLinear it may carry out anew for every input.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import numpy.typing as npt

from engram.features.backbones import onnx_graph as onnx
from engram.features.backbones.protobuf import Field, put, read, texts, within
from engram.learner import InputError

LEVELS = 127
SMALLEST = 1024
"""Tensors of fewer values stay as they are."""


def quantised(network: bytes) -> bytes:
    """The same network with its weights rounded: (out, ...) float32 constants of two dimensions or more.

    Each is off by at most half of 1/127 of the largest weight of its output channel.

    Raises:
        InputError: there is nothing to quantise in it.
        DamagedError: not an ONNX file.
    """
    return _stored_otherwise(network, _as_int8)


def halved(network: bytes) -> bytes:
    """The same network with its weights as float16: of 11 significant bits, and at most 65,504.

    Raises:
        InputError: there are no weights in it, or one is too large.
        DamagedError: not an ONNX file.
    """
    return _stored_otherwise(network, _as_float16)


def _as_int8(name: str, values: npt.NDArray[np.float32]) -> tuple[bytes, list[bytes]]:
    whole, scale = rounded(values)
    restored = onnx.node("DequantizeLinear", [f"{name}.int8", f"{name}.scale"], name, axis=0)
    return restored, [onnx.tensor(f"{name}.int8", whole), onnx.tensor(f"{name}.scale", scale)]


def _as_float16(name: str, values: npt.NDArray[np.float32]) -> tuple[bytes, list[bytes]]:
    if np.abs(values).max() > np.finfo(np.float16).max:
        raise InputError(f"A weight of {name} is too large for float16.")
    restored = onnx.node("Cast", [f"{name}.float16"], name, to=onnx.TYPES["float32"])
    return restored, [onnx.tensor(f"{name}.float16", values.astype(np.float16))]


def _stored_otherwise(
    network: bytes, store: Callable[[str, npt.NDArray[np.float32]], tuple[bytes, list[bytes]]]
) -> bytes:
    """The network with each weight as other constants, which a node turns back into it."""
    fields = list(read(network))
    graph = [field for part in within(fields, onnx.GRAPH) for field in part]
    restored: list[bytes] = []
    constants: list[bytes] = []
    others: list[bytes] = []
    for field in graph:
        weight = _weight(list(read(field.value))) if field.number == onnx.INITIALIZER else None
        if weight is None:
            others.append(bytes(field.raw))
            continue
        node, stored = store(*weight)
        restored.append(node)
        constants += stored
    if not restored:
        raise InputError("There are no weights to quantise in this network.")
    content = b"".join(put(onnx.NODE, node) for node in restored) + b"".join(others)
    content += b"".join(put(onnx.INITIALIZER, constant) for constant in constants)
    return b"".join(bytes(f.raw) for f in fields if f.number != onnx.GRAPH) + put(onnx.GRAPH, content)


def rounded(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """int8 values and the scale of each of the C output channels of (C, ...) weights.

    >>> rounded(np.array([[1.0, -0.5], [0.0, 0.0]], np.float32))[0].tolist()
    [[127, -64], [0, 0]]
    """
    step = np.abs(weights).reshape(len(weights), -1).max(1) / np.float32(LEVELS)
    scale = np.where(step >= np.finfo(np.float32).tiny, step, np.float32(1)).astype(np.float32)
    shaped = scale.reshape(-1, *[1] * (weights.ndim - 1))
    return np.rint(weights / shaped).astype(np.int8), scale


def _weight(tensor: list[Field]) -> tuple[str, npt.NDArray[np.float32]] | None:
    """Name and values, where it is a float32 weight worth rounding."""
    shape = [field.value for field in tensor if field.number == onnx.TENSOR_DIMS]
    kind = [field.value for field in tensor if field.number == onnx.TENSOR_TYPE]
    raw = [field.value for field in tensor if field.number == onnx.TENSOR_RAW]
    if kind != [onnx.TYPES["float32"]] or len(shape) < 2 or not raw or prod(shape) < SMALLEST:
        return None
    return texts(tensor, onnx.TENSOR_NAME)[0], np.frombuffer(raw[0], "<f4").reshape(shape)
