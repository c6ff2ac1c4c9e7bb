"""Arrays of any shape, checked at the door: what networks learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.inputs.vectors import as_array
from engram.learner import InputError

Batch = npt.NDArray[np.float32]


def as_batch(inputs: Any, shape: Sequence[int] | None = None) -> Batch:
    """One input or many as a finite (N, ...) float32 array.

    Args:
        inputs: (N, ...), one of that shape, or flattened ones (N, size); anything numpy reads as real numbers.
        shape: of one input, if it is known; without it the first dimension counts the inputs.

    Raises:
        InputError: empty, not numeric, of another shape, NaN or infinity.

    >>> as_batch([[0, 1], [2, 3]], shape=(2, 2)).shape
    (1, 2, 2)
    >>> as_batch(np.zeros((5, 4)), shape=(2, 2)).shape
    (5, 2, 2)
    """
    array = _numbers(inputs)
    array = array[None] if array.ndim < 2 and shape is None else _shaped(array, shape)
    if not array.size:
        raise InputError(f"Nothing to work on: 0 values in an array of shape {array.shape}.")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    # one pass without a temporary array: a sum is finite unless something in it is not, or it overflows
    if not np.isfinite(array.sum()) and not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0])
        raise InputError(f"Input {bad} contains NaN or infinity, or what float32 cannot hold.")
    return array


def _numbers(inputs: Any) -> npt.NDArray[Any]:
    array = as_array(inputs)
    try:
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Inputs are not a rectangle of numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"Inputs are real numbers, not {array.dtype}.")
    return array


def _shaped(array: npt.NDArray[Any], shape: Sequence[int] | None) -> npt.NDArray[Any]:
    if shape is None:
        return array
    wanted = tuple(shape)
    if array.shape in {wanted, (int(np.prod(wanted)),)}:
        return array.reshape(1, *wanted)
    if array.ndim and array.shape[1:] in {wanted, (int(np.prod(wanted)),)}:
        return array.reshape(len(array), *wanted)
    raise InputError(f"Expected inputs of shape {wanted}, got an array of shape {array.shape}.")
