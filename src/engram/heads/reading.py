"""From comparisons to answers: scores, confidence and what counts as known, read as the calibration says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.class_spread import ClassSpread
from engram.heads.exact_sums import ExactSums
from engram.heads.head import Positions
from engram.heads.metric import Centres, Comparison, Metric
from engram.heads.novelty import Novelty, axes, distances, finite, likeliest
from engram.learner import FloatArray

ReadOutKind = Literal["auto", "class", "cosine", "linear", "prototypes"]

_STALE = 1.5  # growth after which the calibration is made anew
_STALE_LABELS = 1.1  # growth in labels after which it is


class Answer(NamedTuple):
    """(N, C) scores and (N,) the rest."""

    scores: FloatArray
    known: npt.NDArray[np.bool_]
    confidence: FloatArray
    focus: FloatArray
    familiarity: FloatArray


@dataclass(frozen=True)
class Calibration:
    """How scores are read: the kind that did best on left-out examples, and what counts as known."""

    kind: ReadOutKind
    novelty: Novelty
    spread: ClassSpread
    total: int  # examples, degrees of freedom and labels, when it was made
    degrees: int
    labels: int

    def fits(self, sums: ExactSums) -> bool:
        """Whether the data is still of about the size it was made for.

        A new label among few changes what focus is measured against, the mean of the other labels, at once.
        """
        pairs = ((self.total, sums.total), (self.degrees, sums.degrees))
        labels = sorted((self.labels, sums.classes))
        return labels[1] <= _STALE_LABELS * labels[0] and all(max(pair) < _STALE * min(pair) + 1 for pair in pairs)


class Reading(NamedTuple):
    """All that answers come from at one moment.

    Attributes:
        metric: the precision A.
        classes: the class means.
        centres: what inputs are compared with: the class means, or prototypes.
        calibration: how that is read.
    """

    metric: Metric
    classes: Centres
    centres: Centres
    calibration: Calibration

    def kept(self) -> Reading:
        """The same with class sums and counts of its own, so that no later change shows in it."""
        kept = self.classes.kept()
        return self._replace(classes=kept, centres=kept if self.centres.starts is None else self.centres)

    def answer(self, rows: FloatArray, columns: list[int] | None) -> Answer:
        """Scores of (N, D) integer rows against all classes, or those of `columns`.

        Whether an input is known is judged against all classes, whichever are in question.
        """
        comparison = self.metric.compare(rows, self.centres)
        spread = distances(comparison, self.centres, self.metric.freedom)
        nearest = likeliest(spread, self.classes.counts, self.calibration.novelty.typical)
        return self._read(comparison, spread, nearest, self.classes.counts[nearest], columns)

    def answer_without(self, rows: FloatArray, truth: Positions, prototypes: Positions) -> Answer:
        """The same for taught examples, each as if it had never been taught.

        Args:
            truth: (N,) their classes, of at least two examples each.
            prototypes: (N,) the prototypes that hold them.
        """
        own = truth if self.centres.starts is None else prototypes
        comparison = self.metric.compare_without(rows, truth, self.classes, self.centres, own)
        spread = finite(distances(comparison, self.centres, self.metric.freedom))
        nearest = likeliest(spread, self.classes.counts, self.calibration.novelty.typical)
        return self._read(comparison, spread, nearest, self.classes.counts[nearest] - (nearest == truth), None)

    def _read(
        self, comparison: Comparison, spread: FloatArray, nearest: Positions, of_nearest: FloatArray,
        columns: list[int] | None,
    ) -> Answer:
        kind, novelty, freedom = self.calibration.kind, self.calibration.novelty, self.metric.freedom
        scores = self.centres.best(score(comparison, kind, freedom, self.calibration.spread))
        focus, familiarity = axes(spread, spread[np.arange(len(spread)), nearest])
        known = novelty.known(focus, familiarity, of_nearest)
        if columns is not None:
            scores = scores[:, columns]
        best = scores.max(axis=1, keepdims=True)
        confidence = 1.0 / np.exp((scores - best) / novelty.temperature).sum(axis=1)
        return Answer(scores, known, confidence, focus, familiarity)


def score(comparison: Comparison, kind: ReadOutKind, freedom: float, spread: ClassSpread) -> FloatArray:
    """(N, K) scores: larger is better."""
    if kind == "linear":
        return comparison.linear() * freedom
    return spread.read(comparison.cosine()) if kind == "cosine" else comparison.cosine()
