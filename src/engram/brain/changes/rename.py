"""Renaming: a label goes by another name, here and in all that is melded later."""

from __future__ import annotations

from typing import Any

from engram.brain.changes import RENAMED, Prepared
from engram.brain.knowledge import Knowledge, Loss
from engram.brain.pseudonyms import shown
from engram.brain.tombstones import Tombstone
from engram.inputs.vectors import as_labels
from engram.learner import Label, LabelError
from engram.store.event import Event


def prepare(knowledge: Knowledge, old: Label, new: Label) -> Prepared:
    """Raises NotTaughtError where `old` was never taught, LabelError where `new` cannot be its name."""
    if not knowledge.total.holds(old):
        knowledge.check_known(old)
    (new,) = as_labels(new, 1, old)
    if knowledge.total.holds(new):
        raise LabelError(f"{new!r} exists already: forget it first, or choose another name.")
    tombstone = Tombstone.make("rename", knowledge.tombstones.values(), label=old, new=new)
    loss = Loss(others=knowledge.obeyed(knowledge.others, tombstone))
    return Prepared.event(RENAMED, {"edict": tombstone.as_json()}, referred=loss)


def apply(knowledge: Knowledge, event: Event, loss: Loss | None) -> None:
    body: Any = event.body
    knowledge.obey(Tombstone.from_json(body["edict"]), loss or Loss())
    knowledge.end(body.get("ends", ()), {})


def describe(event: Event) -> str:
    body: Any = event.body
    return f"{shown(body['edict']['label'])} is called {shown(body['edict']['new'])}"
