"""Correcting: examples that were taught under a wrong label move to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engram.brain.changes import RELABELLED, Prepared, Record
from engram.brain.knowledge import NO_ROWS, Against, Knowledge
from engram.brain.ledger import rows_in
from engram.brain.pseudonyms import shown
from engram.brain.receipts import receipts_of
from engram.inputs.vectors import as_labels
from engram.learner import InputError, Label
from engram.store.event import Event


def prepare(knowledge: Knowledge, events: Sequence[Event], old: Sequence[Label], label: Label) -> list[Prepared]:
    """Nothing where they are called so already.

    Args:
        events: the examples of the log.
        old: what each is called now.

    Raises:
        LabelError: a label of another type.
        InputError: learned as another device.
    """
    if not knowledge.total.holds(label):
        as_labels(label, 1, knowledge.like)
    moved = [(event, known) for event, known in zip(events, old, strict=True) if known != label]
    if not moved:
        return []
    rows = rows_in([event for event, _ in moved])
    before = [known for _, known in moved]
    if knowledge.own.receipts.missing(receipts_of(rows), before):
        raise InputError("An example taught by another device cannot be relabelled: forget it, then teach it again.")
    body = {"ids": [event.seq for event, _ in moved], "old": before, "label": label}
    return [Prepared.event(RELABELLED, body, referred=Against(rows, tuple(before)))]


def recall(knowledge: Knowledge, event: Event, record: Record) -> Against:
    """The rows that moved, as far as the log still has them, and what they were called."""
    body: Any = event.body
    events = [(record.log.event(int(seq)), old) for seq, old in zip(body["ids"], body["old"], strict=True)]
    left = [(event, old) for event, old in events if event.content is not None]
    return Against(rows_in([event for event, _ in left]) if left else NO_ROWS, tuple(old for _, old in left))


def apply(knowledge: Knowledge, event: Event, moved: Against) -> None:
    body: Any = event.body
    if moved.labels:
        new, old = [body["label"]] * len(moved.rows), list(moved.labels)
        for head in knowledge.heads():
            head.learn_rows(moved.rows, new)
            head.forget_rows(moved.rows, old)
        knowledge.tell_alphas(knowledge.alphas.keys() & {body["label"]})
        receipts = receipts_of(moved.rows)
        knowledge.own.receipts.add(receipts, new)
        knowledge.own.receipts.remove(receipts, old)
    knowledge.own.changed()


def describe(event: Event) -> str:
    body: Any = event.body
    return f"{len(body['ids'])} example(s) corrected to {shown(body['label'])}"
