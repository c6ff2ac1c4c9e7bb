"""Whether an input is like anything taught: its distance to the nearest kept example, beside those of left-out ones."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np

from engram.heads.regression.curves import Unit, squared_distances
from engram.learner import FloatArray

JUDGED_FROM = 5
"""Left-out examples from which on anything can be unlike what was taught."""

_WHITENED = 256  # columns up to which correlations are taken out: it costs the cube of them
_SHRUNK = 0.1  # of the mean variance is added to every direction
_BY_MODEL = 100.0  # left-out examples that the normal distribution counts for beside their own quantile
_SAME = 1e-9  # a squared distance, of that of a typical input from the mean, at which two are the same input


@dataclass(frozen=True, eq=False)
class Likeness:
    """The test.

    Attributes:
        unit: of the inputs.
        whiten: (D, D) takes correlations out; None for many columns.
        kept: (P, D) examples in that metric.
        distances: (L,) logarithms of the distances of left-out ones to the nearest other, sorted.
    """

    unit: Unit
    whiten: FloatArray | None
    kept: FloatArray
    distances: FloatArray

    @classmethod
    def of(cls, unit: Unit, gram: FloatArray, count: int, rows: FloatArray, sample: FloatArray) -> Self:
        """From (D, D) scatter in the unit over `count` examples, (P, D) kept examples, and (L, D) of them to leave out.
        """
        whiten = None
        width = len(gram)
        if width <= _WHITENED and count > 1:
            values, vectors = np.linalg.eigh(gram / count)
            whiten = vectors / np.sqrt(np.maximum(values, 0.0) + _SHRUNK * max(float(values.mean()), 1e-300))
        kept, left = (unit(some) if whiten is None else unit(some) @ whiten for some in (rows, sample))
        apart = squared_distances(left, kept)
        apart[apart <= _SAME * max(width, 1)] = np.inf  # itself, and what is the same
        nearest = apart.min(axis=1, initial=np.inf)
        found = 0.5 * np.log(nearest[np.isfinite(nearest)])
        return cls(unit, whiten, kept, np.sort(found))

    def limit(self, alpha: float) -> float:
        """The logarithm of the distance beyond which a share alpha of known inputs lies."""
        count = len(self.distances)
        if count < JUDGED_FROM:
            return float("inf")
        mean, deviation = float(self.distances.mean()), float(self.distances.std(ddof=1))
        modelled = mean + NormalDist().inv_cdf(1.0 - alpha) * deviation * (1.0 + 1.0 / count)
        share = count / (count + _BY_MODEL)
        return share * float(np.quantile(self.distances, 1.0 - alpha)) + (1.0 - share) * modelled

    def familiarity(self, rows: FloatArray, alpha: float) -> FloatArray:
        """(N,) how far (N, D) inputs are within the limit: known where it is 0 or more; 0 while too few are known."""
        limit = self.limit(alpha)
        if not np.isfinite(limit):
            return np.zeros(len(rows))
        moved = self.unit(rows)
        moved = moved if self.whiten is None else moved @ self.whiten
        nearest = squared_distances(moved, self.kept).min(axis=1)
        familiarity: FloatArray = limit - 0.5 * np.log(np.maximum(nearest, 1e-12))
        return familiarity
