"""Features as small integers, so that sums of them, and of their products, are exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.inputs.vectors import unit_length
from engram.learner import FloatArray, InputError, State

LIMIT = 2**13
"""Largest magnitude of a quantised value: products stay below 2^26, so 2^27 of them below 2^53."""

FARTHEST = 2**15 - 1
"""Largest magnitude that int16 holds, for raw readings: up to `LIMIT` they are told as they are, the rest is room."""


class BeyondRange(InputError):
    """A value that is too far from the mean to be told exactly.

    Attributes:
        row, column: where it is.
    """

    def __init__(self, message: str, row: int, column: int) -> None:
        super().__init__(message)
        self.row, self.column = row, column


class TooSmall(InputError):
    """A vector of which nothing would be kept: every value of it is less than half a step.

    Attributes:
        row: which one.
    """

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.row = row


_VALUES = 2**16  # so few stay in the cache between the passes


@dataclass(frozen=True, eq=False)
class Quantisation:
    """x = rint((v − mean) / step), with v scaled to unit length first where `normalise` says so.

    Attributes:
        step: size of one unit, in units of the (normalised) feature. 2^-12 puts every vector of unit
            length within the limit, whatever the mean.
        normalise: divide each vector by its Euclidean norm first.
        mean: (D,) float64, the bundle's m0; None for zeros.
        limit: largest magnitude of a quantised value; None: `LIMIT` for unit length, else `FARTHEST`.

    >>> Quantisation(step=0.5, normalise=False)(np.array([[1.0, -2.0]]))
    array([[ 2., -4.]])
    """

    step: float = 2.0**-12
    normalise: bool = True
    mean: FloatArray | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.step) and self.step > 0):
            raise InputError(f"step must be a positive number, not {self.step!r}.")

    @property
    def most(self) -> int:
        """The largest magnitude of a quantised value."""
        return self.limit or (LIMIT if self.normalise else FARTHEST)

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """(N, D) float64 holding integers.

        Raises:
            InputError: a vector of zeros where lengths are normalised.
            BeyondRange: a value beyond `limit` steps from the mean.
        """
        return self._fill(vectors, np.empty(vectors.shape))

    def asked(self, vectors: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """The integers for vectors that are only asked about, and (N,) which of them cannot be told: nothing like them
        can have been taught. Of these, values beyond the limit count as the limit.
        """
        lost: npt.NDArray[np.bool_] = np.zeros(len(vectors), bool)
        if not self.normalise or vectors.any(axis=1).all():
            centred = self._centred(vectors)
            if max(centred.max(), -centred.min()) <= self.most:
                centred += 0.0  # no negative zeros
                return centred, lost
        if self.normalise:  # zeros have no direction
            lost |= ~vectors.any(axis=1)
        centred = self._centred(np.where(lost[:, None], 1.0, vectors) if lost.any() else vectors)
        lost |= (np.abs(centred) > self.most).any(axis=1)
        np.clip(centred, -self.most, self.most, out=centred)
        centred += 0.0  # no negative zeros
        return centred, lost

    def check_kept(self, vectors: FloatArray, quantised: npt.NDArray[Any]) -> None:
        """Raises TooSmall where one of (N, D) vectors became zeros that was none: it would be counted, and nothing of
        it kept.

        A reading may well be near 0 once. So it has to be no accident: the chance that so many values of vectors which
        reach about 2^10 steps are all less than half a step is below 10^-6.
        """
        if self.normalise or (self.mean is not None and self.mean.any()):
            return  # then zeros are a direction, or the mean, like any other
        gone = ~quantised.any(axis=1)
        if not gone.any():
            return
        values = np.count_nonzero(vectors, axis=1)
        gone &= values > 0
        together = float(values.sum()) if gone.all() else 0.0
        gone &= 0.5**(11 * np.maximum(values, together)) * len(vectors) < 1e-6
        if gone.any():
            row = int(gone.argmax())
            largest = np.abs(vectors[row]).max()
            raise TooSmall(f"Vector {row + 1} would be kept as zeros: its largest value, {largest:.4g}, is less than "
                           f"half a step of {self.step:.4g}. Scale the vectors, or use a smaller step.", row)

    def small(self, vectors: FloatArray) -> npt.NDArray[np.int16]:
        """The same, (N, D), as int16: a quarter of the bytes. Raises InputError likewise."""
        return self._fill(vectors, np.empty(vectors.shape, np.int16))

    def _fill(self, vectors: FloatArray, quantised: npt.NDArray[Any]) -> npt.NDArray[Any]:
        some = max(1, _VALUES // vectors.shape[1])
        for start in range(0, len(vectors), some):
            rows = self._centred(vectors[start : start + some])
            if max(rows.max(), -rows.min()) > self.most:
                row, column = map(int, np.argwhere(np.abs(rows) > self.most)[0])
                raise BeyondRange(
                    f"Vector {start + row + 1}, column {column + 1}: the value lies "
                    f"{abs(rows[row, column]) * self.step:.4g} from the mean; "
                    f"with step {self.step:.4g} at most {self.most * self.step:.4g} is exact. "
                    "Scale the vectors, or use a larger step.", start + row, column,
                )  # fmt: skip
            np.add(rows, 0.0, out=quantised[start : start + some], casting="unsafe")  # no negative zeros
        return quantised

    def _centred(self, vectors: FloatArray) -> FloatArray:
        """In whole steps from the mean, however many."""
        rows = unit_length(vectors) if self.normalise else vectors
        if self.mean is not None:
            rows = rows - self.mean
        with np.errstate(over="ignore"):
            rows = rows * (1.0 / self.step)
        return np.rint(rows, out=rows)

    def config(self) -> dict[str, Any]:
        return {"step": self.step, "normalise": self.normalise}

    def arrays(self) -> State:
        return {} if self.mean is None else {"mean": self.mean}


def check_rows(rows: npt.NDArray[np.int16], width: int | None) -> None:
    """Raises InputError where these cannot be (N, D) rows that were quantised before."""
    if rows.ndim != 2 or rows.dtype != np.int16 or width not in (None, rows.shape[1]):
        raise InputError(f"Expected int16 rows (N, {width or 'D'}), not {rows.dtype} {rows.shape}.")
    if rows.size and not -FARTHEST <= rows.min() <= rows.max() <= FARTHEST:
        raise InputError(f"Rows hold integers from {-FARTHEST} to {FARTHEST}; these reach {rows.min()} to"
                         f" {rows.max()}.")
