"""Numbers to be answered as small integers, so that sums of them and of their products are exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engram.heads.quantisation import FARTHEST
from engram.inputs.vectors import as_array
from engram.learner import FloatArray, InputError

_LOW = 2**15
"""A number is `high` times this plus `low`: both are small, so that sums of their products stay exact."""

_STEP = 2.0**-10
_USUAL = (2.0**-4, 2.0**14)  # largest first numbers that this step fits: it reaches to ±2^20
_ROOM = 2.0**-24  # of the largest first number is one step otherwise: numbers 32 times as large still fit

VALUE = "value"
"""What a number is called that came without a name."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What K numbers are called, and how they become 2K integers.

    Attributes:
        names: one for each number.
        steps: what one unit stands for; a number may be up to about 2^30 units from 0.

    >>> price = Targets(("price",), (0.5,))
    >>> price.rows([[1.2], [100000.0]]).tolist()
    [[0, 2], [6, 3392]]
    >>> price.values(price.rows([[1.2], [100000.0]])).tolist()
    [[1.0], [100000.0]]
    """

    names: tuple[str, ...]
    steps: tuple[float, ...]

    @classmethod
    def like(cls, values: FloatArray, names: Sequence[str] | None = None) -> Self:
        """For numbers such as these first (N, K): 2^-10 is one unit, unless the largest is beyond 2^14 or below 2^-4.
        """
        steps = []
        for largest in np.abs(values).max(axis=0).tolist():
            usual = not largest or _USUAL[0] <= largest <= _USUAL[1]
            steps.append(_STEP if usual else float(2.0 ** np.ceil(np.log2(largest)) * _ROOM))
        return cls(tuple(names or called(len(steps))), tuple(steps))

    @property
    def count(self) -> int:
        """K, how many numbers are answered."""
        return len(self.names)

    @property
    def label(self) -> str:
        """What stands where a classifier has a label."""
        return ", ".join(self.names)

    def rows(self, values: npt.ArrayLike) -> npt.NDArray[np.int16]:
        """(N, 2K) int16: the high parts, then the low parts, of (N, K) numbers.

        Raises:
            InputError: a number beyond the range.
        """
        numbers = np.asarray(values, np.float64)
        units = np.rint(numbers / np.array(self.steps))
        far = np.abs(units) > FARTHEST * _LOW - _LOW
        if far.any():
            row, column = map(int, np.argwhere(far)[0])
            reach = (FARTHEST - 1) * _LOW * self.steps[column]
            raise InputError(f"Number {row} ({self.names[column]}) is {numbers[row, column]:.6g}, beyond ±{reach:.4g}: "
                             "the range follows the first numbers that are taught. Correct it, or teach a new brain "
                             "numbers as large as this one first.")
        high = np.floor((units + _LOW / 2) / _LOW)
        return np.concatenate([high, units - high * _LOW], axis=1).astype(np.int16)

    def values(self, rows: npt.NDArray[Any]) -> FloatArray:
        """(N, K) numbers from (N, 2K) rows."""
        high, low = (rows[:, part].astype(np.float64) for part in (slice(self.count), slice(self.count, None)))
        numbers: FloatArray = (high * _LOW + low) * np.array(self.steps)
        return numbers

    def combined(self, sums: FloatArray) -> FloatArray:
        """(..., K) sums of the numbers, from (..., 2K) sums of their parts."""
        whole: FloatArray = (sums[..., : self.count] * _LOW + sums[..., self.count :]) * np.array(self.steps)
        return whole

    def as_json(self) -> dict[str, Any]:
        """What `from_json` makes the same of."""
        return {"names": list(self.names), "steps": list(self.steps)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError where it does not fit."""
        names, steps = tuple(map(str, values["names"])), tuple(float(step) for step in values["steps"])
        if not names or len(names) != len(steps) or not all(0 < step < float("inf") for step in steps):
            raise ValueError("names and steps of numbers do not fit each other")
        return cls(names, steps)


def called(count: int) -> tuple[str, ...]:
    """What so many numbers are called that came without names.

    >>> called(1), called(2)
    (('value',), ('value 1', 'value 2'))
    """
    return (VALUE,) if count == 1 else tuple(f"{VALUE} {place}" for place in range(1, count + 1))


def as_numbers(given: Any, inputs: int, columns: int | None = None) -> FloatArray:
    """Numbers to be answered as (N, K) float64.

    Args:
        given: (N,) or (N, K), or for one input (K,) or a single number.
        inputs: N.
        columns: the K that is wanted, if it is known.

    Raises:
        InputError: not numbers, another N or K, NaN or infinity.

    >>> as_numbers([1.5, 2.5], 2).shape, as_numbers(7, 1).shape
    ((2, 1), (1, 1))
    """
    array = as_array(given)
    if array.dtype.kind not in "fiu":
        try:
            if array.dtype.kind not in "O":
                raise ValueError
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise InputError(f"This brain answers numbers: teach it numbers, not {_shown(array)}.") from None
    numbers = array.astype(np.float64)
    if numbers.ndim == 0:
        numbers = np.full((inputs, 1), float(numbers)) if columns in (None, 1) else numbers[None, None]
    elif numbers.ndim == 1:
        numbers = numbers[None] if inputs == 1 and len(numbers) == (columns or len(numbers)) else numbers[:, None]
    if numbers.ndim != 2 or len(numbers) != inputs or not numbers.shape[1]:
        raise InputError(f"Got {inputs} inputs but numbers of shape {array.shape}: give one for each, (N,), or "
                         "several, (N, K).")
    if columns is not None and numbers.shape[1] != columns:
        raise InputError(f"Expected {columns} numbers for each input, got {numbers.shape[1]}.")
    if not np.isfinite(numbers).all():
        bad = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise InputError(f"The number of input {bad} is NaN or infinite: fill in missing values, or leave it out.")
    return numbers


def _shown(array: npt.NDArray[Any]) -> str:
    return repr(array.ravel()[:1].tolist()[0]) if array.size else "nothing"
