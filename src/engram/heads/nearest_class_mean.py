"""Nearest class mean: the class whose mean is nearest in Euclidean distance.

T. Mensink, J. Verbeek, F. Perronnin, G. Csurka, "Distance-based image classification: generalizing to new
classes at near-zero cost", IEEE TPAMI 35(11), 2013.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from engram.heads.class_sums import ClassSums
from engram.heads.confidence import by_distance
from engram.heads.exact_sums import ExactSums
from engram.heads.moments import MomentHead
from engram.learner import FloatArray, Label, Predictions


class NearestClassMean(MomentHead):
    """Scores are −‖x − μ_c‖². Learning costs O(D) for an example, predicting O(CD).

    >>> head = NearestClassMean(normalise=False)
    >>> head.learn([[0.0, 0.0], [0.2, 0.0], [1.0, 1.0]], ["low", "low", "high"])
    >>> head.predict([0.9, 0.7]).labels
    ['high']
    """

    memory: ClassVar[type[ExactSums]] = ClassSums

    def _fit(self, sums: ExactSums) -> None:
        self._means = sums.means() * self._quantise.step

    def _read(self, features: FloatArray) -> FloatArray:
        vectors = features * self._quantise.step
        squared = (vectors**2).sum(axis=1)[:, None] - 2 * vectors @ self._means.T
        squared += (self._means**2).sum(axis=1)
        scores: FloatArray = -np.maximum(squared, 0.0)
        return scores

    def _answer(self, candidates: tuple[Label, ...], scores: FloatArray) -> Predictions:
        answers = super()._answer(candidates, scores)
        answers.confidence[:] = by_distance(-scores)
        return answers
