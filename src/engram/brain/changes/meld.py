"""Melding: many devices' contributions become one brain, with nothing counted twice and nothing resurrected."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from engram.brain.changes import LESSONS, MELDED, Prepared, Record
from engram.brain.erasing import Unnamed, erasing, names_leaving
from engram.brain.history import History
from engram.brain.knowledge import Knowledge, Loss
from engram.brain.ledger import Ledger
from engram.brain.pseudonyms import in_records
from engram.brain.saving import slot_entry
from engram.brain.slots import Contents, Slot, later
from engram.brain.tombstones import Note, Tombstone, effect, forgets_in, joined, obey, tombstones_in, veiled
from engram.heads.fast import FastHead
from engram.heads.fast.conflicts import Conflict
from engram.learner import Label
from engram.store.event import Draft, Event, Transaction

Parts = tuple[dict[str, Slot], dict[str, Tombstone]]
"""What another brain melds: slots that will not change any more, and tombstones."""


@dataclass(frozen=True, slots=True)
class MeldReport:
    """What a meld did.

    Attributes:
        added: devices whose contribution is new.
        updated: devices whose later contribution took the place of an earlier one.
        notes: what edicts cost, in words: labels lost because they were forgotten elsewhere.
        conflicts: labels that the brains use differently; they were melded by name all the same.
    """

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything came in."""
        return bool(self.added or self.updated or self.notes)


@dataclass(frozen=True)
class Union:
    """The slots of several brains as one.

    Attributes:
        slots: device -> its latest slot, which has obeyed every tombstone.
        tombstones: id -> every one of them.
        added, changed: devices that were not there, and whose contents are not those that were there.
        notes: what tombstones cost.
        total: their sum in a new head, where it is another than before.
        hidden: name -> the pseudonym that takes its place in what is kept.
    """

    slots: dict[str, Slot]
    tombstones: dict[str, Tombstone]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    notes: tuple[Note, ...]
    total: FastHead | None = None
    hidden: Mapping[Label, Label] = field(default_factory=dict)

    def news_to(self, knowledge: Knowledge) -> bool:
        """Whether there is anything in it that is not known yet."""
        return bool(self.added or self.changed or self.tombstones != knowledge.tombstones)


def parts_of(knowledge: Knowledge) -> Parts:
    """What another brain melds."""
    own = knowledge.own
    if not own.epoch:
        return dict(knowledge.others), dict(knowledge.tombstones)
    contents = Contents(knowledge.melded([own.head]), own.receipts.copy())
    frozen = Slot(own.device, own.lineage, own.applied, contents)
    return {own.device: frozen, **knowledge.others}, dict(knowledge.tombstones)


def unite(knowledge: Knowledge, parts: Iterable[Parts]) -> Union:
    """What is known together with other brains' parts; all that can fail is done here, on copies.

    Raises:
        MeldError, CapacityError: they cannot be added.
    """
    theirs = list(parts)
    tombstones = knowledge.tombstones
    for _, more in theirs:
        tombstones = joined(tombstones, more)
    mine = {knowledge.own.device: knowledge.own, **knowledge.others}
    united = _latest(mine, [slots for slots, _ in theirs], tombstones)
    total: FastHead | None = None
    if united.added or united.changed:
        slots = dict(united.slots)
        heads = [slots.pop(knowledge.own.device).head, *(slot.head for slot in slots.values())]
        if not united.changed:
            heads = [knowledge.total, *(slots[device].head for device in united.added)]
        total = knowledge.melded(heads)
    known = (total or knowledge.total).named
    return replace(united, total=total, tombstones=veiled(united.tombstones, known))


def _latest(
    mine: Mapping[str, Slot], theirs: Iterable[Mapping[str, Slot]], tombstones: Mapping[str, Tombstone]
) -> Union:
    """The latest slot of every device, after all tombstones.

    Raises:
        MeldError: an id used by two brains, or a slot that holds what was forgotten elsewhere.
    """
    latest = dict(mine)
    for slots in theirs:
        for device, slot in slots.items():
            latest[device] = later(latest[device], slot) if device in latest else slot
    united, notes, touched = {}, [], set()
    for device in sorted(latest):
        united[device], said, altered = obey(latest[device], tombstones.values())
        notes += said
        if altered:
            touched.add(device)
    added = tuple(device for device in united if device not in mine)
    changed = tuple(
        device for device in united
        if device in mine and (latest[device] is not mine[device] or device in touched)
    )
    return Union(united, dict(tombstones), added, changed, tuple(notes))


