"""An audit of what a brain was taught, and why it answers as it does: examples by their numbers, with their sources."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.brain.history import Example, History
from engram.brain.ledger import Ledger
from engram.heads.fast import FastHead
from engram.heads.fast.audit import Audit, Need, audit
from engram.heads.fast.nearest_examples import Nearest
from engram.learner import Label, Prediction


@dataclass(frozen=True, slots=True)
class Suspect:
    """An example whose label may be wrong.

    Attributes:
        label: what it was taught as.
        other: what it would most likely be called, had it never been taught.
        probability: of `label`, had it never been taught.
        margin: how much likelier `other` is, in nats; below 0 the brain agrees with the label.
        example: its number, time, teacher and source; None where it was not taught here one by one.
    """

    label: Label
    other: Label
    probability: float
    margin: float
    example: Example | None


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Examples that are the same or nearly so: mirrored, saved again, frames of one burst.

    Attributes:
        labels: what each was taught as.
        examples: each one's number, time, teacher and source, as far as it was taught here.
    """

    labels: tuple[Label, ...]
    examples: tuple[Example | None, ...]

    @property
    def conflict(self) -> bool:
        """Whether one thing has several labels: then all but one are wrong."""
        return len(set(self.labels)) > 1


@dataclass(frozen=True, slots=True)
class Findings:
    """What an audit found.

    Attributes:
        examined: how many examples were asked; those that a memory budget let go cannot be.
        disputed: how many would get another label, had they never been taught.
        suspects: examples, those whose label is most likely wrong first; not those that alone, with their
            near-duplicates, have their label.
        duplicates: groups of near-duplicates; first those of several labels, then the largest.
        needs: every label, the one that most needs examples first.
    """

    examined: int
    disputed: int
    suspects: tuple[Suspect, ...]
    duplicates: tuple[Duplicates, ...]
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A taught example near an input.

    Attributes:
        label: what it is called.
        similarity: how like the input it is in the metric of the read-out; 1 is the same.
        example: its number, time, teacher and source; None where it was not taught here one by one.
    """

    label: Label
    similarity: float
    example: Example | None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an input was answered as it was.

    Attributes:
        answer: the answer.
        shares: every label and its share of the answer, which sum to 1, the largest first.
        nearest: the taught examples most like it, the most alike first.
    """

    answer: Prediction
    shares: tuple[tuple[Label, float], ...]
    nearest: tuple[Neighbour, ...]


def examined(
    head: FastHead, ledger: Ledger, lock: AbstractContextManager[Any], limit: int, teacher: str | None = None
) -> Findings:
    """Audit a head; the examples of a ledger are told by their numbers, which takes the lock.

    Args:
        limit: suspects and groups of near-duplicates that are told at most.
        teacher: whose examples alone are told; what is counted stays the same. None for everyone's.
    """
    found = audit(head)
    ranked = [place for place in found.ranking().tolist() if np.isfinite(found.margin[place])]
    groups = [group.tolist() for group in found.duplicates()]
    if teacher is None:
        ranked, groups = ranked[:limit], groups[:limit]
    places = list(dict.fromkeys([*ranked, *(place for group in groups for place in group)]))
    with lock:
        examples = History(ledger).known(found.rows[places], _labels(found, places))
    told = {place: one for place, one in zip(places, examples, strict=True)
            if teacher is None or (one is not None and one.teacher == teacher)}
    suspects = tuple(
        Suspect(found.labels[found.truth[i]], found.labels[found.other[i]], float(found.given[i]),
                float(found.margin[i]), told[i])
        for i in ranked if i in told
    )
    duplicates = tuple(
        Duplicates(tuple(_labels(found, group)), tuple(told.get(place) for place in group))
        for group in groups if any(place in told for place in group)
    )
    return Findings(len(found.rows), found.disputed, suspects[:limit], duplicates[:limit], tuple(found.needs()))


def reason(answer: Prediction, found: Nearest, history: History) -> Reason:
    """An answer, what was found near its input, and which examples of the past that is."""
    examples = history.known(found.rows, found.labels)
    nearest = zip(found.labels, found.similarity.tolist(), examples, strict=True)
    return Reason(answer, tuple(found.shares), tuple(Neighbour(*one) for one in nearest))


def _labels(found: Audit, places: Sequence[int]) -> list[Label]:
    return [found.labels[found.truth[place]] for place in places]
