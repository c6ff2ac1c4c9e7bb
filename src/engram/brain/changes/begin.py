"""How a brain begins, and whoever goes on with it: made, its backbone chosen, its columns named, opened by a program,
and as a copy under an id of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from engram.brain.changes import ADOPTED, COLUMNS, CREATED, FORKED, OPENED, Prepared, Record
from engram.brain.knowledge import Knowledge
from engram.brain.ledger import Ledger
from engram.brain.receipts import Receipts
from engram.brain.slots import Contents, Lineage, Slot
from engram.features.backbones.bundle import Bundle
from engram.store.event import Draft, Event, Transaction


def created(knowledge: Knowledge, unknowns: int) -> Transaction:
    """The first event of a log: the options with which the brain was made, and how many unknowns its inbox keeps."""
    body = {"device": knowledge.own.device, "options": knowledge.options, "unknowns": unknowns}
    return Transaction(events=[Draft(kind=CREATED, body=body)])


def adopting(knowledge: Knowledge, ledger: Ledger, bundle: Bundle) -> list[Prepared]:
    """Standing on a backbone from now on, if on none yet; its files are on disk first."""
    if knowledge.bundle is not None and not knowledge.may_turn_to(bundle):
        return []
    ledger.keep_bundle(bundle)
    body = {"backbone": bundle.name, "fingerprint": bundle.fingerprint}
    return [Prepared.event(ADOPTED, body, referred=bundle)]


def naming(knowledge: Knowledge, columns: Sequence[str] | None) -> list[Prepared]:
    """Knowing the columns by their names from now on, if that is new."""
    if columns is None or knowledge.columns is not None:
        return []
    return [Prepared.event(COLUMNS, {"names": list(columns)})]


def opening() -> Prepared:
    """This program goes on with what another one left: see `engram.brain.slots.Lineage`."""
    return Prepared.event(OPENED, {"mark": os.urandom(8).hex()})


def forking() -> Prepared:
    """A copy of the brain goes on under an id of its own."""
    return Prepared.event(FORKED, {"device": uuid4().hex})


def recall(knowledge: Knowledge, event: Event, record: Record) -> Bundle | None:
    """The backbone that was chosen."""
    return record.bundle() if knowledge.bundle is None else knowledge.bundle


def apply(knowledge: Knowledge, event: Event, bundle: Bundle | None) -> None:
    body: Any = event.body or {}
    if event.kind == ADOPTED and bundle is not None:
        knowledge.adopt(bundle)
    elif event.kind == COLUMNS:
        knowledge.columns = tuple(map(str, body["names"]))
    elif event.kind == OPENED:
        knowledge.own.begin(str(body["mark"]))
    elif event.kind == FORKED:
        _go_on_as(knowledge, str(body["device"]))


def _go_on_as(knowledge: Knowledge, device: str) -> None:
    """What was learned so far stays a contribution of the old id."""
    old = knowledge.own
    if not old.epoch:
        old.device = device
        return
    knowledge.others[old.device] = old.copy()
    knowledge.own = Slot(device, Lineage(), old.applied, Contents(knowledge.new_head(), Receipts()))
