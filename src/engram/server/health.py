"""How well each class is known: left-out answers now, and what they were at earlier moments.

An example is left out with its near-duplicates, of which one is asked: they count once.

What was is recorded each time health is asked for, and, for brains with a short past, found out once by going back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

import numpy as np

from engram.brain import Brain
from engram.heads.fast.left_out import LeftOut
from engram.learner import EngramError, Label
from engram.server.schemas import ClassHealth, Health, HealthPoint

_POINTS = 32
_LOOKED_BACK = 6
_SHORT_PAST = 5000  # events


@dataclass(frozen=True)
class _Moment:
    seq: int
    time: datetime
    accuracy: dict[Label, float]


class HealthRecord:
    """The accuracy of each class of one brain at some moments; safe for threads."""

    def __init__(self) -> None:
        self._moments: list[_Moment] = []
        self._lock = Lock()
        self._looked_back = False

    def health(self, brain: Brain) -> Health:
        """How it is now, and how it was."""
        with self._lock:
            if not self._looked_back:
                self._looked_back = True
                self._moments = _earlier(brain)
            left, seq = brain.left_out(), brain.seq
            self._moments = [moment for moment in self._moments if moment.seq < seq]  # a swapped brain starts anew
            self._moments.append(_Moment(seq, datetime.now(UTC), shares(left)))
            if len(self._moments) > _POINTS:  # every other of the older half: the past thins out
                half = _POINTS // 2
                self._moments = self._moments[:half:2] + self._moments[half:]
            return _described(left, seq, list(self._moments))


def shares(left: LeftOut) -> dict[Label, float]:
    """Of each label with held-back examples, the share that was recognised."""
    right = (left.best == left.truth) & left.known
    totals = np.bincount(left.truth, minlength=len(left.labels))
    found = np.bincount(left.truth[right], minlength=len(left.labels))
    return {label: float(found[i] / totals[i]) for i, label in enumerate(left.labels) if totals[i]}


def confusion(left: LeftOut) -> list[list[int]]:
    """(C, C + 1): rows what it is, columns what it was taken for, the last one "Nothing I know"."""
    size = len(left.labels)
    taken = np.where(left.known, left.best, size)
    table = np.bincount(left.truth * (size + 1) + taken, minlength=size * (size + 1))
    found: list[list[int]] = table.reshape(size, size + 1).tolist()
    return found


def _described(left: LeftOut, seq: int, moments: list[_Moment]) -> Health:
    now, table = shares(left), confusion(left)
    sure = np.bincount(left.truth, weights=np.nan_to_num(left.confidence), minlength=len(left.labels))
    classes = []
    for i, label in enumerate(left.labels):
        held_back = sum(table[i])
        past = [
            HealthPoint(seq=moment.seq, time=moment.time, accuracy=moment.accuracy[label])
            for moment in moments if label in moment.accuracy
        ]
        classes.append(ClassHealth(
            label=label, held_back=held_back, accuracy=now.get(label),
            confidence=float(sure[i]) / held_back if held_back else None, over_time=past,
        ))
    accuracy = float(np.mean(list(now.values()))) if now else None
    return Health(labels=list(left.labels), confusion=table, classes=classes, accuracy=accuracy, seq=seq)


def _earlier(brain: Brain) -> list[_Moment]:
    """A few moments of a short past."""
    if brain.seq > _SHORT_PAST:
        return []
    entries = [entry for entry in brain.history(limit=_SHORT_PAST) if not entry.undone][1:]
    chosen = entries[:: len(entries) // _LOOKED_BACK + 1][::-1]
    moments = []
    for entry in chosen:
        try:
            moments.append(_Moment(entry.seq, entry.time, shares(brain.at(entry.seq).left_out())))
        except EngramError:  # before something that was forgotten for good
            continue
    return moments
