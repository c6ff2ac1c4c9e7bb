"""A masked module's tensors without what is dormant: what is saved, and what a small device has to hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import State
from engram.structure.masked import SUFFIX

ALIVE, VALUES = ".alive", ".values"


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
        if mask is not None:
            small[name + ALIVE] = np.packbits(mask != 0)
            small[name + VALUES] = array[mask != 0]
            small[name + ".shape"] = np.array(array.shape, np.int64)
        elif not (name.endswith(SUFFIX) and name.removesuffix(SUFFIX) in tensors):
            small[name] = array.copy()
    return small


def expand(small: Mapping[str, npt.NDArray[Any]]) -> State:
    """The arrays and masks that `compact` was given.

    Raises:
        KeyError, ValueError: an entry is missing, or values and mask do not fit.
    """
    tensors: State = {}
    for name, array in small.items():
        if name.endswith(ALIVE):
            weight = name.removesuffix(ALIVE)
            shape, values = tuple(small[weight + ".shape"].tolist()), small[weight + VALUES]
            mask = np.unpackbits(array, count=int(np.prod(shape))).reshape(shape).astype(values.dtype)
            whole = np.zeros(shape, values.dtype)
            whole[mask != 0] = values
            tensors |= {weight: whole, weight + SUFFIX: mask}
        elif not name.endswith((VALUES, ".shape")):
            tensors[name] = array
    return tensors
