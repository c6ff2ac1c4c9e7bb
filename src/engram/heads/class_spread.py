"""Some classes are wider than others: cosines read by how far each class's own examples lie from its mean.

All classes share one covariance, which is what makes few examples enough. Yet a class that the backbone was not trained
on scatters more, and loses its outlying examples to narrower neighbours. So each class's angular distance r = 1 − cos
is read like a variance of its own: r/s + m ln s, with s the class's typical distance relative to the mean m, as in a
discriminant with one scale for each class (cf. Friedman 1989, Regularized Discriminant Analysis). s is shrunk to its
fourth root; validation chose the exponent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.learner import FloatArray

EXPONENT = 0.25


class ClassSpread(NamedTuple):
    """The mean distance m of left-out examples from their own class mean, and s for each class."""

    typical: float
    scales: tuple[float, ...]

    def read(self, cosines: FloatArray) -> FloatArray:
        """(N, C) scores from cosines: the cosine itself for a class of typical spread."""
        scales = np.ones(cosines.shape[1])
        scales[: len(self.scales)] = self.scales  # a label that came since counts as typical
        scores: FloatArray = 1.0 - (1.0 - cosines) / scales - self.typical * np.log(scales)
        return scores


def class_spread(cosines: FloatArray, truth: npt.NDArray[np.intp]) -> ClassSpread:
    """From (M, C) cosines of left-out examples and their classes.

    >>> wide = class_spread(np.array([[0.9, 0.0], [0.9, 0.0], [0.0, 0.2]]), np.array([0, 0, 1]))
    >>> wide.scales[1] > 1 > wide.scales[0]
    True
    """
    own = np.maximum(1.0 - cosines[np.arange(len(truth)), truth], 1e-9)
    typical = float(own.mean())
    counts = np.bincount(truth, minlength=cosines.shape[1])
    sums = np.bincount(truth, weights=own, minlength=cosines.shape[1])
    means = np.where(counts > 0, sums / np.maximum(counts, 1), typical)
    return ClassSpread(typical, tuple(((means / typical) ** EXPONENT).tolist()))
