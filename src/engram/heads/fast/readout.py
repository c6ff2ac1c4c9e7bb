"""From sums to answers: the derived part of the fast head.

Nothing here is knowledge. It is a function of the sums and of the examples that are kept, whatever was asked between
and however they came together: whoever holds the same gives the same answers. It is made when it is asked for.
Changes of the precision are taken in blocks, so learning costs little more than adding; all else is read off a sample
of at most 640 examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.discriminant import Change, Discriminant
from engram.heads.fast.episodes import Episodes, Rows
from engram.heads.fast.exclusion import Exclusion
from engram.heads.fast.judgement import Fits, Judgement, judge
from engram.heads.fast.leave_out import LeaveOut
from engram.heads.fast.novelty import Novelty
from engram.heads.fast.products import KeptProducts
from engram.heads.fast.reading import Answer, Calibration, Reading, ReadOutKind
from engram.heads.fast.sample import Sample, Sampler
from engram.heads.fast.shrinkage import Prior
from engram.learner import FloatArray

_BLOCK = 128  # changes after which the precision is brought up to date, asked or not


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
            calibration = Calibration(judged.temperature, self.raw, judged.novelty, alphas, thresholds)
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
        temperature of the scores."""
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
            self._judgement = judge(discriminant, self.episodes, leave_out, self._fits, self.kind, self.raw)
        return self._judgement
