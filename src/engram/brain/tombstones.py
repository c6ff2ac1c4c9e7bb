"""Tombstones: what every contribution to a brain must obey, those that come later too: forgets and renames.

A forget leaves a tombstone without content: a label's pseudonym, or 16-byte digests of the examples. It is applied at
every later meld, or an old device would bring back what was forgotten. A rename leaves one too, of the old name, with
the new one on it. Each has an id, and each slot knows which ids it has obeyed: what is taught again afterwards stays. A
rename whose label was forgotten later is a forget for whoever has not obeyed it yet. In records they are called edicts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, Self
from uuid import uuid4

from engram.brain.pseudonyms import found_in, in_tombstone, pseudonym, stands_for
from engram.brain.slots import Slot
from engram.learner import Label, MeldError

Kind = Literal["forget label", "forget examples", "rename"]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Marks what is gone: examples, a label, or the old name of one that was renamed.

    Attributes:
        kind: what is to be done.
        clock: larger than that of every tombstone known when it was made (Lamport 1978), so all brains apply the same
            ones in the same order.
        label: the label renamed, or the pseudonym of the label forgotten; None for examples.
        new: what it is called now, for a rename.
        receipts: of the forgotten examples, in hexadecimal.
        before, after: the brain's digest before and after, for the proof of a forget.
        id: random.
    """

    kind: Kind
    clock: int
    label: Label | None = None
    new: Label | None = None
    receipts: tuple[str, ...] = ()
    before: str = ""
    after: str = ""
    id: str = ""

    @classmethod
    def make(cls, kind: Kind, known: Iterable[Tombstone], **what: Any) -> Self:
        """A tombstone later than all that are known."""
        made = cls(kind, 1 + max((tombstone.clock for tombstone in known), default=0), id=uuid4().hex, **what)
        return made.ended() if kind == "forget label" else made

    def ended(self) -> Self:
        """A forget of the label, which is not told any more."""
        assert self.label is not None
        return replace(self, kind="forget label", label=pseudonym(self.label, self.id), new=None)

    def hiding(self, hidden: Mapping[Label, Label]) -> Self:
        """The same with pseudonyms in the place of names."""
        return self.from_json(in_tombstone(self.as_json(), hidden))

    def found_in(self, labels: Collection[Label]) -> Label | None:
        """The label among these that it is about, or None."""
        return None if self.label is None else found_in(labels, self.label)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "receipts": list(self.receipts)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(**{**in_tombstone(values, {}), "receipts": tuple(values["receipts"])})


def tombstones_in(body: Mapping[str, Any]) -> dict[str, Tombstone]:
    """Those in the body of an event, by id."""
    found = [body["edict"]] if "edict" in body else body.get("edicts", ())
    return {values["id"]: Tombstone.from_json(values) for values in found}


def in_order(tombstones: Iterable[Tombstone]) -> list[Tombstone]:
    """The order in which they are applied, the same everywhere."""
    return sorted(tombstones, key=lambda tombstone: (tombstone.clock, tombstone.id))


class Note(NamedTuple):
    """What a tombstone cost, in words: for whoever melds, and for the record, which names no label."""

    said: str
    recorded: str


def joined(mine: Mapping[str, Tombstone], theirs: Mapping[str, Tombstone]) -> dict[str, Tombstone]:
    """Edicts by id; where one side knows that a rename was ended by a forget, both know it from now on."""
    whole = dict(mine)
    for key, tombstone in theirs.items():
        if key not in whole or (whole[key].kind == "rename" and tombstone.kind != "rename"):
            whole[key] = tombstone
    return whole


def veiled(tombstones: Mapping[str, Tombstone], known: Collection[Label]) -> dict[str, Tombstone]:
    """Edicts of which no rename names a label that one of them forgets, unless it is known again."""
    forgotten = [one.label for one in tombstones.values() if one.kind == "forget label" and one.label is not None]
    veiled = dict(tombstones)
    for key, tombstone in tombstones.items():
        if tombstone.kind == "rename" and tombstone.label is not None and tombstone.label not in known:
            label = next((hidden for hidden in forgotten if stands_for(hidden, tombstone.label)), tombstone.label)
            veiled[key] = replace(tombstone, label=label)
    return veiled


