"""Which changes a contribution has been through, in a few bytes: how one tells later from diverged.

Changes are counted. A stretch of them made by one running program carries a random mark, drawn at its first change. Two
versions of a contribution belong to one line exactly where the shorter one's stretches begin the longer one's: a
copied folder that learns on draws a mark of its own, and shows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Lineage:
    """How often a contribution has changed, and in whose hands.

    Attributes:
        epoch: the number of changes.
        stretches: (epoch at which it began, random mark) of each stretch of changes.

    >>> first = Lineage().begun("a").advanced(3)
    >>> later, copied = first.advanced(2), first.begun("b").advanced(1)
    >>> later.continues(first), copied.continues(first), later.continues(copied), copied.continues(later)
    (True, True, False, False)
    >>> later.continues(first.begun("c"))  # which has changed nothing yet
    True
    """

    epoch: int = 0
    stretches: tuple[tuple[int, str], ...] = ()

    def begun(self, mark: str | None = None) -> Self:
        """The same, about to be changed by another program."""
        return replace(self, stretches=(*self.stretches, (self.epoch, mark or os.urandom(8).hex())))

    def advanced(self, changes: int = 1) -> Self:
        """After more changes."""
        return replace(self, epoch=self.epoch + changes)

    def continues(self, other: Lineage) -> bool:
        """Whether everything that the other went through is part of this."""
        theirs = tuple(stretch for stretch in other.stretches if stretch[0] < other.epoch)  # in which anything changed
        shared = len(theirs)
        if self.epoch < other.epoch or self.stretches[:shared] != theirs:
            return False
        return len(self.stretches) == shared or other.epoch <= self.stretches[shared][0]

    def as_json(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "stretches": [list(stretch) for stretch in self.stretches]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError where it does not fit."""
        return cls(int(values["epoch"]), tuple((int(since), str(mark)) for since, mark in values["stretches"]))
