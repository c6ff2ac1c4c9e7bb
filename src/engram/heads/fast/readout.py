"""From sums to answers: the derived part of the fast head, and what it finds out about itself from left-out examples,
the best read-out and how known things score.

Nothing here is knowledge. It is a function of the sums and of the examples that are kept, whatever was asked between
and however they came together: whoever holds the same gives the same answers. It is made when it is asked for.
Changes of the precision are taken in blocks, so learning costs little more than adding; all else is read off a sample
of at most 640 examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.discriminant import Change, Discriminant
from engram.heads.fast.episodes import Episodes, Rows
from engram.heads.fast.exclusion import Exclusion
from engram.heads.fast.kernel import MOST_FEATURES, Kernels
from engram.heads.fast.leave_out import LeaveOut
from engram.heads.fast.logistic import Regression, cost
from engram.heads.fast.metric import Centres, Comparison, Metric
from engram.heads.fast.novelty import EXPECTED, Novelty, Scores
from engram.heads.fast.products import KeptProducts
from engram.heads.fast.reading import (
    POOLED,
    Answer,
    ByClass,
    ByPrototype,
    Calibration,
    InUnits,
    Member,
    Reader,
    Reading,
    ReadOutKind,
    nearest,
    pooled,
    resemblance,
    score,
)
from engram.heads.fast.sample import Sample, Sampler
from engram.heads.fast.shrinkage import Prior
from engram.heads.fast.temperature import Tempered, temper
from engram.heads.head import Positions
from engram.learner import FloatArray

_ENOUGH = 10  # left-out examples without which the first kind is taken
_FLEXIBLE = {"prototypes": 2.0, "kernel": 1.5}  # standard errors by which they must win: they fit by chance; else 1
_SETTLED = 200  # left-out examples from which on one error is enough for a kernel
_QUICK = 2**18  # values up to which a regression is fitted at once
_MANY_PROTOTYPES = 2**15  # beyond which none compete: comparing with each would take too long
_BLOCK = 128  # changes after which the precision is brought up to date, asked or not


@dataclass(frozen=True, eq=False)
class Judgement:
    """Of one state of the sums and episodes.

    Attributes:
        metric: A.
        classes: the class means.
        kind: the read-out that did best.
        reader: it.
        temperature: of the softmax of its scores.
        novelty: how taught and strange things resemble the classes.
        sample: the examples it was judged by.
        by_class: the sample compared with the class means, each example without its near-duplicates.
        scores: (M, C) that the read-out gives them, likewise.
        expected: see `Calibration.expected`.
    """

    metric: Metric
    classes: Centres
    kind: ReadOutKind
    reader: Reader
    temperature: float
    novelty: Novelty
    sample: Sample
    by_class: Comparison
    scores: FloatArray
    expected: float | None


class Fits(NamedTuple):
    """What was fitted last time: read-outs from single examples, which are brought up to date, and where temperatures
    are to be looked for first."""

    kernels: Kernels
    regression: Regression
    temperatures: dict[str, float]

    @classmethod
    def none(cls) -> Fits:
        return cls(Kernels(), Regression(), {})

    def copy(self) -> Fits:
        """Others that know the same."""
        return Fits(self.kernels.copy(), copy(self.regression), dict(self.temperatures))


def judge(
    discriminant: Discriminant, episodes: Sequence[Episodes], leave_out: LeaveOut, fits: Fits, kind: ReadOutKind,
    prior: Prior,
) -> Judgement:
    """Find out.

    Args:
        leave_out: the sample beside the class means.
        fits: what was fitted before, which is brought up to date.
        kind: "auto" or "class" to choose; else it is given.
        prior: what the discriminant is shrunk to; whether the features are raw readings, and in which units.
    """
    classes, sample = leave_out.classes, leave_out.sample
    by_class = leave_out.compare_with_classes()
    left = np.isfinite(by_class.products[np.arange(len(sample.truth)), sample.truth])
    case = _Case(discriminant, episodes, leave_out, by_class, fits, prior)
    kinds = _kinds(kind, case)
    chosen: tuple[ReadOutKind, Reader, FloatArray, Tempered] | None = None
    some = slice(None) if left.all() else np.flatnonzero(left)
    for candidate in kinds if left.sum() >= _ENOUGH else kinds[:1]:
        reader, scores = _candidate(candidate, case)
        found = Tempered(1.0 if candidate == "pool" else 0.1, np.zeros(0))
        if left.sum() >= _ENOUGH:
            found = temper(scores[some], sample.truth[some], fits.temperatures.get(candidate, 1.0))
            fits.temperatures[candidate] = found.temperature
        if chosen is None or found.better_than(chosen[3], _errors(candidate, int(left.sum()))):
            chosen = candidate, reader, scores, found
    assert chosen is not None
    novelty = _novelty(discriminant, leave_out, by_class, prior.raw)
    name, reader, scores, found = chosen
    expected = None if left.sum() >= _ENOUGH else _expected_temperature(scores, sample.truth)
    return Judgement(leave_out.metric, classes, name, reader, found.temperature, novelty, sample, by_class, scores,
                     expected)


def _expected_temperature(scores: FloatArray, truth: Positions) -> float | None:
    """What makes scores logarithms of likelihoods where the right one leads the others as `EXPECTED` says, all
    Gaussian: its variance over its lead. None with one class.

    Args:
        scores: (M, C) of examples; truth: (M,) their classes, which say nothing here.
    """
    others = scores.copy()
    others[np.arange(len(truth)), truth] = np.nan
    others[~np.isfinite(others)] = np.nan
    counted = np.isfinite(others).sum(axis=1)
    if not (counted > 1).any():
        return None
    deviation = float(np.sqrt(np.nanvar(others[counted > 1], axis=1, ddof=1).mean()))
    return max(EXPECTED.spread**2 / EXPECTED.lead * deviation, 1e-12)


def _errors(kind: ReadOutKind, examples: int) -> float:
    """Standard errors by which a kind must win."""
    return 1.0 if kind == "kernel" and examples >= _SETTLED else _FLEXIBLE.get(kind, 1.0)


class _Case(NamedTuple):
    """What is judged, and what it is judged by."""

    discriminant: Discriminant
    episodes: Sequence[Episodes]
    leave_out: LeaveOut
    by_class: Comparison
    fits: Fits
    prior: Prior

    @property
    def left(self) -> npt.NDArray[np.bool_]:
        """(M,) whether each example's class has others."""
        truth = self.leave_out.sample.truth
        found: npt.NDArray[np.bool_] = np.isfinite(self.by_class.products[np.arange(len(truth)), truth])
        return found

    @property
    def merged(self) -> bool:
        """Whether a consolidation has made prototypes, and not too many."""
        some = any(len(some.counts) for some in self.episodes)
        return some and sum(some.prototype_count for some in self.episodes) <= _MANY_PROTOTYPES