def leads_to(tombstone: Tombstone, tombstones: Iterable[Tombstone]) -> Label | None:
    """What a rename's label is called after all later renames."""
    name = tombstone.new
    for later in in_order(tombstones):
        if later.kind == "rename" and (later.clock, later.id) > (tombstone.clock, tombstone.id) and later.label == name:
            name = later.new
    return name


def effect(
    labels: Iterable[Label], tombstones: Iterable[Tombstone]
) -> tuple[dict[Label, Label], list[tuple[Label, Tombstone]]]:
    """What tombstones do to a contribution that holds these labels.

    Returns:
        The labels that get another name, old -> new; and those that are lost, as they are called before, each with
        the tombstone that says so.
    """
    before = {label: label for label in labels}  # name by now -> name at first
    lost = []
    for tombstone in in_order(tombstones):
        label = tombstone.found_in(before)
        if label is None:
            continue
        if tombstone.kind == "forget label":
            lost.append((before.pop(label), tombstone))
        elif tombstone.new is not None and tombstone.new not in before:
            before[tombstone.new] = before.pop(label)
    return {old: new for new, old in before.items() if old != new}, lost


def forgets_in(slot: Slot, tombstones: Iterable[Tombstone]) -> bool:
    """Whether a slot holds what one of these forgets is about, and has not obeyed it yet."""
    due = [tombstone for tombstone in tombstones if tombstone.id not in slot.applied]
    receipts = [bytes.fromhex(receipt) for tombstone in due for receipt in tombstone.receipts]
    return bool(due) and (bool(effect(slot.head.named, due)[1]) or slot.receipts.holds_any(receipts))


def obey(slot: Slot, tombstones: Iterable[Tombstone]) -> tuple[Slot, list[Note], bool]:
    """A slot that has obeyed these tombstones; what that cost; and whether its contents changed (in a copy).

    Raises:
        MeldError: the slot holds examples that were forgotten elsewhere: they are gone there, so they cannot be
            subtracted here.
    """
    due = [tombstone for tombstone in in_order(tombstones) if tombstone.id not in slot.applied]
    if not due:
        return slot, [], False
    touched = any(_touches(tombstone, slot) for tombstone in due)
    same = (slot.device, slot.lineage, slot.applied, lambda: slot.contents, slot.stored)
    copy = slot.copy() if touched else Slot(*same)
    notes = [note for tombstone in due if (note := _apply(tombstone, copy))]
    copy.applied |= {tombstone.id for tombstone in due}
    return copy, notes, touched


def _touches(tombstone: Tombstone, slot: Slot) -> bool:
    if tombstone.kind == "forget examples":
        return slot.receipts.holds_any(bytes.fromhex(receipt) for receipt in tombstone.receipts)
    # a rename among these may bring the label in
    return tombstone.kind == "rename" or tombstone.found_in(slot.head.named) is not None


def _apply(tombstone: Tombstone, slot: Slot) -> Note | None:
    if tombstone.kind == "forget examples":
        held = sum(slot.receipts.count(bytes.fromhex(receipt)) for receipt in tombstone.receipts)
        if held:
            raise MeldError(
                f"Device {slot.device} still holds {held} example(s) that were forgotten elsewhere: forget them there "
                "first, then meld."
            )
        return None
    label = tombstone.found_in(slot.head.named)
    if label is None:
        return None
    if tombstone.kind == "forget label":
        slot.head.forget_label(label)
        slot.receipts.drop(label)
        lost = f"device {slot.device} lost {{}}, which was forgotten"
        return Note(lost.format(repr(label)), lost.format("a label"))
    assert tombstone.new is not None
    if slot.head.holds(tombstone.new):
        kept = f"device {slot.device} keeps {{}} beside {{}}, its new name elsewhere"
        return Note(kept.format(repr(label), repr(tombstone.new)), kept.format("a label", "another"))
    slot.head.rename_as_recorded(label, tombstone.new)
    slot.receipts.rename(label, tombstone.new)
    return None
