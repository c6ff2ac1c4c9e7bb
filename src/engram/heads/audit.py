"""Which of a head's own examples do harm: labels that are likely wrong, near-duplicates, and what lacks examples.

Each kept example is asked as if it had never been taught. How much likelier some other label is then than its own, in
nats, is its margin: examples are ranked by it, which is the self-confidence of Northcutt et al. (2021, J. Artif.
Intell. Res. 70) against the best rival. On pictures, sounds and sentences with 5% of their labels exchanged this found
more of them than the class thresholds of that paper and than disagreeing neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.heads.episodes import Rows
from engram.heads.fast import FastHead
from engram.heads.head import Positions, softmax
from engram.learner import FloatArray, Label

REACH = 0.15
"""Near-duplicates lie within this share of the median squared distance to the nearest example of another label."""

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
        given: (M,) the probability of that label when the example is left out; NaN where it is the label's only one.
        other: (M,) the likeliest other label; the own one where there is no other.
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
    """Ask a head about all examples that it keeps as such."""
    labels = head.labels
    parts = list(_asked(head))
    if not parts:
        nothing = np.zeros(0, np.intp)
        rows = np.zeros((0, head.width or 0), np.int16)
        return Audit(labels, rows, nothing, np.zeros(0), nothing, np.zeros(0), nothing)
    rows, truth, given, other, margin = (np.concatenate([part[i] for part in parts]) for i in range(5))
    order = np.argsort(-margin, kind="stable")
    near = bool(head.config()["normalise"])  # raw readings may lie close and still be two measurements
    groups = near_duplicates(rows, truth, order) if near else _equal(rows)
    return Audit(labels, rows, truth, given, other, margin, groups)


def near_duplicates(rows: Rows, truth: Positions, order: Positions) -> Positions:
    """(M,) the group of each of (M, D) rows, by the place of its first: a chain of near ones is one group.

    Args:
        truth: (M,) their labels; those of a group may differ.
        order: (M,) places, those to be searched first ahead: of very many rows only equal ones are found beyond.
    """
    groups = _equal(rows)
    narrow = rows.astype(np.float32)
    lengths = np.einsum("nd,nd->n", narrow, narrow, dtype=np.float64)
    few = np.linspace(0, len(rows) - 1, min(len(rows), _MEASURED)).astype(np.intp)
    others = _distances(narrow, lengths, few)[:, few]
    apart = np.where(truth[few][:, None] != truth[few], others, np.inf).min(axis=1)
    if not np.isfinite(apart).any():
        return groups
    reach = REACH * float(np.median(apart[np.isfinite(apart)]))
    chosen = order[: int(max(_COMPARED / rows.size, 1))]
    some = max(1, _PORTION // len(rows))
    pairs = [np.zeros((2, 0), np.intp)]
    for start in range(0, len(chosen), some):
        portion = chosen[start : start + some]
        one, two = np.nonzero(_distances(narrow, lengths, portion) <= reach)
        pairs.append(np.stack([portion[one], two]))
    return _joined(groups, *np.concatenate(pairs, axis=1))


def _distances(rows: npt.NDArray[np.float32], lengths: FloatArray, some: Positions) -> FloatArray:
    """(S, M) squared distances of some rows to all."""
    found: FloatArray = lengths[some][:, None] + lengths - 2.0 * (rows[some] @ rows.T)
    return found


def _equal(rows: Rows) -> Positions:
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


def _asked(head: FastHead) -> Iterator[tuple[Any, ...]]:
    """Rows, labels, probability of the own one, best other one and margin, label by label and in portions."""
    with head._lock:
        if not head.labels:
            return
        reading = head._readout.reading().kept()
        kept = [(episodes.rows, episodes.places()) for episodes in head._episodes]
        starts = np.cumsum([0] + [episodes.prototype_count for episodes in head._episodes])
    size = max(1, _PORTION // len(reading.centres.counts))
    for place, (rows, owners) in enumerate(kept):
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            truth = np.full(len(some), place)
            if reading.classes.counts[place] < 2:
                yield some, truth, np.full(len(some), np.nan), truth, np.full(len(some), -np.inf)
                continue
            held = starts[place] + owners[start : start + size]
            answer = reading.answer_without(some.astype(np.float64), truth, held)
            yield some, truth, *_against(answer.scores / reading.calibration.novelty.temperature, truth)


def _against(scores: FloatArray, truth: Positions) -> tuple[FloatArray, Positions, FloatArray]:
    """Probability of the own label, the best other one, and by how many nats that is likelier."""
    index = np.arange(len(truth))
    own = scores[index, truth].copy()
    given = softmax(scores)[index, truth]
    scores = scores.copy()
    scores[index, truth] = -np.inf
    if scores.shape[1] == 1:
        return given, truth, np.full(len(truth), -np.inf)
    other = scores.argmax(axis=1).astype(np.intp)
    return given, other, np.maximum(scores[index, other], -1e300) - np.maximum(own, -1e300)
