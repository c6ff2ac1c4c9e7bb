"""From comparisons to answers: scores, confidence and what counts as known, read as the calibration says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.episodes import Episodes
from engram.heads.fast.metric import Centres, Comparison, Metric
from engram.heads.fast.novelty import Novelty
from engram.heads.fast.one_by_one import times, together
from engram.heads.fast.sample import Sample
from engram.heads.fast.temperature import Tempered, temper
from engram.heads.head import Positions, focus
from engram.learner import FloatArray

if TYPE_CHECKING:
    from engram.heads.fast.exclusion import Excluded, Exclusion

POOLED = 4
"""Left-out examples without which all read-outs of a pool weigh the same."""

_SPARE = 64  # left-out examples from which on read-outs are left out that make no answer better
_WORSE = 1e-3  # nats of an example that this may cost
_POWER = 0.3  # of the likelihood; chosen on generated tables: 0.2 to 0.5 do as well
_EXAMPLES = 1024  # that are compared with, of those kept the ones of the smallest SHA-256

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


class InUnits(NamedTuple):
    """Minus half the squared distance to each class mean, each feature in a unit of its own, but for what is the same
    for all classes. There is no covariance in it, so it holds from the first examples.

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


class ByNearest(NamedTuple):
    """Minus half the squared distance to the nearest example of each class, but for what is the same for all classes: a
    boundary of any shape, from few examples. Random features of a kernel tell far too little of ten.

    Attributes:
        rows: (D, R) examples, class by class, divided by the squared units.
        norms: (R,) their squared lengths in these units.
        starts: (C,) where those of each class begin.
    """

    rows: FloatArray
    norms: FloatArray
    starts: Positions

    @property
    def largest(self) -> int:
        return self.rows.size

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) of (N, D) quantised rows."""
        return self._of_classes(times(rows, self.rows) - 0.5 * self.norms)

    def _of_classes(self, each: FloatArray) -> FloatArray:
        found: FloatArray = np.maximum.reduceat(each, self.starts, axis=1)
        return found


def nearest(episodes: Sequence[Episodes], squares: FloatArray, sample: Sample) -> tuple[ByNearest, FloatArray]:
    """The read-out, and (M, C) scores of the sample, each example as if it and its duplicates had never been taught.

    Args:
        episodes: of each class; every one keeps examples.
        squares: (D,) the squared units.
    """
    share = max(1, _EXAMPLES // len(episodes))
    places = [some.smallest(share) for some in episodes]
    kept = np.concatenate([some.rows[chosen] for some, chosen in zip(episodes, places, strict=True)])
    keys = np.concatenate([some.keys()[chosen] for some, chosen in zip(episodes, places, strict=True)])
    lengths = [len(chosen) for chosen in places]
    rows = kept.astype(np.float64)
    found = ByNearest((rows / squares).T, (np.square(rows) / squares).sum(axis=1), np.cumsum([0, *lengths[:-1]]))
    each = sample.rows @ found.rows - 0.5 * found.norms
    classes = np.repeat(np.arange(len(lengths)), lengths)
    each[(sample.keys[:, None] == keys) & (sample.truth[:, None] == classes)] = -np.inf
    return found, found._of_classes(each)


class Member(NamedTuple):
    """A read-out, and the (M, C) scores that it gives the sample, each example left out."""

    name: str
    reader: Reader
    left_out: FloatArray


class Pool(NamedTuple):
    """Several read-outs as one: their probabilities added up (a linear opinion pool: Stone 1961).

    To choose one takes evidence that few examples cannot give, and each is wrong in its own way. A weight is the
    likelihood of the left-out examples to a power below 1: examples that are alike count for less than they are many.

    Attributes:
        readers: the read-outs.
        temperatures: of each.
        weights: of each; they add up to 1.
    """

    readers: tuple[Reader, ...]
    temperatures: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def largest(self) -> int:
        return max(reader.largest for reader in self.readers)

    def scores(self, rows: FloatArray, by_class: Comparison, metric: Metric) -> FloatArray:
        """(N, C) logarithms of the pooled probabilities."""
        return self._pooled([reader.scores(rows, by_class, metric) for reader in self.readers])

    def _pooled(self, scores: list[FloatArray]) -> FloatArray:
        total: FloatArray | None = None
        for some, temperature, weight in zip(scores, self.temperatures, self.weights, strict=True):
            chances = some - some.max(axis=1, keepdims=True)
            chances /= temperature
            np.exp(chances, out=chances)
            chances *= weight / chances.sum(axis=1, keepdims=True)
            total = chances if total is None else np.add(total, chances, out=total)
        assert total is not None
        found: FloatArray = np.log(np.maximum(total, 1e-300))
        return found


def pooled(
    members: list[Member], truth: npt.NDArray[np.intp], left: npt.NDArray[np.bool_], usual: float,
    near: dict[str, float],
) -> tuple[Pool, FloatArray]:
    """The pool, and the (M, C) scores that it gives the sample.

    Args:
        truth: (M,) the classes of the sample.
        left: (M,) whether its class has other examples.
        usual: the temperature where too few are left to fit one.
        near: name -> where the temperature is to be looked for first; brought up to date.
    """
    found = [Tempered(usual, np.zeros(1)) for _ in members]
    if np.count_nonzero(left) >= POOLED:
        found = [temper(one.left_out[left], truth[left], near.get(one.name, 1.0)) for one in members]
        near.update({one.name: fit.temperature for one, fit in zip(members, found, strict=True)})
    merits = np.array([-_POWER * fit.losses.sum() for fit in found])
    weights = np.exp(merits - merits.max())
    if np.count_nonzero(left) >= _SPARE:
        heard = _needed(members, np.stack([np.exp(-fit.losses) for fit in found]), weights)
        members, found, weights = [members[i] for i in heard], [found[i] for i in heard], weights[heard]
    weights /= weights.sum()
    pool = Pool(tuple(one.reader for one in members), tuple(fit.temperature for fit in found), tuple(weights.tolist()))
    scores = pool._pooled([one.left_out for one in members])
    scores[np.flatnonzero(~left), truth[~left]] = -np.inf
    return pool, scores


def _needed(members: list[Member], chances: FloatArray, weights: FloatArray) -> list[int]:
    """The read-outs without which the left-out labels are less likely; each takes time, so the dearest go first.

    Args:
        chances: (R, M) what each gives the true labels.
        weights: (R,).
    """
    kept = list(range(len(members)))
    for dearest in sorted(kept, key=lambda i: -members[i].reader.largest):
        rest = [i for i in kept if i != dearest]
        if rest and _likelihood(chances, weights, rest) >= _likelihood(chances, weights, kept) - _WORSE:
            kept = rest
    return kept


def _likelihood(chances: FloatArray, weights: FloatArray, kept: list[int]) -> float:
    """Mean logarithm of what a pool of these gives the true labels, in nats."""
    pooled_chances = weights[kept] @ chances[kept] / weights[kept].sum()
    return float(np.log(np.maximum(pooled_chances, 1e-300)).mean())


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
        expected: the temperature to be expected, where too few examples could be left out to measure it; else None.
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
    expected: float | None = None


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
