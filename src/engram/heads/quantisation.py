"""Features as small integers, so that sums of them, and of their products, are exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.inputs.vectors import unit_length
from engram.learner import FloatArray, InputError, State

LIMIT = 2**13
"""Largest magnitude of a quantised value: products stay below 2^26, so 2^27 of them below 2^53."""

_ROWS = 512


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
        quantised = np.empty(vectors.shape)
        for start in range(0, len(vectors), _ROWS):  # rows that stay in the cache between the passes
            rows = vectors[start : start + _ROWS]
            if self.normalise:
                rows = unit_length(rows)
            if self.mean is not None:
                rows = rows - self.mean
            out = quantised[start : start + _ROWS]
            np.multiply(rows, 1.0 / self.step, out=out)
            np.rint(out, out=out)
            if max(out.max(), -out.min()) > LIMIT:
                raise InputError(
                    f"A value lies {np.abs(out).max() * self.step:.4g} from the mean; with step "
                    f"{self.step:.4g} at most {LIMIT * self.step:.4g} is exact. "
                    "Scale the vectors, or use a larger step."
                )
        quantised += 0.0  # no negative zeros
        return quantised

    def config(self) -> dict[str, Any]:
        return {"step": self.step, "normalise": self.normalise}

    def arrays(self) -> State:
        return {} if self.mean is None else {"mean": self.mean}
