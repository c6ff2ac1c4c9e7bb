"""What every contribution to a brain must obey, those that come later too: forgets and renames.

A forget leaves a tombstone without content: a label's name, or 16-byte digests of the examples. It is applied at
every later meld, or an old device would bring back what was forgotten. Each edict has an id, and each slot knows which
ids it has obeyed: what is taught again afterwards stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self
from uuid import uuid4

from engram.brain.slots import Slot
from engram.learner import Label, MeldError

Kind = Literal["forget label", "forget examples", "rename"]


@dataclass(frozen=True, slots=True)
class Edict:
    """A forget or a rename.

    Attributes:
        kind: what is to be done.
        clock: larger than that of every edict known when it was made (Lamport 1978), so all brains apply the same
            edicts in the same order.
        label: the label forgotten or renamed; None for examples.
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
    def make(cls, kind: Kind, known: Iterable[Edict], **what: Any) -> Self:
        """An edict later than all that are known."""
        return cls(kind, 1 + max((edict.clock for edict in known), default=0), id=uuid4().hex, **what)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "receipts": list(self.receipts)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(**{**values, "receipts": tuple(values["receipts"])})


def in_order(edicts: Iterable[Edict]) -> list[Edict]:
    """The order in which they are applied, the same everywhere."""
    return sorted(edicts, key=lambda edict: (edict.clock, edict.id))


def effect(labels: Iterable[Label], edicts: Iterable[Edict]) -> tuple[dict[Label, Label], list[tuple[Label, Edict]]]:
    """What edicts do to a contribution that holds these labels.

    Returns:
        The labels that get another name, old -> new; and those that are lost, as they are called before, each with
        the edict that says so.
    """
    before = {label: label for label in labels}  # name by now -> name at first
    lost = []
    for edict in in_order(edicts):
        if edict.label is None or edict.label not in before:
            continue
        if edict.kind == "forget label":
            lost.append((before.pop(edict.label), edict))
        elif edict.new is not None and edict.new not in before:
            before[edict.new] = before.pop(edict.label)
    return {old: new for new, old in before.items() if old != new}, lost


def obey(slot: Slot, edicts: Iterable[Edict]) -> tuple[Slot, list[str], bool]:
    """A slot that has obeyed these edicts; what that cost, in words; and whether its contents changed (in a copy).

    Raises:
        MeldError: the slot holds examples that were forgotten elsewhere: they are gone there, so they cannot be
            subtracted here.
    """
    due = [edict for edict in in_order(edicts) if edict.id not in slot.applied]
    if not due:
        return slot, [], False
    touched = any(_touches(edict, slot) for edict in due)
    same = (slot.device, slot.lineage, slot.applied, lambda: slot.contents, slot.stored)
    copy = slot.copy() if touched else Slot(*same)
    notes = [note for edict in due if (note := _apply(edict, copy))]
    copy.applied |= {edict.id for edict in due}
    return copy, notes, touched


def _touches(edict: Edict, slot: Slot) -> bool:
    if edict.kind == "forget examples":
        return slot.receipts.holds_any(bytes.fromhex(receipt) for receipt in edict.receipts)
    # a rename among these may bring the label in
    return edict.kind == "rename" or edict.label in slot.head.labels


def _apply(edict: Edict, slot: Slot) -> str | None:
    if edict.kind == "forget examples":
        held = sum(slot.receipts.count(bytes.fromhex(receipt)) for receipt in edict.receipts)
        if held:
            raise MeldError(
                f"Device {slot.device} still holds {held} example(s) that were forgotten elsewhere: forget them there "
                "first, then meld."
            )
        return None
    label = edict.label
    if label is None or label not in slot.head.labels:
        return None
    if edict.kind == "forget label":
        slot.head.forget_label(label)
        slot.receipts.drop(label)
        return f"device {slot.device} lost {label!r}, which was forgotten"
    assert edict.new is not None
    if edict.new in slot.head.labels:
        return f"device {slot.device} keeps {label!r} beside {edict.new!r}, its new name elsewhere"
    slot.head.rename(label, edict.new)
    slot.receipts.rename(label, edict.new)
    return None
