"""Rolling back: what was known at an earlier moment is known again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engram.brain.changes import ROLLED_BACK, TAUGHT_NOT, Prepared
from engram.brain.knowledge import Knowledge
from engram.brain.slots import Lineage
from engram.brain.tombstones import joined, tombstones_in
from engram.store.event import Event, Taught


def prepare(
    knowledge: Knowledge, then: Knowledge, to: int, *, undoing: bool, without: Sequence[range] = ()
) -> Prepared:
    """Know `then`, what was known after event `to`, by a change after all of these.

    Args:
        without: the events that alone are taken back; then what else came after event `to` stays.
    """
    own = knowledge.own
    lineage = (own.lineage if own.live else own.lineage.begun()).advanced()
    edicts = [tombstone.as_json() for tombstone in knowledge.tombstones.values()]
    body: dict[str, Any] = {"to": to, "undoing": undoing, "lineage": lineage.as_json(), "edicts": edicts}
    if without:
        body["without"] = [[span.start, span.stop - 1] for span in without]
    return Prepared.event(ROLLED_BACK, body, onto=then)


def prepare_lessons(knowledge: Knowledge, lessons: Sequence[Taught], to: int) -> Prepared:
    """Take back lessons by forgetting their examples: how a brain in memory undoes, which has no log to replay."""
    undone = prepare(knowledge, knowledge, to, undoing=True)
    undone.referred = lessons
    return undone


def apply(then: Knowledge, event: Event, lessons: Sequence[Taught] | None) -> None:
    """What others must obey stays on record, and what is here counts as having obeyed: only content goes back."""
    body: Any = event.body
    for taught in lessons or ():
        _take_back(then, taught)
    then.tombstones = joined(then.tombstones, tombstones_in(body))
    then.own.lineage, then.own.live = Lineage.from_json(body["lineage"]), True
    for slot in then.all():
        slot.applied |= frozenset(then.tombstones)


def _take_back(knowledge: Knowledge, taught: Taught) -> None:
    for head in knowledge.heads():
        if taught.kind == TAUGHT_NOT:
            head.forget_not_rows(taught.rows, list(taught.labels))
        else:
            head.forget_rows(taught.rows, list(taught.labels))
    if taught.kind != TAUGHT_NOT:
        knowledge.own.receipts.remove(list(taught.receipts), list(taught.labels))


def is_undo(event: Event) -> bool:
    body: Any = event.body or {}
    return event.kind == ROLLED_BACK and bool(body.get("undoing"))


def describe(event: Event) -> str:
    body: Any = event.body
    alone = ", ".join(f"{first} to {last}" if first < last else str(first) for first, last in body.get("without", ()))
    return ("undo, " if body.get("undoing") else "") + (f"of {alone}" if alone else f"to {body['to']}")
