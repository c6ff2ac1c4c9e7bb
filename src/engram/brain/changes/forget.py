"""Forgetting for good: a label, single examples, counterexamples, or what one teacher taught.

Which contribution loses what is found first, on copies; then it is committed, and with it the end of what is forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.brain.changes import FORGOT, LESSONS, TAUGHT_NOT, Prepared
from engram.brain.erasing import erasing, names_leaving
from engram.brain.history import History
from engram.brain.knowledge import NO_ROWS, NOTHING, Against, Knowledge, Loss, Rows
from engram.brain.ledger import Ledger, rows_in
from engram.brain.receipts import counter_receipts_of, receipts_of
from engram.brain.slots import Slot
from engram.brain.tombstones import Tombstone
from engram.learner import Label, LabelError, NotTaughtError
from engram.store.event import Draft, Event


def prepare_label(knowledge: Knowledge, ledger: Ledger, label: Label) -> Prepared:
    """Forget a label. Raises NotTaughtError where it was never taught."""
    if not knowledge.total.holds(label):
        knowledge.check_known(label)
    tombstone = Tombstone.make("forget label", knowledge.tombstones.values(), label=label,
                               before=knowledge.total.digest())
    ids = [seq for seq, _ in History(ledger).called(label, LESSONS)]
    return _prepare(knowledge, ledger, tombstone, Loss(others=knowledge.obeyed(knowledge.others, tombstone)), ids)


def prepare_examples(
    knowledge: Knowledge, ledger: Ledger, rows: Rows, labels: Sequence[Label] | None
) -> Prepared:
    """Forget examples by their content; without labels, where each was taught under one only.

    Raises:
        NotTaughtError, LabelError: not taught, or not so often, or under several.
    """
    if knowledge.bundle is None:
        raise NotTaughtError("The brain has not been taught yet, so there is nothing to forget.")
    tombstone, loss = _found(knowledge, rows, labels)
    ids = History(ledger).like(receipts_of(loss.rows), loss.labels)
    return _prepare(knowledge, ledger, tombstone, loss, ids)


def every_copy(
    knowledge: Knowledge, rows: Rows, labels: Sequence[Label] | None, sources: Sequence[str | None] | None = None
) -> tuple[Rows, list[Label] | None]:
    """Rows and labels as often as they are held, each once where it is named several times.

    Raises:
        NotTaughtError: one is not held; names it by its source or its place.
    """
    named = [None] * len(rows) if labels is None else list(labels)
    receipts = receipts_of(rows)
    held = knowledge.held(receipts, named)
    if not all(held):
        sources = sources or [None] * len(rows)
        missing = [source or f"input {place}" for place, (source, times) in enumerate(zip(sources, held, strict=True))
                   if not times]
        told = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        only = f" as {labels[0]}" if labels and len(set(labels)) == 1 else ""
        raise NotTaughtError(f"{told}: not taught{only}, or skipped by a gate. Nothing was forgotten.")
    first = {key: place for place, key in reversed(list(enumerate(zip(receipts, named, strict=True))))}
    places = [place for place in sorted(first.values()) for _ in range(held[place])]
    return rows[places], None if labels is None else [labels[place] for place in places]


def prepare_counterexamples(
    knowledge: Knowledge, ledger: Ledger, rows: Rows, labels: Sequence[Label]
) -> Prepared:
    """Forget counterexamples by their content. Raises NotTaughtError where one was not taught here, or not so often."""
    tombstone, loss = _found(knowledge, NO_ROWS, (), Against(rows, tuple(labels)))
    ids = History(ledger).like(counter_receipts_of(rows), labels, TAUGHT_NOT)
    return _prepare(knowledge, ledger, tombstone, loss, ids)


def prepare_ids(knowledge: Knowledge, ledger: Ledger, ids: Iterable[int], teacher: str | None) -> Prepared:
    """Forget examples and counterexamples by their numbers, and the name of a teacher.

    Raises:
        NotTaughtError: there is no such example, or it is forgotten or rolled back; or none are named.
        InputError: the brain lives in memory only.
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise NotTaughtError("There is nothing to forget: the list of examples is empty.")
    found = list(zip(*History(ledger).live(wanted, LESSONS), strict=True))
    parts = []
    for kind in LESSONS:
        chosen = [(event, label) for event, label in found if event.kind == kind]
        rows = rows_in([event for event, _ in chosen]) if chosen else NO_ROWS
        parts.append(Against(rows, tuple(label for _, label in chosen)))
    examples, against = parts
    tombstone, loss = _found(knowledge, *examples, against)
    return _prepare(knowledge, ledger, tombstone, loss, wanted, teacher)


def _prepare(
    knowledge: Knowledge, ledger: Ledger, tombstone: Tombstone, loss: Loss, ids: Sequence[int],
    teacher: str | None = None,
) -> Prepared:
    """A forget that was found possible.

    Args:
        ids: the examples of the log that go.
        teacher: whose name goes too.
    """
    tombstones = {**knowledge.tombstones, tombstone.id: tombstone}
    erase = sorted({*ids, *History(ledger).rolled_back()})
    known = _known_after(knowledge, tombstone, loss)
    names = names_leaving(ledger, knowledge, known, tombstones, tombstone.id, erase)
    body = {"edict": tombstone.as_json(), "ends": list(names.ends)}
    others = knowledge.others if loss.others is None else loss.others
    whole = Loss(loss.rows, loss.labels, loss.mine, loss.against, others, names.hidden)
    change = erasing(ledger, [Draft(kind=FORGOT, body=body)], erase, ids, others, [(tombstone, whole)], names,
                     [teacher] if teacher else [])
    return Prepared.event(
        FORGOT, body, changes=[change], referred=whole, forgets=True,
        keys=receipts_of(loss.rows) if loss.labels else (), gone=set(knowledge.total.named) - known,
    )  # fmt: skip


