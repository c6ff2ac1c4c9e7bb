"""From comparisons to answers: scores, confidence and what counts as known, read as the calibration says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from engram.heads.fast.metric import Centres, Comparison, Metric
from engram.heads.fast.novelty import Novelty
from engram.heads.fast.one_by_one import together
from engram.heads.head import focus
from engram.learner import FloatArray

if TYPE_CHECKING:
    from engram.heads.fast.exclusion import Excluded, Exclusion

ReadOutKind = Literal["auto", "class", "cosine", "linear", "priors", "prototypes", "kernel", "logistic", "pool"]


class Reader(Protocol):
    """A read-out.

    Attributes:
        largest: values of the largest matrix that inputs are multiplied by, beside the metric and the class sums.
    """

    @property
    def largest(self) -> int: ...

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) scores, larger is better, of (N, D) quantised rows that were compared with the class means."""


class ByClass(NamedTuple):
    """Scores from the comparison with the class means."""

    kind: ReadOutKind

    @property
    def largest(self) -> int:
        return 0

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) of (N, D) quantised rows."""
        return score(by_class, self.kind, metric.freedom)


class ByPrototype(NamedTuple):
    """The cosine with the most similar prototype of each class."""

    centres: Centres

    @property
    def largest(self) -> int:
        return self.centres.sums.size

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) of (N, D) quantised rows."""
        return self.centres.best(metric.compare(rows, self.centres).cosines)


class Answer(NamedTuple):
    """(N, C) scores and (N,) the rest."""

    scores: FloatArray
    known: npt.NDArray[np.bool_]
    confidence: FloatArray
    focus: FloatArray
    familiarity: FloatArray


@dataclass(frozen=True, eq=False)
class Calibration:
    """How scores are read, and what counts as known.

    Attributes:
        temperature: of the softmax that turns scores into confidence.
        by_distance: whether what resembles is told by the distance, as for raw readings, or by the cosine.
        novelty: how taught and strange things resemble the classes.
        alphas: (C,) the share of known things that may be refused.
        thresholds: (C,) resemblance with each class below which an input is refused.
    """

    temperature: float
    by_distance: bool
    novelty: Novelty
    alphas: FloatArray
    thresholds: FloatArray


class Reading(NamedTuple):
    """All that answers come from at one moment.

    Attributes:
        metric: the precision A.
        classes: the class means.
        reader: what scores come from: the read-out that did best on left-out examples.
        calibration: how that is read.
        exclusion: what counterexamples rule out, where there are any.
    """

    metric: Metric
    classes: Centres
    reader: Reader
    calibration: Calibration
    exclusion: Exclusion | None = None

    def kept(self) -> Reading:
        """The same with class sums and counts of its own, so that no later change shows in it."""
        return self._replace(classes=self.classes.kept())

    @property
    def together(self) -> int:
        """How many inputs may be asked about at once and be answered, to the bit, as each would be alone."""
        if self.exclusion is not None:
            return 1
        return together(max(self.metric.largest, self.classes.sums.size, self.reader.largest))

    def answer(self, rows: FloatArray, columns: list[int] | None) -> Answer:
        """Scores of (N, D) integer rows against all classes, or those of `columns`.

        Whether an input is known is judged against all classes, whichever are in question.
        """
        by_class = self.metric.compare(rows, self.classes)
        excluded = None if self.exclusion is None else self.exclusion.applied(self.metric, rows, by_class)
        return self.read(by_class, self.reader.scores(rows, by_class, self.metric), columns, excluded)

    def read(
        self, by_class: Comparison, scores: FloatArray, columns: list[int] | None = None,
        excluded: Excluded | None = None,
    ) -> Answer:
        """The answers for N inputs that were compared with the class means, and have these (N, C) scores."""
        calibration = self.calibration
        alike = resemblance(by_class, calibration.by_distance, self.metric.freedom)
        above = alike - calibration.thresholds
        if excluded is not None:
            scores = np.where(excluded.labels, -np.inf, scores)
            above = np.where(excluded.labels | excluded.all[:, None], -np.inf, above)
        familiarity = above.max(axis=1)
        if columns is not None:
            scores, alike = scores[:, columns], alike[:, columns]
        best = scores.max(axis=1, keepdims=True)
        left = np.isfinite(best[:, 0])  # else every label in question is ruled out
        total = np.exp((scores - np.where(left[:, None], best, 0.0)) / calibration.temperature).sum(axis=1)
        confidence = np.divide(1.0, total, out=np.zeros(len(total)), where=left)
        return Answer(scores, left & (familiarity >= 0.0), confidence, focus(alike), familiarity)


def score(comparison: Comparison, kind: ReadOutKind, freedom: float) -> FloatArray:
    """(N, K) scores: larger is better."""
    if kind == "linear":
        return comparison.linear() * freedom
    if kind == "priors":
        return comparison.linear() * freedom - np.log(1.0 / comparison.widening - 1.0)
    return comparison.cosines


def resemblance(comparison: Comparison, by_distance: bool, freedom: float) -> FloatArray:
    """(N, K) how much inputs are like centres: the cosine, or −ln of the distance in deviations of an example."""
    if not by_distance:
        return comparison.cosines
    alike: FloatArray = -0.5 * np.log(np.maximum(comparison.distance() * freedom, 1e-12))
    return alike