def _kinds(kind: ReadOutKind, case: _Case) -> list[ReadOutKind]:
    """The kinds in question, the one to be beaten first; prototypes compete once a consolidation has made some."""
    if kind not in ("auto", "class"):
        return [kind]
    width, classes, raw = case.discriminant.sums.width, case.discriminant.sums.classes, case.prior.raw
    if kind == "auto" and case.prior.scaled and classes > 1:
        return ["pool"]
    kinds: list[ReadOutKind] = ["linear", "priors"] if raw else ["cosine", "linear", "priors"]
    if kind == "auto" and case.merged:
        kinds.append("prototypes")
    if kind == "auto" and raw and classes > 1:
        kinds += ["kernel"] if width <= MOST_FEATURES else []
        kinds += ["logistic"] if cost(case.discriminant.sums) <= _QUICK else []
    return kinds


def _candidate(kind: ReadOutKind, case: _Case) -> tuple[Reader, FloatArray]:
    """A read-out, and the scores that it gives the sample, each example left out."""
    discriminant, episodes, leave_out = case.discriminant, case.episodes, case.leave_out
    if kind == "pool":
        usual = float(np.sqrt(discriminant.sums.width))
        return pooled(_members(case), leave_out.sample.truth, case.left, usual, case.fits.temperatures)
    if kind == "prototypes":
        centres = _prototypes(discriminant, leave_out.classes, episodes)
        comparison = leave_out.compare(centres, holders(episodes, leave_out.sample))
        return ByPrototype(centres), centres.best(comparison.cosines)
    if kind == "kernel":
        unit = case.prior.units(discriminant.sums)
        return case.fits.kernels.best(discriminant.sums, episodes, leave_out.sample, unit)
    if kind == "logistic":
        return case.fits.regression.of(discriminant.sums, episodes, leave_out.sample)
    return ByClass(kind), score(case.by_class, kind, discriminant.freedom)


def _members(case: _Case) -> list[Member]:
    """The read-outs of a pool: the more examples are left out, the more of them can be judged."""
    sums, sample = case.discriminant.sums, case.leave_out.sample
    left = int(np.count_nonzero(case.left))
    units = {"a shared unit": case.prior.shared(sums), "own units": case.prior.units(sums)}
    found = []
    for name, squares in units.items():
        reader = InUnits.of(sums, squares)
        found.append(Member(name, reader, reader.left_out(sums, squares, sample)))
    kinds: list[ReadOutKind] = ["linear"]
    if left >= POOLED:
        kinds += ["priors"]
        kinds += ["prototypes"] if case.merged else []
        if all(len(some.rows) for some in case.episodes):
            kinds += ["logistic"] if cost(sums) <= _QUICK else []
            if sums.width <= MOST_FEATURES:
                found += [Member(f"nearest in {name}", *nearest(case.episodes, squares, sample))
                          for name, squares in units.items()]
                kinds += ["kernel"] if left >= _ENOUGH else []
    return found + [Member(kind, *_candidate(kind, case)) for kind in kinds]


