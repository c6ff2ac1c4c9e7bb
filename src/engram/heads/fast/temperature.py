"""Scores as probabilities: the softmax temperature that fits examples best (Guo et al. 2017, arXiv 1706.04599)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.head import softmax
from engram.learner import FloatArray

_CANDIDATES = np.geomspace(1e-2, 1e2, 17)


class Tempered(NamedTuple):
    """The best temperature, and what each example's true label costs at it: (M,) −ln of its probability."""

    temperature: float
    losses: FloatArray

    def better_than(self, other: Tempered, errors: float) -> bool:
        """Whether it costs less on the same examples, by that many standard errors of the mean difference."""
        gain = other.losses - self.losses
        return bool(gain.mean() > errors * gain.std() / np.sqrt(len(gain)))


def temper(scores: FloatArray, truth: npt.NDArray[np.intp]) -> Tempered:
    """Fit the temperature to (M, C) scores, −inf where there is none, and the true columns.

    >>> sharp = temper(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))
    >>> sharp.temperature
    0.01
    """
    scores = np.where(np.isfinite(scores), scores, scores[np.isfinite(scores)].min())
    rows = np.arange(len(truth))
    trials = [
        Tempered(float(t), -np.log(np.maximum(softmax(scores / t)[rows, truth], 1e-12))) for t in _CANDIDATES
    ]
    return min(trials, key=lambda trial: float(trial.losses.mean()))