def apply(knowledge: Knowledge, event: Event, loss: Loss | None) -> None:
    body: Any = event.body
    loss = loss or Loss()
    knowledge.obey(Tombstone.from_json(body["edict"]), loss)
    knowledge.end(body.get("ends", ()), loss.hidden)


def describe(event: Event) -> str:
    body: Any = event.body
    label, receipts = body["edict"]["label"], body["edict"]["receipts"]
    return "a label, for good" if label is not None else f"{len(receipts)} example(s), for good"


def _known_after(knowledge: Knowledge, tombstone: Tombstone, loss: Loss) -> set[Label]:
    """The labels that are known when a forget is carried out."""
    total = knowledge.total
    left, against = Counter(total.counts), Counter(total.counterexamples)
    left.subtract(loss.labels)
    against.subtract(loss.against.labels)
    known = {label for label in total.named if left[label] > 0 or against[label] > 0}
    return known - {tombstone.found_in(known)}


# Which contribution loses what


def _found(
    knowledge: Knowledge, rows: Rows, labels: Sequence[Label] | None, against: Against = NOTHING
) -> tuple[Tombstone, Loss]:
    """Single examples, and counterexamples, in the contributions that hold them.

    Raises:
        NotTaughtError, LabelError: not taught, or not so often, or under several; or a counterexample of another
            device.
    """
    own = knowledge.own
    lacking = own.head.lacks_not(against.rows, against.labels)
    if lacking is not None:
        raise NotTaughtError(f"A counterexample to forget was never taught here against {lacking!r}, or not so "
                             "often. One of another device is forgotten there, or with its label.")
    if not knowledge.total.labels and not against.labels:
        raise NotTaughtError("The brain has not been taught yet, so there is nothing to forget.")
    receipts = receipts_of(rows)
    names = _only_labels(knowledge.all(), receipts) if labels is None else list(labels)
    plan = _plan(knowledge.all(), receipts, names)
    others = {
        device: _without(slot, rows, receipts, names, plan[device]) if device in plan else slot
        for device, slot in knowledge.others.items()
    }
    mine = plan.get(own.device, [])
    leaving = Counter((receipts[i], names[i]) for i in mine)
    gone = sorted({
        receipt.hex() for receipt in receipts
        if not any(slot.receipts.count(receipt) for slot in others.values())
        and own.receipts.count(receipt) == sum(n for (known, _), n in leaving.items() if known == receipt)
    } | {receipt.hex() for receipt in counter_receipts_of(against.rows)})
    tombstone = Tombstone.make("forget examples", knowledge.tombstones.values(), receipts=tuple(gone),
                               before=knowledge.total.digest())
    return tombstone, Loss(rows, tuple(names), tuple(mine), against, knowledge.obeyed(others, tombstone))


def _only_labels(slots: Sequence[Slot], receipts: Sequence[bytes]) -> list[Label]:
    """The label under which each example was taught, where it was taught under one only.

    Raises:
        NotTaughtError: it was never taught.
        LabelError: it was taught under several.
    """
    labels: list[Label] = []
    for place, receipt in enumerate(receipts):
        found = list(dict.fromkeys(label for slot in slots for label in slot.receipts.labels_of(receipt)))
        if not found:
            raise NotTaughtError(f"Example {place} to forget was never taught, or skipped by the gate.")
        if len(found) > 1:
            raise LabelError(f"Example {place} was taught as {found}: pass the label that it is to be forgotten under.")
        labels += found
    return labels


def _plan(slots: Sequence[Slot], receipts: Sequence[bytes], labels: Sequence[Label]) -> dict[str, list[int]]:
    """The places of the examples that each device's slot is to lose; the first slots that hold them lose them.

    Raises:
        NotTaughtError: an example is not held, or not as often.
    """
    plan: dict[str, list[int]] = {}
    taken: Counter[tuple[str, bytes, Label]] = Counter()
    for place, (receipt, label) in enumerate(zip(receipts, labels, strict=True)):
        for slot in slots:
            key = (slot.device, receipt, label)
            if slot.receipts.count(receipt, label) > taken[key]:
                taken[key] += 1
                plan.setdefault(slot.device, []).append(place)
                break
        else:
            raise NotTaughtError(
                f"Example {place} to forget was never taught as {label!r}, or not so often, or a gate skipped it."
            )
    return plan


def _without(
    slot: Slot, rows: npt.NDArray[np.int16], receipts: Sequence[bytes], labels: Sequence[Label], places: Sequence[int]
) -> Slot:
    """A copy of a slot that has lost the examples at these places."""
    copy = slot.copy()
    names = [labels[i] for i in places]
    copy.head.forget_rows(rows[list(places)], names)
    copy.receipts.remove([receipts[i] for i in places], names)
    return copy
