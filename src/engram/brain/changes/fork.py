"""Forking: a copy of a brain goes on under an id of its own."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from engram.brain.changes import FORKED, Prepared
from engram.brain.knowledge import Knowledge
from engram.brain.receipts import Receipts
from engram.brain.slots import Contents, Lineage, Slot
from engram.store.event import Event


def prepare(knowledge: Knowledge) -> Prepared:
    return Prepared.event(FORKED, {"device": uuid4().hex})


def apply(knowledge: Knowledge, event: Event, referred: Any) -> None:
    """What was learned so far stays a contribution of the old id."""
    body: Any = event.body
    device, old = str(body["device"]), knowledge.own
    if not old.epoch:
        old.device = device
        return
    knowledge.others[old.device] = old.copy()
    knowledge.own = Slot(device, Lineage(), old.applied, Contents(knowledge.new_head(), Receipts()))
