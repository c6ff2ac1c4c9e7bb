"""What inputs look like to a learner: vectors for a head, channels first for a convolutional network."""

from __future__ import annotations

import numpy as np

from engram.lab.data_sets.data_set import Array
from engram.learner import InputError


def flattened(inputs: Array) -> Array:
    """(N, ...) as (N, D) float32; bytes come as 0 to 1.

    >>> flattened(np.full((2, 8, 8), 255, np.uint8)).shape
    (2, 64)
    """
    return scaled(inputs).reshape(len(inputs), int(np.prod(inputs.shape[1:])))


def channels_first(inputs: Array) -> Array:
    """(N, H, W) or (N, H, W, C) pictures as (N, C, H, W) float32; bytes come as 0 to 1.

    Raises:
        InputError: not pictures.

    >>> channels_first(np.zeros((2, 8, 9, 3))).shape
    (2, 3, 8, 9)
    """
    if inputs.ndim not in (3, 4):
        raise InputError(f"Pictures are (N, H, W) or (N, H, W, C), not {inputs.shape}.")
    deep = inputs[:, None] if inputs.ndim == 3 else np.moveaxis(inputs, 3, 1)
    return np.ascontiguousarray(scaled(deep))


def scaled(inputs: Array) -> Array:
    """The same as float32; bytes, which run from 0 to 255, come as 0 to 1."""
    return inputs.astype(np.float32) / np.float32(255) if inputs.dtype == np.uint8 else inputs.astype(np.float32)
