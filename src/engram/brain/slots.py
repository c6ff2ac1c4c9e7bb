"""What one device contributed to a brain, and which of two versions of it is the later one.

A melded brain is {device: (epoch, sums)}; its total is the sum over the slots. Only its own device ever adds to a
slot, so the higher epoch holds all that the lower one did, and takes its place: a state-based replicated data type
(Shapiro, Preguiça, Baquero and Zawirski, INRIA RR-7506, 2011). That is why melding twice changes nothing.

Changes are counted. A stretch of them made by one running program carries a random mark, drawn at its first change. Two
versions of a contribution belong to one line exactly where the shorter one's stretches begin the longer one's: a
copied folder that learns on draws a mark of its own, and shows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from engram.brain.receipts import Receipts
from engram.heads.fast import FastHead
from engram.learner import MeldError


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


@dataclass(frozen=True, eq=False)
class Contents:
    """What was taught on a device: the sums in a head, and the receipts."""

    head: FastHead
    receipts: Receipts

    def copy(self) -> Contents:
        return Contents(self.head.copy(), self.receipts.copy())


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a slot's contents lie on disk: folder, file, and what the manifest says of it."""

    folder: Path
    name: str
    entry: Mapping[str, Any]


class Slot:
    """One device's contribution.

    Args:
        device: its id.
        lineage: the changes made on the device; one lineage that does not continue the other tells of two brains
            under one id.
        applied: ids of the edicts that this contribution has obeyed.
        contents: what was taught, or a function that reads it from disk when it is needed.
        stored: where it lies on disk, if it does.
    """

    def __init__(
        self,
        device: str,
        lineage: Lineage,
        applied: Iterable[str],
        contents: Contents | Callable[[], Contents],
        stored: Stored | None = None,
    ) -> None:
        self.device = device
        self.lineage = lineage
        self.applied = frozenset(applied)
        self.stored = stored
        self.live = False  # whether the last stretch of changes was begun on this very object
        self._contents = contents

    @property
    def epoch(self) -> int:
        """How many changes the device has made."""
        return self.lineage.epoch

    @property
    def contents(self) -> Contents:
        """Raises DamagedError where they were to be read from disk and cannot be."""
        if not isinstance(self._contents, Contents):
            self._contents = self._contents()
        return self._contents

    @property
    def head(self) -> FastHead:
        return self.contents.head

    @property
    def receipts(self) -> Receipts:
        return self.contents.receipts

    def begin(self, mark: str | None = None) -> None:
        """Begin a stretch of changes."""
        self.lineage, self.live = self.lineage.begun(mark), True

    def changed(self, times: int = 1) -> None:
        """Count changes made on the device."""
        if not self.live:
            self.begin()
        self.lineage = self.lineage.advanced(times)

    def copy(self) -> Slot:
        """Another slot of the same contents, free to change."""
        return Slot(self.device, self.lineage, self.applied, self.contents.copy())


def later(one: Slot, two: Slot) -> Slot:
    """The later of two versions of a device's slot: more changes, else more edicts obeyed.

    Raises:
        MeldError: neither follows from the other: the device's id is used by two brains.
    """
    short, long = sorted((one, two), key=lambda slot: slot.epoch)
    if not long.lineage.continues(short.lineage):
        raise MeldError(
            f"Two brains with the device id {one.device} learned different things, as copies of a folder do: give "
            "one of them its own id with `Brain.open(path).fork()` before teaching it, then meld."
        )
    if one.epoch != two.epoch:
        return long
    return max(one, two, key=lambda slot: (len(slot.applied), sorted(slot.applied)))
