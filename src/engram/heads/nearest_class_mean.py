"""Nearest class mean: the class whose mean is nearest in Euclidean distance.

T. Mensink, J. Verbeek, F. Perronnin, G. Csurka, "Distance-based image classification: generalizing to new
classes at near-zero cost", IEEE TPAMI 35(11), 2013.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from engram.heads.exact_sums import ExactSums
from engram.heads.head import Positions
from engram.heads.moments import MomentHead
from engram.learner import FloatArray, State


class ClassSums(ExactSums):
    """n_c and s_c of each class; of the second moment only the diagonal, (1, D), which costs O(D)."""

    def __init__(self, width: int) -> None:
        super().__init__(0)
        self.width = width
        self._sums = np.zeros((4, width))
        self._gram = np.zeros((1, width))

    def add(self, rows: FloatArray, classes: Positions) -> None:
        """Add (N, D) integer rows to the sums of their classes."""
        self.check_capacity(len(rows))
        self._reserve(int(classes.max()) + 1)
        self.total += len(rows)
        self._class_sums(rows, classes, 1.0)
        self._gram += (rows * rows).sum(axis=0)

    def subtract(self, rows: FloatArray, classes: Positions) -> None:
        """Take back rows that were added before."""
        self.total -= len(rows)
        self._class_sums(rows, classes, -1.0)
        self._gram -= (rows * rows).sum(axis=0)

    def variance(self) -> float:
        """Pooled variance within the classes, with the overall variance as one example's worth of prior."""
        within = self._gram.sum() - (self.sums**2 / self.counts[:, None]).sum()
        overall = self._gram.sum() - (self.sums.sum(axis=0) ** 2).sum() / self.total
        pooled = (within + overall / self.total) / ((self.degrees + 1) * self.width)
        return float(pooled) or 1.0

    @classmethod
    def from_state(cls, state: State) -> ClassSums:
        """Raises ValueError where the arrays do not fit each other or hold no integers."""
        counts, sums, gram = (np.array(state[name], np.float64) for name in ("counts", "sums", "gram"))
        if gram.ndim != 2 or gram.shape[0] != 1 or sums.shape != (len(counts), gram.shape[1]):
            raise ValueError(f"sums {sums.shape}, counts {counts.shape}, gram {gram.shape} do not fit")
        if any((array != np.rint(array)).any() for array in (counts, sums, gram)) or (counts < 0).any():
            raise ValueError("exact sums are integers")
        return cls._holding(counts, sums, gram)

    @classmethod
    def _holding(cls, counts: FloatArray, sums: FloatArray, gram: FloatArray) -> ClassSums:
        made = cls(gram.shape[1])
        made.total = int(counts.sum())
        made._classes, made._counts, made._sums, made._gram = len(counts), counts, sums, gram
        return made


class NearestClassMean(MomentHead):
    """Scores are log-likelihoods −‖x − μ_c‖²/2σ² of one isotropic Gaussian per class, σ² pooled over all.

    Learning costs O(D) for an example, predicting O(CD).

    >>> head = NearestClassMean(normalise=False)
    >>> head.learn([[0.0, 0.0], [0.2, 0.0], [1.0, 1.0]], ["low", "low", "high"])
    >>> head.predict([0.9, 0.7]).labels
    ['high']
    """

    memory: ClassVar[type[ExactSums]] = ClassSums

    def _fit(self, sums: ExactSums) -> None:
        assert isinstance(sums, ClassSums)
        self._means = sums.means()
        self._scale = 1.0 / sums.variance()

    def _read(self, features: FloatArray) -> FloatArray:
        distances = (features**2).sum(axis=1)[:, None] - 2 * features @ self._means.T
        distances += (self._means**2).sum(axis=1)
        scores: FloatArray = -0.5 * self._scale * np.maximum(distances, 0.0)
        return scores
