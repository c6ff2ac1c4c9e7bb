"""Forgetting for good: what leaves a ledger with a forget, examples and names.

What is forgotten leaves the log, every snapshot, other devices' files and the inbox. The event of forgetting stays,
without content. What had been rolled back by then can no longer be returned to, so it is erased too. The names of a
forgotten label go: its own, its former ones, and those of what goes with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from engram.brain.changes import CHECKPOINT, LESSONS, MELDED, RELABELLED
from engram.brain.history import History
from engram.brain.knowledge import Knowledge, Loss
from engram.brain.ledger import Ledger
from engram.brain.pseudonyms import in_records, is_pseudonym, names_in, pseudonym, stands_for
from engram.brain.receipts import counter_receipts_of, receipts_of
from engram.brain.saving import slot_entry
from engram.brain.slots import Slot
from engram.brain.timeline import Names, Timeline
from engram.brain.tombstones import Tombstone, in_order, leads_to
from engram.learner import Label, NotTaughtError
from engram.store.event import Draft, Transaction

Rewritten = dict[int, tuple[Mapping[str, Any] | None, bytes | None]]
"""Number of an event -> its body and content from now on."""


@dataclass(frozen=True)
class Unnamed:
    """Names that go.

    Attributes:
        hidden: name -> the pseudonym that takes its place.
        ends: ids of renames that led to a label which is forgotten now.
    """

    hidden: Mapping[Label, Label] = field(default_factory=dict)
    ends: tuple[str, ...] = ()

    def rewritten(self, timeline: Timeline, before: Rewritten) -> Rewritten:
        """The events that name them, without the names.

        Args:
            before: what is rewritten of these events anyway.
        """
        rewritten = dict(before)
        for event in timeline.rare:
            if event.kind == CHECKPOINT or event.body is None:
                continue
            body, content = before.get(event.seq, (event.body, None))
            changed = in_records(body or {}, self.hidden)
            if changed != event.body:
                rewritten[event.seq] = (changed, content)
        return rewritten


def unnamed(
    forgotten: Iterable[Label], known: Collection[Label], tombstones: Mapping[str, Tombstone], act: str,
    more: Iterable[Label] = (),
) -> Unnamed:
    """The names that a forget takes out of the records.

    Args:
        forgotten: labels that are known no longer.
        known: those that are; they keep their names, and the names they had.
        tombstones: every forget and rename, the newest among them.
        act: the id of the forget.
        more: other names that go with it, unless a label that is known had one of them.
    """
    going = _ever(forgotten, tombstones.values()) | (set(more) - _ever(known, tombstones.values()))
    names = {name for name in going if name not in known and not is_pseudonym(name)}
    buried = [one.label for one in tombstones.values() if one.kind == "forget label" and one.label is not None]
    hidden = {
        name: next((label for label in buried if stands_for(label, name)), None) or pseudonym(name, act)
        for name in names
    }
    renames = [one for one in tombstones.values() if one.kind == "rename"]
    ends = tuple(
        one.id for one in renames
        if (one.label in names or one.new in names) and leads_to(one, renames) not in known
    )
    return Unnamed(hidden, ends)


def passed_by(timeline: Timeline, gone: Collection[int]) -> set[Label]:
    """The names in what was rolled back, in corrections of these examples, and in forgets that tell their label."""
    spans, found, going = timeline.in_force(), told(timeline), set(gone)
    for event in timeline.rare:
        body = event.body or {}
        if event.seq not in spans:
            found |= names_in(body)
        elif event.kind == RELABELLED and going.intersection(body["ids"]):
            found |= {old for seq, old in zip(body["ids"], body["old"], strict=True) if seq in going}
            found |= {body["label"]}
    return found


def told(timeline: Timeline) -> set[Label]:
    """The labels that forgets tell in clear, as Engram 0.1 recorded them."""
    found = set[Label]()
    for event in timeline.rare:
        body = event.body or {}
        told = [*([body["edict"]] if "edict" in body else []), *body.get("edicts", ())]
        found |= {one["label"] for one in told if one["kind"] == "forget label" and not is_pseudonym(one["label"])}
    return found


def _ever(labels: Iterable[Label], tombstones: Iterable[Tombstone]) -> set[Label]:
    """These labels, and all that they were called before."""
    found = set(labels)
    for tombstone in reversed(in_order(tombstones)):
        if tombstone.kind == "rename" and tombstone.new in found and tombstone.label is not None:
            found.add(tombstone.label)
    return found


def erasing(
    ledger: Ledger,
    events: Sequence[Draft],
    erase: Sequence[int],
    ids: Sequence[int],
    others: Mapping[str, Slot],
    losses: Sequence[tuple[Tombstone, Loss]],
    names: Unnamed,
    teachers: Sequence[str] = (),
) -> Transaction:
    """Events, and with them the end of what they forget, as one change.

    Args:
        erase: the examples of the log that go.
        ids: of these, those that are known until now and forgotten.
        others: what becomes of other devices' contributions.
        losses: what a checkpoint in the log is to lose too.
        names: what leaves the records.
        teachers: whose names leave them too.
    """
    history, going = History(ledger), set(erase)
    timeline, called = history.timeline, history.names
    ledger.keep_slots(others.values())
    rewrite = names.rewritten(timeline, _pointing_to(others, timeline))

    def lose(base: Knowledge, covers: int) -> bool:
        left = Counter(ledger.log.event(seq).receipt for seq in ids)
        touched = [_lose(base, *loss, left, called, covers) for loss in losses]
        return any([*touched, base.hide(names.hidden)])

    rewrite |= ledger.cut_checkpoint(lose, others, going)
    unsourced = {seq for name in names.hidden for seq in ledger.log.sources_in(str(name))} - going
    labels = {seq: hidden for name, hidden in names.hidden.items()
              for seq, _ in ledger.log.find(label=name, kinds=LESSONS) if seq not in going}
    rewrite = {seq: what for seq, what in rewrite.items() if seq not in going}
    return Transaction(events=events, erase=erase, rewrite=rewrite, labels=labels, unnamed=teachers,
                       unsourced=sorted(unsourced), for_good=True)


def names_leaving(
    ledger: Ledger, knowledge: Knowledge, known: set[Label], tombstones: Mapping[str, Tombstone], act: str,
    erase: Sequence[int], asked: Iterable[Label] = (),
) -> Unnamed:
    """The names that leave the records when these labels are known still, and these examples are not.

    Args:
        tombstones: all that are obeyed from now on.
        act: the id of the forget.
        asked: labels that are to be forgotten though nothing that is known has them.
    """
    ended = (one for one in knowledge.tombstones.values() if one.kind != tombstones[one.id].kind)
    more = {label for one in ended for label in (one.label, one.new) if label is not None}
    more |= {*asked} | ledger.log.labels_of(erase) | passed_by(ledger.timeline(), erase)
    return unnamed(set(knowledge.total.named) - known, known, tombstones, act, more)


def names_told(ledger: Ledger, knowledge: Knowledge) -> tuple[Transaction, Unnamed] | None:
    """The end of the names that an earlier version left in the records of forgets; None where there are none."""
    named = told(ledger.timeline())
    if not named:
        return None
    known = set(knowledge.total.named)
    names = unnamed(named - known, known, knowledge.tombstones, uuid4().hex)
    return erasing(ledger, [], [], [], knowledge.others, [], names), names


def _pointing_to(others: Mapping[str, Slot], timeline: Timeline) -> Rewritten:
    """The events of melds, rewritten: each device's contribution as it is now, in the last meld that brought it."""
    spans, seen = timeline.in_force(), set[str]()
    rewritten: Rewritten = {}
    for event in reversed(timeline.rare):
        if event.kind != MELDED:
            continue
        body, entries = dict(event.body or {}), []
        for entry in body["slots"]:
            device = entry["device"]
            if device in others and device not in seen and event.seq in spans:
                entries.append(slot_entry(others[device]))
                seen.add(device)
        if entries != body["slots"]:
            rewritten[event.seq] = ({**body, "slots": entries}, None)
    return rewritten


