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

_VALUES = 2**16  # so few stay in the cache between the passes


@dataclass(frozen=True, eq=False)
class Quantisation:
    """x = rint((v − mean) / step), with v scaled to unit length first where `normalise` says so.

    Attributes:
        step: size of one unit, in units of the (normalised) feature. 2^-12 puts every vector of unit
            length within the limit, whatever the mean.
        normalise: divide each vector by its Euclidean norm first.
        mean: (D,) float64, the bundle's m0; None for zeros.

    >>> Quantisation(step=0.5, normalise=False)(np.array([[1.0, -2.0]]))
    array([[ 2., -4.]])
    """

    step: float = 2.0**-12
    normalise: bool = True
    mean: FloatArray | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.step) and self.step > 0):
            raise InputError(f"step is a positive number, not {self.step!r}.")

    def __call__(self, vectors: FloatArray) -> FloatArray:
        """(N, D) float64 holding integers.

        Raises:
            InputError: a vector of zeros where lengths are normalised, or a value beyond
                `LIMIT` steps from the mean.
        """
        return self._fill(vectors, np.empty(vectors.shape))

    def small(self, vectors: FloatArray) -> npt.NDArray[np.int16]:
        """The same as int16: a quarter of the bytes. Raises InputError likewise."""
        return self._fill(vectors, np.empty(vectors.shape, np.int16))

    def _fill(self, vectors: FloatArray, quantised: npt.NDArray[Any]) -> npt.NDArray[Any]:
        some = max(1, _VALUES // vectors.shape[1])
        for start in range(0, len(vectors), some):
            rows = vectors[start : start + some]
            if self.normalise:
                rows = unit_length(rows)
            if self.mean is not None:
                rows = rows - self.mean
            rows = rows * (1.0 / self.step)
            np.rint(rows, out=rows)
            if max(rows.max(), -rows.min()) > LIMIT:
                raise InputError(
                    f"A value lies {np.abs(rows).max() * self.step:.4g} from the mean; with step "
                    f"{self.step:.4g} at most {LIMIT * self.step:.4g} is exact. "
                    "Scale the vectors, or use a larger step."
                )
            np.add(rows, 0.0, out=quantised[start : start + some], casting="unsafe")  # no negative zeros
        return quantised

    def config(self) -> dict[str, Any]:
        return {"step": self.step, "normalise": self.normalise}

    def arrays(self) -> State:
        return {} if self.mean is None else {"mean": self.mean}


def check_rows(rows: npt.NDArray[np.int16], width: int | None) -> None:
    """Raises InputError where these cannot be rows that were quantised before."""
    if rows.ndim != 2 or rows.dtype != np.int16 or width not in (None, rows.shape[1]):
        raise InputError(f"Expected int16 rows (N, {width or 'D'}), not {rows.dtype} {rows.shape}.")
    if rows.size and not -LIMIT <= rows.min() <= rows.max() <= LIMIT:
        raise InputError(f"Rows hold integers from {-LIMIT} to {LIMIT}; these reach {rows.min()} to {rows.max()}.")