def prepare(
    knowledge: Knowledge, ledger: Ledger, united: Union, covers: int, waiting: Collection[bytes] = ()
) -> Prepared:
    """Take over a union.

    Args:
        covers: the number that the second event of this change will have.
        waiting: keys of the unknowns in the inbox.
    """
    own = knowledge.own
    others = {device: slot for device, slot in united.slots.items() if device != own.device}
    replaced = own.device in united.changed and united.slots[own.device].lineage != own.lineage
    history = History(ledger)
    orders = [tombstone for tombstone in united.tombstones.values() if tombstone.id not in own.applied]
    renamed, lost = effect(own.head.named, orders)
    ids = [seq for label, _ in lost for seq, _ in history.called(label, LESSONS)]
    erase = sorted({*(history.everything() if replaced else ids), *history.rolled_back()})
    erased = bool(lost) or replaced or _held_before(knowledge, ledger, united, erase)
    known = set((united.total or knowledge.total).named)
    names = names_leaving(ledger, knowledge, known, united.tombstones, uuid4().hex, erase) if erased else Unnamed()
    ledger.keep_slots(others.values())
    news = {*united.added, *united.changed} - {own.device}
    body: dict[str, Any] = in_records({
        "slots": [slot_entry(others[device]) for device in sorted(news)],
        "edicts": [tombstone.as_json() for tombstone in united.tombstones.values()],
        "notes": [note.recorded for note in united.notes], "erased": erased,
        "renamed": list(map(list, renamed.items())), "ends": list(names.ends),
    }, names.hidden)
    events = [Draft(kind=MELDED, body=body)]
    united = replace(united, hidden=names.hidden)
    if replaced:  # another copy of this very brain knew more, and takes its place
        trial = copy(knowledge)
        _serve(trial, united)
        events += ledger.checkpoint(trial, covers, erased=True)
    change = Transaction(events=events)
    if erased:
        losses = [(replace(tombstone, label=label), Loss()) for label, tombstone in lost]
        change = erasing(ledger, events, erase, ids, others, losses, names)
    keys = _forgotten_since(knowledge, united).intersection(waiting)
    change.for_good = True if keys else change.for_good
    gone = {*(set(knowledge.total.named) - known), *names.hidden} if erased else set[Label]()
    return Prepared.event(MELDED, body, changes=[change], referred=united, keys=keys, gone=gone,
                          forgets=erased or bool(keys))


def _forgotten_since(knowledge: Knowledge, united: Union) -> set[bytes]:
    """The receipts of single examples whose forget comes with a union."""
    fresh = (one for key, one in united.tombstones.items() if key not in knowledge.tombstones)
    return {bytes.fromhex(receipt) for tombstone in fresh for receipt in tombstone.receipts}


def _held_before(knowledge: Knowledge, ledger: Ledger, united: Union, rolled_back: Sequence[int]) -> bool:
    """Whether a forget that a meld brings is about what lies in an earlier contribution, or was rolled back."""
    if any(one.kind != united.tombstones[key].kind for key, one in knowledge.tombstones.items()):
        return True  # a rename here, of what was forgotten there
    if any(forgets_in(slot, united.tombstones.values()) for slot in knowledge.others.values()):
        return True
    fresh = [tombstone for key, tombstone in united.tombstones.items() if key not in knowledge.tombstones]
    labels = ledger.log.labels_of(rolled_back)
    if any(one.kind == "forget label" and one.found_in(labels) is not None for one in fresh):
        return True
    receipts = _forgotten_since(knowledge, united)
    found = ledger.log.find(receipts=sorted(receipts), kinds=LESSONS) if receipts else []
    return not {seq for seq, _ in found}.isdisjoint(rolled_back)


def recall(knowledge: Knowledge, event: Event, record: Record) -> Union:
    """The union that an event of the log speaks of: its slots lie in files.

    One's own contribution may have lost examples since: it takes the names that the event says.
    """
    body: Any = event.body
    slots = {entry["device"]: record.slot(entry, knowledge.bundle) for entry in body["slots"]}
    tombstones = tombstones_in(body)
    if "renamed" not in body:
        return unite(knowledge, [(slots, tombstones)])
    before = copy(knowledge)
    before.own = _renamed(knowledge.own, [(old, new) for old, new in body["renamed"]], frozenset(tombstones))
    if before.own.contents is not knowledge.own.contents:
        before.total = before.melded([slot.head for slot in before.all()]) if before.others else before.own.head
    united = unite(before, [(slots, tombstones)])
    if before.own.contents is knowledge.own.contents:
        return united
    return replace(united, changed=(*united.changed, knowledge.own.device), total=united.total or before.total)


def _renamed(own: Slot, renamed: Iterable[tuple[Label, Label]], applied: frozenset[str]) -> Slot:
    """A contribution after these tombstones, some of which gave its labels other names, all at once."""
    pairs = [(_meanwhile(place, old), old, new) for place, (old, new) in enumerate(renamed) if own.head.holds(old)]
    made = own.copy() if pairs else Slot(own.device, own.lineage, own.applied, own.contents)
    for meanwhile, old, _ in pairs:
        made.head.rename_as_recorded(old, meanwhile)
        made.receipts.rename(old, meanwhile)
    for meanwhile, _, new in pairs:
        made.head.rename_as_recorded(meanwhile, new)
        made.receipts.rename(meanwhile, new)
    made.applied |= applied
    return made


def _meanwhile(place: int, label: Label) -> Label:
    """A name that no label has, of the same type."""
    return -(1 << 300) - place if isinstance(label, int) else f"\0 {place}"


def apply(knowledge: Knowledge, event: Event, united: Union) -> None:
    body: Any = event.body
    _serve(knowledge, united)
    knowledge.end(body.get("ends", ()), united.hidden)


def _serve(knowledge: Knowledge, united: Union) -> None:
    others = dict(united.slots)
    before, own = knowledge.own, others.pop(knowledge.own.device)
    contents = own.contents.copy() if before.device in united.changed else before.contents
    mine = before.lineage.continues(own.lineage)  # else another copy of this very brain, which knew more
    own = Slot(own.device, before.lineage if mine else own.lineage, own.applied, contents)
    own.live = mine and before.live
    if united.total is not None:
        gate, knowledge.total = knowledge.total.gate, united.total if others else own.head
        knowledge.total.gate = gate
    knowledge.carry_alphas(one for one in united.tombstones.values() if one.id not in before.applied)
    knowledge.own, knowledge.others, knowledge.tombstones = own, others, dict(united.tombstones)
    knowledge.tell_alphas(knowledge.alphas)


def describe(event: Event) -> str:
    body: Any = event.body
    return "; ".join([f"{len(body['slots'])} device(s)", *body["notes"]])


