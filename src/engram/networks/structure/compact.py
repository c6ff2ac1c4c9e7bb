"""A masked module's tensors without what is dormant: what is saved, and what a small device has to hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import State
from engram.networks.structure.masks import SUFFIX

ALIVE, VALUES, SHAPE = ".alive", ".values", ".shape"


def compact(tensors: Mapping[str, npt.NDArray[Any]]) -> State:
    """Arrays by name, where every masked weight is kept as one bit for each connection and the live values alone.

    Args:
        tensors: a module's `state_dict` as arrays; `x_mask` is the mask of `x`.

    >>> weights = np.array([[1.5, 0.0, 0.0, 2.5]], np.float32)
    >>> small = compact({"weight": weights, "weight_mask": (weights != 0).astype(np.float32)})
    >>> {name: array.tolist() for name, array in small.items()}
    {'weight.alive': [144], 'weight.values': [1.5, 2.5], 'weight.shape': [1, 4]}
    >>> np.array_equal(expand(small)["weight"], weights)
    True
    """
    small: State = {}
    for name, array in tensors.items():
        mask = tensors.get(name + SUFFIX)
        if mask is not None and mask.shape == array.shape:
            small[name + ALIVE] = np.packbits(mask != 0)
            small[name + VALUES] = array[mask != 0]
            small[name + SHAPE] = np.array(array.shape, np.int64)
        elif not _is_mask(name, tensors):
            small[name] = array.copy()
    return small


def _is_mask(name: str, tensors: Mapping[str, npt.NDArray[Any]]) -> bool:
    masked = tensors.get(name.removesuffix(SUFFIX)) if name.endswith(SUFFIX) else None
    return masked is not None and masked.shape == tensors[name].shape


def expand(small: Mapping[str, npt.NDArray[Any]]) -> State:
    """The arrays and masks that `compact` was given.

    Raises:
        KeyError, ValueError: an entry is missing, or values, mask and shape do not fit each other.
    """
    tensors: State = {}
    for name, array in small.items():
        if name.endswith(ALIVE):
            weight = name.removesuffix(ALIVE)
            tensors[weight], tensors[weight + SUFFIX] = _expanded(
                weight, array, small[weight + VALUES], small[weight + SHAPE])
        elif name.rpartition(".")[0] + ALIVE not in small:
            tensors[name] = array
    return tensors


def _expanded(
    name: str, alive: npt.NDArray[Any], values: npt.NDArray[Any], shape: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    sides = [int(side) for side in shape]
    count = math.prod(sides)
    if min(sides, default=0) < 0 or alive.dtype != np.uint8 or alive.shape != ((count + 7) // 8,):
        raise ValueError(f"{alive.shape} bytes do not tell which connections of {name}, {sides}, are alive")
    mask = np.unpackbits(alive, count=count).astype(bool)
    if values.shape != (int(mask.sum()),):
        raise ValueError(f"{values.shape} values for {int(mask.sum())} live connections of {name}")
    whole = np.zeros(count, values.dtype)
    whole[mask] = values
    return whole.reshape(sides), mask.astype(values.dtype).reshape(sides)
