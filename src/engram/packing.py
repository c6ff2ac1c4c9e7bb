"""Named arrays as the bytes of a safetensors file: the one place that writes the format.

`safetensors` 0.8.0 writes an array's memory as it lies, so a transposed or strided array comes back as other numbers.
Here every array is laid out in C order first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def pack(arrays: Mapping[str, Any], about: Mapping[str, str] | None = None) -> bytes:
    """Arrays of numbers, in whatever order they lie in memory.

    Args:
        arrays: name -> array of any shape; bool, integer or float.
        about: texts for the file's header.

    Raises:
        SafetensorError: an array of something else than numbers.

    >>> from safetensors.numpy import load
    >>> load(pack({"a": np.arange(4.0).reshape(2, 2).T}))["a"].tolist()
    [[0.0, 2.0], [1.0, 3.0]]
    """
    from safetensors.numpy import save

    laid_out = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    return save(laid_out, None if about is None else dict(about))


def pack_tensors(tensors: Mapping[str, torch.Tensor], about: Mapping[str, str] | None = None) -> bytes:
    """PyTorch's tensors, of any layout and device; tensors that share memory are written once each."""
    import torch
    from safetensors.torch import save

    laid_out = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    return save(laid_out, None if about is None else dict(about))
