"""What a head finds out about itself from left-out examples: the best read-out, and how known things score."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.fast.discriminant import Discriminant
from engram.heads.fast.episodes import Episodes
from engram.heads.fast.kernel import MOST_FEATURES, Kernels
from engram.heads.fast.leave_out import LeaveOut
from engram.heads.fast.metric import Centres, Comparison, Metric
from engram.heads.fast.novelty import Novelty, Scores
from engram.heads.fast.reading import ByClass, ByPrototype, Reader, ReadOutKind, resemblance, score
from engram.heads.fast.regression import Regression, cost
from engram.heads.fast.sample import Sample
from engram.heads.fast.temperature import Tempered, temper
from engram.heads.head import Positions
from engram.learner import FloatArray

_ENOUGH = 10  # left-out examples without which the first kind is taken
_FLEXIBLE = {"prototypes": 2.0, "kernel": 1.5}  # standard errors by which they must win: they fit by chance; else 1
_SETTLED = 200  # left-out examples from which on one error is enough for a kernel
_QUICK = 2**18  # values up to which a regression is fitted at once
_MANY_PROTOTYPES = 2**15  # beyond which none compete: comparing with each would take too long


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


class Fits(NamedTuple):
    """What was fitted last time: read-outs from single examples, which are brought up to date, and where temperatures
    are to be looked for first."""

    kernels: Kernels
    regression: Regression
    temperatures: dict[ReadOutKind, float]

    @classmethod
    def none(cls) -> Fits:
        return cls(Kernels(), Regression(), {})

    def copy(self) -> Fits:
        """Others that know the same."""
        return Fits(self.kernels.copy(), copy(self.regression), dict(self.temperatures))


def judge(
    discriminant: Discriminant, episodes: Sequence[Episodes], leave_out: LeaveOut, fits: Fits, kind: ReadOutKind,
    raw: bool,
) -> Judgement:
    """Find out.

    Args:
        leave_out: the sample beside the class means.
        fits: what was fitted before, which is brought up to date.
        kind: "auto" or "class" to choose; else it is given.
        raw: whether the features are raw readings.
    """
    classes, sample = leave_out.classes, leave_out.sample
    by_class = leave_out.compare_with_classes()
    left = np.isfinite(by_class.products[np.arange(len(sample.truth)), sample.truth])
    kinds = _kinds(kind, discriminant, episodes, left, raw)
    chosen: tuple[ReadOutKind, Reader, FloatArray, Tempered] | None = None
    some = slice(None) if left.all() else np.flatnonzero(left)
    for candidate in kinds if left.sum() >= _ENOUGH else kinds[:1]:
        reader, scores = _candidate(candidate, discriminant, episodes, leave_out, by_class, fits)
        found = Tempered(0.1, np.zeros(0))
        if left.sum() >= _ENOUGH:
            found = temper(scores[some], sample.truth[some], fits.temperatures.get(candidate, 1.0))
            fits.temperatures[candidate] = found.temperature
        if chosen is None or found.better_than(chosen[3], _errors(candidate, int(left.sum()))):
            chosen = candidate, reader, scores, found
    assert chosen is not None
    novelty = _novelty(discriminant, leave_out, by_class, raw)
    name, reader, scores, found = chosen
    return Judgement(leave_out.metric, classes, name, reader, found.temperature, novelty, sample, by_class, scores)


def _errors(kind: ReadOutKind, examples: int) -> float:
    """Standard errors by which a kind must win."""
    return 1.0 if kind == "kernel" and examples >= _SETTLED else _FLEXIBLE.get(kind, 1.0)


def _kinds(
    kind: ReadOutKind, discriminant: Discriminant, episodes: Sequence[Episodes], left: npt.NDArray[np.bool_], raw: bool
) -> list[ReadOutKind]:
    """The kinds in question, the one to be beaten first; prototypes compete once a consolidation has made some."""
    if kind not in ("auto", "class"):
        return [kind]
    kinds: list[ReadOutKind] = ["linear", "priors"] if raw else ["cosine", "linear", "priors"]
    merged = kind == "auto" and any(len(some.counts) for some in episodes)
    if merged and sum(some.prototype_count for some in episodes) <= _MANY_PROTOTYPES:
        kinds.append("prototypes")
    width, classes = discriminant.sums.width, discriminant.sums.classes
    if kind == "auto" and raw and classes > 1:
        kinds += ["kernel"] if width <= MOST_FEATURES else []
        kinds += ["logistic"] if cost(discriminant.sums) <= _QUICK else []
    return kinds


def _candidate(
    kind: ReadOutKind, discriminant: Discriminant, episodes: Sequence[Episodes], leave_out: LeaveOut,
    by_class: Comparison, fits: Fits,
) -> tuple[Reader, FloatArray]:
    """A read-out, and the scores that it gives the sample, each example left out."""
    if kind == "prototypes":
        centres = _prototypes(discriminant, leave_out.classes, episodes)
        comparison = leave_out.compare(centres, holders(episodes, leave_out.sample))
        return ByPrototype(centres), centres.best(comparison.cosines)
    if kind == "kernel":
        return fits.kernels.best(discriminant.sums, episodes, leave_out.sample)
    if kind == "logistic":
        return fits.regression.of(discriminant.sums, episodes, leave_out.sample)
    return ByClass(kind), score(by_class, kind, discriminant.freedom)


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
