"""Which of a head's own examples do harm: labels that are likely wrong, near-duplicates, and what lacks examples.

Each kept example is asked as if it had never been taught. How much likelier some other label is then than its own, in
nats, is its margin: examples are ranked by it, which is the self-confidence of Northcutt et al. (2021, J. Artif.
Intell. Res. 70) against the best rival. On pictures, sounds and sentences with 5% of their labels exchanged this found
more of them than the class thresholds of that paper and than disagreeing neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.fast import FastHead
from engram.heads.fast.episodes import Keys, Rows
from engram.heads.fast.leave_out import LeaveOut
from engram.heads.fast.metric import Centres
from engram.heads.fast.near_duplicates import FRAMES, reach_between, share_of_reach
from engram.heads.fast.reading import ByClass, ByPrototype, Reading, ReadOutKind, score
from engram.heads.fast.sample import Sample
from engram.heads.head import Positions, softmax
from engram.learner import FloatArray, Label

_PORTION = 2**22  # scores that are held at a time
_MEASURED = 512  # examples that tell how far apart labels are
_COMPARED = 2.0**38  # products that the search for near-duplicates may take: a few seconds


@dataclass(frozen=True, eq=False)
class Audit:
    """What became of asking a head about its own examples.

    Attributes:
        labels: the labels known, in the order of their first arrival.
        rows: (M, D) int16, the kept examples.
        truth: (M,) the label of each, as its place in `labels`.
        given: (M,) the probability of that label when the example is left out; NaN where nothing can be said, since it
            and its near-duplicates are all of the label.
        other: (M,) the likeliest other label; the own one where nothing can be said.
        margin: (M,) ln of the probability of `other` over `given`, in nats; −inf where nothing can be said.
        groups: (M,) the number of each example's group of near-duplicates; most are alone in theirs.

    >>> head = FastHead(step=0.01, normalise=False)
    >>> head.learn([[1, 0], [1.1, 0.2], [0.9, 0.1], [0, 1], [0.1, 1.2], [0.1, 1.1]], [*"aaabba"])
    >>> found = audit(head)
    >>> worst = found.ranking()[0]
    >>> found.rows[worst].tolist(), found.labels[found.other[worst]]
    ([10, 110], 'b')
    """

    labels: tuple[Label, ...]
    rows: Rows
    truth: Positions
    given: FloatArray
    other: Positions
    margin: FloatArray
    groups: Positions

    def ranking(self) -> Positions:
        """(M,) places of the examples, those whose label is most likely wrong first."""
        return np.argsort(-self.margin, kind="stable").astype(np.intp)

    @property
    def disputed(self) -> int:
        """How many examples would get another label if they were left out."""
        return int((self.margin > 0).sum())

    def duplicates(self) -> list[Positions]:
        """The places in each group of two or more near-duplicates; first those of several labels, then by size."""
        order = np.argsort(self.groups, kind="stable")
        together = np.split(order, np.flatnonzero(np.diff(self.groups[order])) + 1) if len(order) else []
        several = [group.astype(np.intp) for group in together if len(group) > 1]
        return sorted(several, key=lambda group: (len(set(self.truth[group].tolist())) == 1, -len(group), group[0]))

    def needs(self) -> list[Need]:
        """Every label, the one that most needs examples first."""
        found = [self._need(place) for place in range(len(self.labels))]
        return sorted((need for need in found if need.examples), key=lambda need: -need.error)

    def _need(self, place: int) -> Need:
        mine = np.flatnonzero(self.truth == place)
        numbers, which, sizes = np.unique(self.groups[mine], return_inverse=True, return_counts=True)
        vote = 1.0 / sizes[which]  # near-duplicates have one vote together
        asked = np.isfinite(self.margin[mine])
        wrong = asked & (self.margin[mine] > 0)
        total, lost = float(vote[asked].sum()), float(vote[wrong].sum())
        taken = np.bincount(self.other[mine[wrong]], weights=vote[wrong], minlength=len(self.labels))
        return Need(
            self.labels[place], len(mine), len(numbers), (lost + 1.0) / (total + 2.0),
            1.0 - lost / total if total else None,
            self.labels[int(taken.argmax())] if lost else None, float(taken.max() / total) if lost else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Need:
    """How well a label is known, by its own examples.

    Attributes:
        label: which.
        examples: how many are kept.
        distinct: groups of near-duplicates among them: ten frames of one burst are one.
        error: the share of its examples to be expected to get another label: wrong ones + 1 over distinct ones + 2
            (Laplace's rule), so that few examples count as much as bad ones.
        accuracy: the share that gets this label when left out; None where the label has one example only.
        taken_for: the label that most of the others get; None without any.
        share: of its examples that get that one.
    """

    label: Label
    examples: int
    distinct: int
    error: float
    accuracy: float | None
    taken_for: Label | None
    share: float


def audit(head: FastHead) -> Audit:
    """Ask a head about all examples that it keeps as such, each left out together with its near-duplicates."""
    with head._lock:
        labels, kept = head.labels, _Kept.of(head)
    if not len(kept.rows):
        nothing = np.zeros(0, np.intp)
        return Audit(labels, kept.rows, nothing, np.zeros(0), nothing, np.zeros(0), nothing)
    groups = kept.near_duplicates()
    parts = [_against(*part) for part in kept.left_out(_equal(np.column_stack([groups, kept.truth])))]
    given, other, margin = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return Audit(labels, kept.rows, kept.truth, given, other, margin, groups)


class _Kept(NamedTuple):
    """What is asked, and what it is asked of.

    Attributes:
        rows: (M, D) int16, the kept examples, label by label.
        keys: (M,) the first eight bytes of their SHA-256.
        truth: (M,) their labels.
        holders: (M,) the place among all prototypes of the one that holds each.
        reading: what answers come from; None where nothing was taught.
        near: by how much near-duplicates may differ, of what they may with very many features; 0: not at all.
        usual: the mean squared distance within a label that the bundle measured, or infinity.
    """

    rows: Rows
    keys: Keys
    truth: Positions
    holders: Positions
    reading: Reading | None
    near: float
    usual: float

    @classmethod
    def of(cls, head: FastHead) -> _Kept:
        """A head's; it must not change meanwhile."""
        readout, width = head._readout, head.width or 0
        episodes = [*head._episodes]
        starts = np.cumsum([0] + [some.prototype_count for some in episodes])
        held = [start + some.places() for start, some in zip(starts, episodes, strict=False)]
        return cls(
            np.concatenate([np.zeros((0, width), np.int16), *(some.rows for some in episodes)]),
            np.concatenate([np.zeros(0, np.uint64), *(some.keys() for some in episodes)]),
            np.repeat(np.arange(len(episodes)), [len(some.rows) for some in episodes]),
            np.concatenate([np.zeros(0, np.intp), *held]),
            readout.reading(head._shares()).kept() if head.labels else None,
            0.0 if readout.raw or not width else share_of_reach(width), readout.prior.usual,
        )

    def near_duplicates(self) -> Positions:
        """(M,) the group of each example, whatever its label, by the place of its first: a chain of near ones is one.

        Of very many examples an even choice is compared with all others; equal ones are always found.
        """
        groups = _equal(self.rows)
        few = np.linspace(0, len(self.rows) - 1, min(len(self.rows), _MEASURED)).astype(np.intp)
        between = reach_between(self.rows[few].astype(np.float64), self.truth[few])
        reach = self.near * min(between, FRAMES * self.usual) if self.near else 0.0
        if not reach:
            return groups
        rows = self.rows.astype(np.float32)
        lengths = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
        chosen = np.linspace(0, len(rows) - 1, int(min(max(_COMPARED / rows.size, 1), len(rows)))).astype(np.intp)
        some = max(1, _PORTION // len(rows))
        for start in range(0, len(chosen), some):
            portion = chosen[start : start + some]
            distances = lengths[portion][:, None] + lengths - 2.0 * (rows[portion] @ rows.T)
            one, two = np.nonzero(distances <= reach)
            groups = _joined(groups, portion[one], two)
        return groups

    def left_out(self, together: Positions) -> Iterator[tuple[FloatArray, Positions]]:
        """Tempered scores and labels of all examples, in portions, each as if its group had never been taught.

        Args:
            together: (M,) the group of each.
        """
        reading = self.reading
        assert reading is not None
        centres, kind, temperature = _compared(reading)
        _, which, sizes = np.unique(together, return_inverse=True, return_counts=True)
        order = np.argsort(which, kind="stable")
        starts = np.concatenate([[0], np.cumsum(sizes)])
        size = max(1, _PORTION // max(len(centres.counts), self.rows.shape[1]))
        for start in range(0, len(self.rows), size):
            some = slice(start, start + size)
            rows, truth = self.rows[some].astype(np.float64), self.truth[some]
            means = rows.copy()
            for i in np.flatnonzero(sizes[which[some]] > 1):
                group = which[start + i]
                means[i] = self.rows[order[starts[group] : starts[group + 1]]].mean(axis=0)
            sample = Sample(rows, self.keys[some], truth, np.arange(start, start + len(rows)), means,
                            sizes[which[some]].astype(np.float64), np.ones(len(reading.classes.counts)))
            leave_out = LeaveOut(reading.metric, reading.classes, sample)
            comparison = leave_out.compare_with_classes() if centres.starts is None else leave_out.compare(
                centres, self.holders[some])
            yield centres.best(score(comparison, kind, reading.metric.freedom)) / temperature, truth


def _compared(reading: Reading) -> tuple[Centres, ReadOutKind, float]:
    """The centres, the score and its temperature by which examples are judged.

    A kernel or a regression would have to be fitted without each: there, the linear discriminant judges.
    """
    reader, temperature = reading.reader, reading.calibration.temperature
    if isinstance(reader, ByPrototype):
        return reader.centres, "cosine", temperature
    if isinstance(reader, ByClass):
        return reading.classes, reader.kind, temperature
    return reading.classes, "priors", 1.0


def _equal(rows: npt.NDArray[Any]) -> Positions:
    """(M,) the place of the first row that equals each."""
    bytes_of = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))[:, 0]
    _, first, which = np.unique(bytes_of, return_index=True, return_inverse=True)
    return first[which].astype(np.intp)


def _joined(groups: Positions, one: Positions, two: Positions) -> Positions:
    """Groups united where a pair links them: each takes the least number that it is linked to, until none changes."""
    while True:
        least = groups.copy()
        np.minimum.at(least, one, groups[two])
        np.minimum.at(least, two, groups[one])
        np.minimum.at(least, groups, least)  # a whole group goes with each of its members
        least = least[least]
        if (least == groups).all():
            return groups
        groups = least


def _against(scores: FloatArray, truth: Positions) -> tuple[FloatArray, Positions, FloatArray]:
    """Probability of the own label, the best other one, and by how many nats that is likelier."""
    index = np.arange(len(truth))
    own = scores[index, truth].copy()
    alone = ~np.isfinite(own) | (scores.shape[1] == 1)
    given = np.where(alone, np.nan, softmax(np.where(np.isfinite(scores), scores, -1e300))[index, truth])
    others = scores.copy()
    others[index, truth] = -np.inf
    other = np.where(alone, truth, others.argmax(axis=1)).astype(np.intp)
    margin = np.where(alone, -np.inf, others[index, other] - np.where(alone, 0.0, own))
    return given, other, margin
