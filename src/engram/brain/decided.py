"""What was decided here about examples, for those that come in from a time before it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from engram.brain.edicts import Edict, in_order
from engram.brain.journal import Journal
from engram.brain.pseudonyms import stands_for
from engram.brain.timeline import CHECKPOINT, CREATED, FORGOT, MELDED, RELABELLED, RENAMED, Timeline
from engram.learner import Label

_Move = tuple[int, float, Label, Label]  # number of the event, its time, label before and after


class Decided:
    """Forgets, renames and corrections, and when they were made.

    A rename or correction that was rolled back does not count; a forget cannot be.

    Args:
        journal: the brain's log; None for a brain in memory, where all counts as decided just now.
        edicts: every forget and rename that the brain obeys.
    """

    def __init__(self, journal: Journal | None, edicts: Mapping[str, Edict]) -> None:
        self._gone: dict[bytes, float] = {}  # receipt -> when the example was forgotten last
        self._called: list[tuple[int, float, Label, Label | None]] = []  # label before and after; None: forgotten
        self._moved: dict[bytes, list[_Move]] = {}
        left = dict(edicts)
        if journal is not None:
            self._read(journal, left)
        else:
            self._take(0, math.inf, in_order(left.values()), in_force=True)
        self._called.sort(key=lambda order: order[0])

    def now(self, label: Label, receipt: bytes, time: int) -> Label | None:
        """What an example taught at `time` (microseconds since 1970) is called here; None where it was forgotten."""
        if self._gone.get(receipt, -math.inf) >= time:
            return None
        orders: Iterable[tuple[int, float, Label, Label | None]] = self._called
        if receipt in self._moved:
            orders = sorted([*self._called, *self._moved[receipt]], key=lambda order: order[0])
        for _, when, before, after in orders:
            if when >= time and stands_for(before, label):
                if after is None:
                    return None
                label = after
        return label

    def _read(self, journal: Journal, left: dict[str, Edict]) -> None:
        timeline = journal.timeline()
        spans = timeline.in_force()
        for event in timeline.rare:
            body: Mapping[str, Any] = event.body or {}
            current = event.seq in spans
            if event.kind in (FORGOT, RENAMED, MELDED):
                found = [body["edict"]] if "edict" in body else body.get("edicts", ())
                fresh = [Edict.from_json(values) for values in found if left.pop(values["id"], None) is not None]
                self._take(event.seq, event.time, in_order(fresh), in_force=current)
            elif event.kind == RELABELLED and current:
                self._move(journal, event.seq, event.time, body)
        # edicts from before the log began, or that a saved brain brought with it
        self._take(0, _arrived(timeline), in_order(left.values()), in_force=True)

    def _take(self, seq: int, time: float, edicts: Iterable[Edict], *, in_force: bool) -> None:
        for edict in edicts:
            if edict.kind == "forget examples":
                for receipt in map(bytes.fromhex, edict.receipts):
                    self._gone[receipt] = max(time, self._gone.get(receipt, -math.inf))
            elif edict.label is not None and (edict.kind == "forget label" or in_force):
                self._called.append((seq, time, edict.label, edict.new))

    def _move(self, journal: Journal, seq: int, time: int, body: Mapping[str, Any]) -> None:
        for example, old in zip(body["ids"], body["old"], strict=True):
            receipt = journal.log.event(int(example)).receipt
            if receipt is not None:
                self._moved.setdefault(receipt, []).append((seq, time, old, body["label"]))


def _arrived(timeline: Timeline) -> int:
    return max(event.time for event in timeline.rare if event.kind in (CREATED, CHECKPOINT))
