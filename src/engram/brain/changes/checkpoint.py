"""Checkpoints: an event that stands for all that is known takes the place of what came before it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from engram.brain.changes import CHECKPOINT, LESSONS, RELABELLED, Prepared
from engram.brain.erasing import erasing, names_leaving
from engram.brain.history import History
from engram.brain.knowledge import Knowledge
from engram.brain.ledger import Ledger
from engram.brain.timeline import Timeline
from engram.brain.tombstones import joined
from engram.store.event import Event, Transaction


def prepare(ledger: Ledger, keep: int) -> Prepared:
    """Let the oldest examples go: a checkpoint takes the place of all but the newest `keep`.

    They are not forgotten, so they leave the files with the next forget.
    """
    timeline = ledger.timeline()
    covers = _oldest_but(keep, timeline)
    base = ledger.recover(covers)
    for head in base.heads():
        head.let_go()
    gone = [seq for seq, _ in ledger.log.find(upto=covers, kinds=LESSONS)]
    earlier = [event.seq for event in timeline.checkpoints]
    cut = sorted((ledger.log.acts(upto=covers) | timeline.cut_acts) & ledger.log.acts(covers))
    change = Transaction(events=ledger.checkpoint(base, covers, cut=cut), erase=[*gone, *earlier], for_good=False)
    return Prepared.event(CHECKPOINT, {"covers": covers}, changes=[change])


def prepare_all(knowledge: Knowledge, ledger: Ledger, later: Knowledge, covers: int) -> Prepared:
    """Know what a later version of this very brain knows: its state takes the place of the whole log.

    Args:
        covers: the number that the checkpoint's event will have.
    """
    draft = ledger.checkpoint(later, covers, erased=True)
    known, going = set(later.total.named), History(ledger).everything()
    tombstones = joined(knowledge.tombstones, later.tombstones)
    names = names_leaving(ledger, knowledge, known, tombstones, uuid4().hex, going)
    change = erasing(ledger, draft, going, (), later.others, (), names)
    return Prepared.event(CHECKPOINT, {"covers": covers}, changes=[change])


def _oldest_but(keep: int, timeline: Timeline) -> int:
    """The event before the last so many, moved on to one after which no correction speaks of an earlier example."""
    covers = max(timeline.last - keep, 1)
    while True:
        covers = timeline.settled(covers)
        late = [
            event.seq for event in timeline.rare
            if event.kind == RELABELLED and event.seq > covers and min((event.body or {})["ids"]) <= covers
        ]
        if not late:
            return covers
        covers = max(late)


def apply(knowledge: Knowledge, event: Event, referred: Any) -> None:
    """It stands for what is known."""
