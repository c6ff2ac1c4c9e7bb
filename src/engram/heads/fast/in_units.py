"""Class means read by distance, each feature in a unit of its own: no covariance, so it holds from the first examples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.metric import Comparison, Metric
from engram.heads.fast.one_by_one import times
from engram.heads.fast.sample import Sample
from engram.learner import FloatArray


class InUnits(NamedTuple):
    """Minus half the squared distance to each class mean, but for what is the same for all classes.

    Attributes:
        middle: (D,) the mean of all examples.
        means: (D, C) the class means from the middle, divided by the squared units.
        norms: (C,) their squared lengths in these units.
    """

    middle: FloatArray
    means: FloatArray
    norms: FloatArray

    @classmethod
    def of(cls, sums: ExactSums, squares: FloatArray) -> InUnits:
        """The class means in units whose squares are (D,)."""
        middle = sums.sums.sum(axis=0) / max(sums.total, 1)
        means = sums.means() - middle
        return cls(middle, (means / squares).T, (np.square(means) / squares).sum(axis=1))

    @property
    def largest(self) -> int:
        return self.means.size

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) of (N, D) quantised rows."""
        found: FloatArray = times(rows - self.middle, self.means) - 0.5 * self.norms
        return found

    def left_out(self, sums: ExactSums, squares: FloatArray, sample: Sample) -> FloatArray:
        """(M, C) scores of the sample, each example as if it and its duplicates had never been taught.

        Without g equal ones of n the class mean lies n/(n − g) times as far from them; −inf where it was all there was.
        """
        rows = sample.rows - self.middle
        own = np.arange(len(rows)), sample.truth
        scores = rows @ self.means - 0.5 * self.norms
        half = 0.5 * (np.square(rows) / squares).sum(axis=1)
        count = sums.counts[sample.truth]
        rest = count - sample.sizes
        away = count / np.maximum(rest, 1e-9)
        scores[own] = np.where(rest < 0.5, -np.inf, half - np.square(away) * (half - scores[own]))
        return scores
