"""What a brain in memory taught last, so that it can be undone: a bounded number of lessons, and no other change.

A brain in a folder has its log for that. Here a lesson is taken back by forgetting its examples, which is exact, so
lessons of others that came between stay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from engram.learner import InputError
from engram.store.event import Taught, Unknown

_EXAMPLES, _VALUES = 2**14, 2**22  # of which lessons are kept: 8 MiB of rows


@dataclass(frozen=True, slots=True)
class Way:
    """One lesson.

    Attributes:
        taught: its examples, and their numbers.
        act: the act that it belongs to with others, or None.
        teacher: who taught it.
        back: unknowns that left the inbox with it.
    """

    taught: Taught
    act: str | None
    teacher: str | None
    back: tuple[Unknown, ...] = ()
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


class WaysBack:
    """The last lessons, oldest first."""

    def __init__(self) -> None:
        self._ways: deque[Way] = deque()
        self._examples = self._values = 0

    def add(self, way: Way) -> None:
        """A lesson was taught; the oldest go where they become too many."""
        self._ways.append(way)
        self._count(way, 1)
        while self._ways and (self._examples > _EXAMPLES or self._values > _VALUES):
            self._count(self._ways.popleft(), -1)

    def end(self) -> None:
        """Another change was made: what was taught before is not undone any more."""
        self._ways.clear()
        self._examples = self._values = 0

    def act(self, act: str | None = None) -> list[Way]:
        """The lessons of an act, newest first; None for the last one. Raises InputError where there is none."""
        if not self._ways:
            raise InputError("There is nothing to undo. A brain in memory undoes what it was taught last, back to the"
                             " last change of another kind, such as a rename: Brain.create(path) makes one that keeps a"
                             " history.")
        last = self._ways[-1]
        wanted = last.act if act is None else act
        found = [last] if wanted is None else [way for way in reversed(self._ways) if way.act == wanted]
        if not found:
            raise InputError("There is nothing of this act to undo: it was undone already, or taught nothing.")
        return found

    def drop(self, ways: Sequence[Way]) -> None:
        """These were taken back."""
        gone = set(map(id, ways))
        self._ways = deque(way for way in self._ways if id(way) not in gone)
        for way in ways:
            self._count(way, -1)

    def _count(self, way: Way, sign: int) -> None:
        self._examples += sign * len(way.taught.labels)
        self._values += sign * int(way.taught.rows.size)

    @property
    def nbytes(self) -> int:
        return sum(way.taught.rows.nbytes for way in self._ways)