def _lose(
    base: Knowledge, tombstone: Tombstone, loss: Loss, left: Counter[bytes | None], names: Names, covers: int
) -> bool:
    """Take what is forgotten out of a checkpoint's own contribution; whether any was in there."""
    heads = base.heads()
    touched = False
    for label in base.own.head.named:
        called = names.now(covers, label)
        if tombstone.kind == "forget label" and tombstone.found_in([called]) is not None:
            base.lose_or_rename(heads, label, None)
            touched = True
        for row, receipt, name in zip(loss.rows, receipts_of(loss.rows), loss.labels, strict=True):
            if name != called or not base.own.receipts.count(receipt, label):
                continue
            if left[receipt]:
                left[receipt] -= 1
                continue
            for head in heads:
                with suppress(NotTaughtError):
                    head.forget_rows(row[None], [label])
            base.own.receipts.remove([receipt], [label])
            touched = True
        for row, receipt, name in zip(
            loss.against.rows, counter_receipts_of(loss.against.rows), loss.against.labels, strict=True
        ):
            if name != called or base.own.head.lacks_not(row[None], [label]) is not None:
                continue
            if left[receipt]:
                left[receipt] -= 1
                continue
            for head in heads:
                head.forget_not_rows(row[None], [label])
            touched = True
    return touched