def _novelty(discriminant: Discriminant, leave_out: LeaveOut, by_class: Comparison, raw: bool) -> Novelty:
    sample = leave_out.sample
    freedom, index = discriminant.freedom, np.arange(len(sample.truth))
    alike = resemblance(by_class, raw, freedom).copy(order="K")
    own = alike[index, sample.truth]
    alike[index, sample.truth] = -np.inf
    kept, alone = np.flatnonzero(np.isfinite(own)), ~np.isfinite(own)
    strangers = resemblance(leave_out.compare_as_strangers(), raw, freedom)
    others = alike.max(axis=1, initial=-np.inf)
    # an example that is all there is of its class draws the middle to itself: without the class it does not
    others[alone] = strangers[alone].max(axis=1, initial=-np.inf)
    truth = sample.truth[kept]
    left = np.maximum(sample.groups[truth] - 1.0, 1.0)
    scores = Scores(own[kept], left, truth, others, strangers, kept)
    length = leave_out.length()
    agreement = 1.0 - discriminant.within / length if discriminant.within and length else 0.0
    return Novelty.of(scores, sample.groups, grows=not raw, chance=discriminant.chance, agreement=agreement)


def _prototypes(discriminant: Discriminant, classes: Centres, episodes: Sequence[Episodes]) -> Centres:
    parts = [some.prototypes() for some in episodes]
    counts, sums = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    starts = np.cumsum([0] + [len(part[0]) for part in parts[:-1]])
    return discriminant.prototypes(classes, sums, counts, starts)


def holders(episodes: Sequence[Episodes], sample: Sample) -> Positions:
    """(M,) the place among all prototypes of the one that holds each example."""
    starts = np.cumsum([0] + [some.prototype_count for some in episodes])
    held: Positions = np.zeros(len(sample.truth), np.intp)
    for place in np.unique(sample.truth).tolist():
        mine = sample.truth == place
        held[mine] = starts[place] + episodes[place].places()[sample.places[mine]]
    return held


class _Born(NamedTuple):
    """What a copy was made of: the state of the original, its version, and how many changes waited (None: not kept)."""

    stamp: object
    version: int
    queued: int | None


