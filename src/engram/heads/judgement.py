"""What a head finds out about itself from left-out examples: the best read-out, and how known things score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engram.heads.discriminant import Discriminant
from engram.heads.episodes import Episodes
from engram.heads.head import Positions
from engram.heads.leave_out import LeaveOut
from engram.heads.metric import Centres, Comparison
from engram.heads.novelty import Novelty, Scores
from engram.heads.reading import ReadOutKind, resemblance, score
from engram.heads.sample import Sample
from engram.heads.temperature import Tempered, temper
from engram.learner import FloatArray

_ENOUGH = 10  # left-out examples without which the first kind is taken
_ERRORS = {"prototypes": 2.0}  # standard errors by which a kind must win: prototypes are many, and fit by chance
_MANY_PROTOTYPES = 2**15  # beyond which none compete: comparing with each would take too long


@dataclass(frozen=True, eq=False)
class Judgement:
    """Of one state of the sums and episodes.

    Attributes:
        classes: the class means.
        centres: what the chosen kind reads: the class means, or prototypes.
        kind: the read-out that did best.
        temperature: of the softmax of its scores.
        novelty: how taught and strange things resemble the classes.
        sample: the examples it was judged by.
        by_class: the sample compared with the class means, each example without its near-duplicates.
        comparison: with the centres, likewise.
    """

    classes: Centres
    centres: Centres
    kind: ReadOutKind
    temperature: float
    novelty: Novelty
    sample: Sample
    by_class: Comparison
    comparison: Comparison


def judge(
    discriminant: Discriminant, episodes: Sequence[Episodes], sample: Sample, moved: FloatArray, kind: ReadOutKind,
    raw: bool,
) -> Judgement:
    """Find out.

    Args:
        moved: (M, D) the rows of the sample times A.
        kind: "auto" or "class" to choose; else it is given.
        raw: whether the features are raw readings.
    """
    metric, classes = discriminant.metric, discriminant.classes()
    leave_out = LeaveOut(metric, classes, sample, moved)
    by_class = leave_out.compare(classes, sample.truth)
    novelty = _novelty(discriminant, leave_out, by_class, raw)
    chosen: tuple[ReadOutKind, Tempered, Centres, Comparison] | None = None
    left = np.isfinite(by_class.products[np.arange(len(sample.truth)), sample.truth])
    for candidate in _kinds(kind, episodes, raw):
        centres, comparison = classes, by_class
        if candidate == "prototypes":
            centres = _prototypes(discriminant, classes, episodes)
            comparison = leave_out.compare(centres, holders(episodes, sample))
        scores = centres.best(score(comparison, candidate, metric.freedom))[left]
        if left.sum() < _ENOUGH:
            return Judgement(classes, centres, candidate, 0.1, novelty, sample, by_class, comparison)
        found = temper(scores, sample.truth[left])
        if chosen is None or found.better_than(chosen[1], _ERRORS.get(candidate, 1.0)):
            chosen = candidate, found, centres, comparison
    assert chosen is not None
    return Judgement(classes, chosen[2], chosen[0], chosen[1].temperature, novelty, sample, by_class, chosen[3])


def _kinds(kind: ReadOutKind, episodes: Sequence[Episodes], raw: bool) -> list[ReadOutKind]:
    """The kinds in question, the one to be beaten first; prototypes compete once a consolidation has made some."""
    if kind not in ("auto", "class"):
        return [kind]
    kinds: list[ReadOutKind] = ["linear", "priors"] if raw else ["cosine", "linear", "priors"]
    merged = kind == "auto" and any(len(some.counts) for some in episodes)
    if merged and sum(some.prototype_count for some in episodes) <= _MANY_PROTOTYPES:
        kinds.append("prototypes")
    return kinds


def _novelty(discriminant: Discriminant, leave_out: LeaveOut, by_class: Comparison, raw: bool) -> Novelty:
    sample = leave_out.sample
    freedom, index = discriminant.freedom, np.arange(len(sample.truth))
    alike = resemblance(by_class, raw, freedom)
    own = alike[index, sample.truth].copy()
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
