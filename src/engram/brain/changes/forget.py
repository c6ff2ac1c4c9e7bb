"""Forgetting for good: a label, single examples, counterexamples, or what one teacher taught.

Which contribution loses what is found first, on copies; then it is committed, and with it the end of what is forgotten.
What was undone is in no contribution but in the log, until it is forgotten by label, number, teacher or content too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.brain.changes import FORGOT, LESSONS, TAUGHT, TAUGHT_NOT, Prepared
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
    """Forget a label, what was undone of it included. Raises NotTaughtError where nothing names it."""
    history = History(ledger)
    undone = history.undone(label)
    if not knowledge.total.holds(label) and not undone:
        _check_told(knowledge, history, label)
    tombstone = Tombstone.make("forget label", knowledge.tombstones.values(), label=label,
                               before=knowledge.total.digest())
    ids = [seq for seq, _ in history.called(label, LESSONS)]
    loss = Loss(others=knowledge.obeyed(knowledge.others, tombstone))
    return _prepare(knowledge, ledger, tombstone, loss, ids, undone, asked=[label])


def _check_told(knowledge: Knowledge, history: History, label: Label) -> None:
    """Raises NotTaughtError where a label that nothing known has is named nowhere, or was the name of one known."""
    names = history.names
    now = next((known for known in knowledge.total.named if label in names.ever(known)), None)
    if now is not None:
        raise NotTaughtError(f"{label!r} is called {now!r} now: forget {now!r}, and its former names go with it.")
    if not history.tells(label):
        knowledge.check_known(label)


def prepare_examples(
    knowledge: Knowledge, ledger: Ledger, rows: Rows, labels: Sequence[Label] | None
) -> Prepared:
    """Forget (N, D) examples by their content; without labels, where each was taught under one only.

    Raises:
        NotTaughtError, LabelError: not taught, or not so often, or under several.
    """
    if knowledge.bundle is None:
        raise NotTaughtError("The brain has not been taught yet, so there is nothing to forget.")
    history = History(ledger)
    tombstone, loss, undone = _found(knowledge, history, rows, labels)
    ids = history.like(receipts_of(loss.rows), loss.labels)
    return _prepare(knowledge, ledger, tombstone, loss, ids, undone)


def every_copy(
    knowledge: Knowledge, ledger: Ledger, rows: Rows, labels: Sequence[Label] | None,
    sources: Sequence[str | None] | None = None,
) -> tuple[Rows, list[Label] | None]:
    """(N, D) rows and labels as often as they are held, each once where it is named several times, or was undone.

    Raises:
        NotTaughtError: one is neither; names it by its source or its place.
    """
    named = [None] * len(rows) if labels is None else list(labels)
    receipts = receipts_of(rows)
    held = knowledge.held(receipts, named)
    gone = [place for place, times in enumerate(held) if not times]
    undone = History(ledger).undone_like([receipts[i] for i in gone], [named[i] for i in gone])
    for place, found in zip(gone, undone, strict=True):
        held[place] = int(bool(found))
    if not all(held):
        sources = sources or [None] * len(rows)
        asked = enumerate(zip(sources, held, strict=True), 1)
        missing = [source or f"input {place}" for place, (source, times) in asked if not times]
        told = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        only = f" as {labels[0]}" if labels and len(set(labels)) == 1 else ""
        raise NotTaughtError(f"{told}: not taught{only}, or skipped by a gate. Nothing was forgotten.")
    first = {key: place for place, key in reversed(list(enumerate(zip(receipts, named, strict=True))))}
    places = [place for place in sorted(first.values()) for _ in range(held[place])]
    return rows[places], None if labels is None else [labels[place] for place in places]


def prepare_counterexamples(
    knowledge: Knowledge, ledger: Ledger, rows: Rows, labels: Sequence[Label]
) -> Prepared:
    """Forget (N, D) counterexamples by their content. Raises NotTaughtError where one was not taught here, or not so
    often.
    """
    history = History(ledger)
    against, undone = _held_against(knowledge, history, rows, labels)
    tombstone, loss, _ = _found(knowledge, history, NO_ROWS, (), against, undone)
    ids = history.like(counter_receipts_of(against.rows), against.labels, TAUGHT_NOT)
    return _prepare(knowledge, ledger, tombstone, loss, ids, undone)


def prepare_ids(knowledge: Knowledge, ledger: Ledger, ids: Iterable[int]) -> Prepared:
    """Forget examples and counterexamples by their numbers, those that were undone included.

    Raises:
        NotTaughtError: there is no such example, or it is forgotten; or none are named.
        InputError: the brain lives in memory only.
    """
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        raise NotTaughtError("There is nothing to forget: the list of examples is empty.")
    return _prepare_ids(knowledge, ledger, History(ledger), wanted)


def prepare_teacher(knowledge: Knowledge, ledger: Ledger, teacher: str) -> Prepared:
    """Forget all that someone taught, what was undone of it included, and the name.

    Raises:
        NotTaughtError: the log names no such teacher.
        InputError: the brain lives in memory only.
    """
    history = History(ledger)
    return _prepare_ids(knowledge, ledger, history, history.ids_of(teacher), teacher)


def _prepare_ids(
    knowledge: Knowledge, ledger: Ledger, history: History, ids: Sequence[int], teacher: str | None = None
) -> Prepared:
    events, called, undone = history.held_or_undone(ids)
    parts = []
    for kind in LESSONS:
        chosen = [(event, label) for event, label in zip(events, called, strict=True) if event.kind == kind]
        rows = rows_in([event for event, _ in chosen]) if chosen else NO_ROWS
        parts.append(Against(rows, tuple(label for _, label in chosen)))
    examples, against = parts
    tombstone, loss, _ = _found(knowledge, history, *examples, against, undone)
    return _prepare(knowledge, ledger, tombstone, loss, [event.seq for event in events], undone, teacher)


def _prepare(
    knowledge: Knowledge, ledger: Ledger, tombstone: Tombstone, loss: Loss, ids: Sequence[int],
    undone: Sequence[Event], teacher: str | None = None, asked: Sequence[Label] = (),
) -> Prepared:
    """A forget that was found possible.

    Args:
        ids: the examples of the log that go and are known until now.
        undone: those that go and only the log holds.
        teacher: whose name goes too.
        asked: the label that was named.
    """
    tombstones = {**knowledge.tombstones, tombstone.id: tombstone}
    erase = sorted({*ids, *History(ledger).rolled_back()})
    known = _known_after(knowledge, tombstone, loss)
    names = names_leaving(ledger, knowledge, known, tombstones, tombstone.id, erase, asked)
    examples = len({*ids, *(event.seq for event in undone)}) or len(loss.labels) + len(loss.against.labels)
    body = {"edict": tombstone.as_json(), "ends": list(names.ends), "examples": examples}
    others = knowledge.others if loss.others is None else loss.others
    whole = Loss(loss.rows, loss.labels, loss.mine, loss.against, others, names.hidden)
    change = erasing(ledger, [Draft(kind=FORGOT, body=body)], erase, ids, others, [(tombstone, whole)], names,
                     [teacher] if teacher else [])
    return Prepared.event(
        FORGOT, body, changes=[change], referred=whole, forgets=True, keys=_keys(loss, undone),
        gone={*(set(knowledge.total.named) - known), *names.hidden},
    )  # fmt: skip


def _keys(loss: Loss, undone: Sequence[Event]) -> set[bytes]:
    """Of the unknowns that are what is forgotten, or were taught as what something is not."""
    rows = [loss.rows] if loss.labels else []
    rows += [loss.against.rows] if loss.against.labels else []
    rows += [rows_in(undone)] if undone else []
    return {key for some in rows for key in receipts_of(some)}


def apply(knowledge: Knowledge, event: Event, loss: Loss | None) -> None:
    body: Any = event.body
    loss = loss or Loss()
    knowledge.obey(Tombstone.from_json(body["edict"]), loss)
    knowledge.end(body.get("ends", ()), loss.hidden)


def describe(event: Event) -> str:
    body: Any = event.body
    if body["edict"]["label"] is not None:
        return "a label, for good"
    count = body.get("examples", len(body["edict"]["receipts"]))  # which Engram 0.1 did not record
    return f"{count} example(s), for good" if count else "a teacher's name, for good"


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
    knowledge: Knowledge, history: History, rows: Rows, labels: Sequence[Label] | None, against: Against = NOTHING,
    undone: Sequence[Event] = (),
) -> tuple[Tombstone, Loss, list[Event]]:
    """Single examples, and counterexamples, in the contributions that hold them, or in the log as undone.

    Args:
        undone: those of the log that go with them.

    Returns:
        The tombstone, what goes with it, and everything undone that goes.

    Raises:
        NotTaughtError, LabelError: not taught, or not so often, or under several; or a counterexample of another
            device.
    """
    own = knowledge.own
    lacking = own.head.lacks_not(against.rows, against.labels)
    if lacking is not None:
        raise NotTaughtError(f"A counterexample to forget was never taught here against {lacking!r}, or not so "
                             "often. One of another device is forgotten there, or with its label.")
    receipts = receipts_of(rows)
    slots, going = knowledge.all(), list(undone)
    names = _only_labels(slots, history, receipts) if labels is None else list(labels)
    plan, aside = _plan(slots, history, receipts, names)
    going += [event for events in aside.values() for event in events]
    others = {
        device: _without(slot, rows, receipts, names, plan[device]) if device in plan else slot
        for device, slot in knowledge.others.items()
    }
    mine = plan.get(own.device, [])
    leaving = Counter((receipts[i], names[i]) for i in mine)
    kept = {place: kept for kept, place in enumerate(i for i in range(len(names)) if i not in aside)}
    wanted = {*receipts, *(event.receipt for event in going if event.kind == TAUGHT and event.receipt)}
    against_too = {event.receipt for event in going if event.kind == TAUGHT_NOT and event.receipt}
    gone = sorted({
        receipt.hex() for receipt in wanted
        if not any(slot.receipts.count(receipt) for slot in others.values())
        and own.receipts.count(receipt) == sum(n for (known, _), n in leaving.items() if known == receipt)
    } | {receipt.hex() for receipt in (*counter_receipts_of(against.rows), *against_too)})
    tombstone = Tombstone.make("forget examples", knowledge.tombstones.values(), receipts=tuple(gone),
                               before=knowledge.total.digest())
    loss = Loss(rows[list(kept)], tuple(names[i] for i in kept), tuple(kept[i] for i in mine), against,
                knowledge.obeyed(others, tombstone))
    return tombstone, loss, going


def _held_against(
    knowledge: Knowledge, history: History, rows: Rows, labels: Sequence[Label]
) -> tuple[Against, list[Event]]:
    """The counterexamples of these that are held, or never were; and those that only the log holds, undone."""
    receipts, head = counter_receipts_of(rows), knowledge.own.head
    gone = [i for i, label in enumerate(labels) if head.lacks_not(rows[i : i + 1], [label]) is not None]
    found = history.undone_like([receipts[i] for i in gone], [labels[i] for i in gone], TAUGHT_NOT)
    undone = {place: events for place, events in zip(gone, found, strict=True) if events}
    held = [place for place in range(len(labels)) if place not in undone]
    against = Against(rows[held], tuple(labels[place] for place in held))
    return against, [event for events in undone.values() for event in events]


def _only_labels(slots: Sequence[Slot], history: History, receipts: Sequence[bytes]) -> list[Label]:
    """The label under which each example was taught, where it was taught under one only.

    Raises:
        NotTaughtError: it was never taught.
        LabelError: it was taught under several.
    """
    labels: list[Label] = []
    named = [list(dict.fromkeys(label for slot in slots for label in slot.receipts.labels_of(receipt)))
             for receipt in receipts]
    gone = [place for place, found in enumerate(named) if not found]
    undone = history.undone_like([receipts[i] for i in gone], [None] * len(gone))
    for place, events in zip(gone, undone, strict=True):  # every copy goes, whatever it was called
        named[place] = [event.label for event in events if event.label is not None][:1]
    for place, found in enumerate(named):
        if not found:
            raise NotTaughtError(f"Example {place + 1} to forget was never taught, or skipped by the gate.")
        if len(found) > 1:
            raise LabelError(f"Example {place + 1} was taught as {found}: pass the label that it is to be forgotten"
                             " under.")
        labels += found
    return labels


def _plan(
    slots: Sequence[Slot], history: History, receipts: Sequence[bytes], labels: Sequence[Label]
) -> tuple[dict[str, list[int]], dict[int, list[Event]]]:
    """The places of the examples that each device's slot is to lose; the first slots that hold them lose them. And by
    place, the examples that no slot holds, but the log since they were undone.

    Raises:
        NotTaughtError: an example is not held, or not as often, nor was it undone.
    """
    plan: dict[str, list[int]] = {}
    gone: list[int] = []
    taken: Counter[tuple[str, bytes, Label]] = Counter()
    for place, (receipt, label) in enumerate(zip(receipts, labels, strict=True)):
        for slot in slots:
            key = (slot.device, receipt, label)
            if slot.receipts.count(receipt, label) > taken[key]:
                taken[key] += 1
                plan.setdefault(slot.device, []).append(place)
                break
        else:
            gone.append(place)
    undone = history.undone_like([receipts[i] for i in gone], [labels[i] for i in gone])
    for place, events in zip(gone, undone, strict=True):
        if not events:
            raise NotTaughtError(f"Example {place + 1} to forget was never taught as {labels[place]!r}, or not so"
                                 " often, or a gate skipped it.")
    return plan, dict(zip(gone, undone, strict=True))


def _without(
    slot: Slot, rows: npt.NDArray[np.int16], receipts: Sequence[bytes], labels: Sequence[Label], places: Sequence[int]
) -> Slot:
    """A copy of a slot that has lost the examples at these places."""
    copy = slot.copy()
    names = [labels[i] for i in places]
    copy.head.forget_rows(rows[list(places)], names)
    copy.receipts.remove([receipts[i] for i in places], names)
    return copy