class ReadOut:
    """Answers from sums and episodes that grow beside it.

    Args:
        sums: the exact sums; read, never written.
        episodes: the examples of each class; read, never written.
        prior: the backbone's covariance.
        raw: whether the features are raw readings, told apart by their distance, not their direction.
        kind: "auto" takes what does best on left-out examples; the others are fixed.

    Attributes:
        version: how often what it is made from has changed.
    """

    def __init__(
        self, sums: ExactSums, episodes: Sequence[Episodes], prior: Prior, raw: bool, kind: ReadOutKind
    ) -> None:
        self.sums, self.episodes, self.prior, self.raw, self.kind = sums, episodes, prior, raw, kind
        self._sampler = Sampler(not raw, prior.usual)
        self._sample: Sample | None = None
        self._discriminant: Discriminant | None = None
        self._queue: list[Change] = []
        self._waiting = 0
        self._judgement: Judgement | None = None
        self._reading: Reading | None = None
        self._products = KeptProducts()
        self._fits = Fits.none()
        self.version = 0
        self._stamp = object()
        self._born: _Born | None = None

    def copy(self, sums: ExactSums, episodes: Sequence[Episodes]) -> ReadOut:
        """The same read-out of copies of the sums and episodes."""
        made = copy(self)
        made.sums, made.episodes, made._queue = sums, episodes, list(self._queue)
        made._discriminant = self._discriminant and self._discriminant.copy(sums)
        made._sampler, made._products = copy(self._sampler), copy(self._products)
        made._fits = self._fits.copy()
        made._born = _Born(self._stamp, self.version, None if self._discriminant is None else len(self._queue))
        made.regrouped()
        made.version = self.version
        return made

    def adopt(self, other: ReadOut) -> None:
        """Take over the work of a copy that has been asked meanwhile, as far as it still holds."""
        born = other._born
        if born is None or other._discriminant is None or born.stamp is not self._stamp:
            return
        if born.queued is None and born.version != self.version:
            return  # what came since was not queued
        self._discriminant = other._discriminant.copy(self.sums)
        self._queue = self._queue[born.queued or 0 :]
        self._waiting = sum(len(change.rows) for change in self._queue)
        self._sampler, self._products, self._fits, self._stamp = other._sampler, other._products, other._fits, object()
        if born.version == self.version:
            self._sample, self._judgement = other._sample, other._judgement

    def note(self, change: Change) -> None:
        """The sums have changed by these examples; the read-out follows when asked, or in blocks."""
        self.regrouped()
        if self._discriminant is None:
            return
        self._waiting += len(change.rows)
        if self._waiting > max(self.sums.width // 2, _BLOCK):
            self.invalidate()
            return
        self._queue.append(change._replace(rows=change.rows.astype(np.float64)))
        if self._waiting >= _BLOCK:
            self._catch_up(self._discriminant)

    def regrouped(self) -> None:
        """Other examples are kept now, or the same belong to other prototypes."""
        self._sample, self._judgement, self._reading = None, None, None
        self.version += 1

    def invalidate(self) -> None:
        """Make all anew from the sums when next asked."""
        self.regrouped()
        self._discriminant, self._queue, self._waiting, self._stamp = None, [], 0, object()
        self._fits = Fits.none()

    def discriminant(self) -> Discriminant:
        """The metric, up to date with the sums."""
        overlap = 0.0 if self.prior.measured is None else self.prior.overlap(self.sample().rows)
        wanted = self.prior.shrinkage(self.sums, overlap)
        if self._discriminant is not None and self._discriminant.shrinkage == wanted:
            self._catch_up(self._discriminant)
            return self._discriminant
        self._queue, self._waiting, self._stamp = [], 0, object()
        self._discriminant = Discriminant(self.sums, self.prior, wanted)
        return self._discriminant

    def sample(self) -> Sample:
        """The examples that it judges itself by."""
        if self._sample is None:
            self._sample = self._sampler.sample(self.episodes, self.sums.counts)
        return self._sample

    def reading(self, alphas: FloatArray) -> Reading:
        """What answers come from, up to date; the class sums and counts in it change with the next example.

        Args:
            alphas: (C,) the share of known things that may be refused, for each class.
        """
        known = self._reading
        if known is None or not np.array_equal(known.calibration.alphas, alphas):
            judged = self._judge()
            values, which = np.unique(alphas, return_inverse=True)
            limits = np.array([judged.novelty.threshold(float(alpha)) for alpha in values])
            thresholds = limits[which] + judged.novelty.handicap
            calibration = Calibration(judged.temperature, self.raw, judged.novelty, alphas, thresholds,
                                      judged.expected)
            known = Reading(judged.metric, judged.classes, judged.reader, calibration)
            self._reading = known
        return known

    def excluding(
        self, reading: Reading, columns: Sequence[int], rows: Sequence[Rows], taught: Sequence[npt.NDArray[np.bool_]]
    ) -> Reading:
        """The same reading, which heeds counterexamples too.

        Args:
            columns: the places of classes.
            rows: for each of them (K, D) counterexamples.
            taught: and (K,) which of these were taught as something.
        """
        metric, judged = reading.metric, self._judge()
        exclusion = Exclusion.of(metric, reading.classes, columns, rows, taught, self.raw)
        known = self.left_out(reading.calibration.alphas)[1].known
        left = np.isfinite(judged.by_class.products[np.arange(len(known)), judged.sample.truth])
        return reading._replace(
            exclusion=exclusion.calibrated(metric, judged.sample.rows, judged.by_class, known & left)
        )

    def novelty(self) -> Novelty:
        """How taught and strange things resemble the classes."""
        return self._judge().novelty

    def chosen(self) -> ReadOutKind:
        """The read-out in use."""
        return self._judge().kind

    def left_out(self, alphas: FloatArray) -> tuple[Sample, Answer, float]:
        """The sample, how it is answered, each example as if it and its near-duplicates had never been taught, and the
        temperature of the scores; (C,) alphas, as for `reading`."""
        judged = self._judge()
        with np.errstate(invalid="ignore"):  # an example that is all there is of the only class has no score at all
            answer = self.reading(alphas).read(judged.by_class, judged.scores)
        return judged.sample, answer, judged.temperature

    def cosines(self, rows: FloatArray) -> FloatArray:
        """(N, C) cosines with the class means."""
        discriminant = self.discriminant()
        return discriminant.metric.compare(rows, discriminant.classes()).cosines

    def _catch_up(self, discriminant: Discriminant) -> None:
        if self._queue:
            changes, self._queue, self._waiting, self._stamp = self._queue, [], 0, object()
            discriminant.absorb(changes)

    def _judge(self) -> Judgement:
        if self._judgement is None:
            discriminant, sample = self.discriminant(), self.sample()
            classes = discriminant.classes()
            products = self._products.of(discriminant, classes, sample)
            leave_out = LeaveOut(discriminant.metric, classes, sample, products)
            self._judgement = judge(discriminant, self.episodes, leave_out, self._fits, self.kind, self.prior)
        return self._judgement
