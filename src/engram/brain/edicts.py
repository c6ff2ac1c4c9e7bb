"""What every contribution to a brain must obey, those that come later too: forgets and renames.

A forget leaves a tombstone without content: a label's pseudonym, or 16-byte digests of the examples. It is applied at
every later meld, or an old device would bring back what was forgotten. Each edict has an id, and each slot knows which
ids it has obeyed: what is taught again afterwards stays. A rename whose label was forgotten later is a forget for
whoever has not obeyed it yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, Self
from uuid import uuid4

from engram.brain.pseudonyms import found_in, in_edict, pseudonym, stands_for
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
    def make(cls, kind: Kind, known: Iterable[Edict], **what: Any) -> Self:
        """An edict later than all that are known."""
        made = cls(kind, 1 + max((edict.clock for edict in known), default=0), id=uuid4().hex, **what)
        return made.ended() if kind == "forget label" else made

    def ended(self) -> Self:
        """A forget of the label, which is not told any more."""
        assert self.label is not None
        return replace(self, kind="forget label", label=pseudonym(self.label, self.id), new=None)

    def hiding(self, hidden: Mapping[Label, Label]) -> Self:
        """The same with pseudonyms in the place of names."""
        return self.from_json(in_edict(self.as_json(), hidden))

    def found_in(self, labels: Collection[Label]) -> Label | None:
        """The label among these that it is about, or None."""
        return None if self.label is None else found_in(labels, self.label)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "receipts": list(self.receipts)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return cls(**{**in_edict(values, {}), "receipts": tuple(values["receipts"])})


def in_order(edicts: Iterable[Edict]) -> list[Edict]:
    """The order in which they are applied, the same everywhere."""
    return sorted(edicts, key=lambda edict: (edict.clock, edict.id))


class Note(NamedTuple):
    """What an edict cost, in words: for whoever melds, and for the record, which names no label."""

    said: str
    recorded: str


def joined(mine: Mapping[str, Edict], theirs: Mapping[str, Edict]) -> dict[str, Edict]:
    """Edicts by id; where one side knows that a rename was ended by a forget, both know it from now on."""
    whole = dict(mine)
    for key, edict in theirs.items():
        if key not in whole or (whole[key].kind == "rename" and edict.kind != "rename"):
            whole[key] = edict
    return whole


def veiled(edicts: Mapping[str, Edict], known: Collection[Label]) -> dict[str, Edict]:
    """Edicts of which no rename names a label that one of them forgets, unless it is known again."""
    tombstones = [edict.label for edict in edicts.values() if edict.kind == "forget label" and edict.label is not None]
    veiled = dict(edicts)
    for key, edict in edicts.items():
        if edict.kind == "rename" and edict.label is not None and edict.label not in known:
            label = next((hidden for hidden in tombstones if stands_for(hidden, edict.label)), edict.label)
            veiled[key] = replace(edict, label=label)
    return veiled


def leads_to(edict: Edict, edicts: Iterable[Edict]) -> Label | None:
    """What a rename's label is called after all later renames."""
    name = edict.new
    for later in in_order(edicts):
        if later.kind == "rename" and (later.clock, later.id) > (edict.clock, edict.id) and later.label == name:
            name = later.new
    return name


def effect(labels: Iterable[Label], edicts: Iterable[Edict]) -> tuple[dict[Label, Label], list[tuple[Label, Edict]]]:
    """What edicts do to a contribution that holds these labels.

    Returns:
        The labels that get another name, old -> new; and those that are lost, as they are called before, each with
        the edict that says so.
    """
    before = {label: label for label in labels}  # name by now -> name at first
    lost = []
    for edict in in_order(edicts):
        label = edict.found_in(before)
        if label is None:
            continue
        if edict.kind == "forget label":
            lost.append((before.pop(label), edict))
        elif edict.new is not None and edict.new not in before:
            before[edict.new] = before.pop(label)
    return {old: new for new, old in before.items() if old != new}, lost


def forgets_in(slot: Slot, edicts: Iterable[Edict]) -> bool:
    """Whether a slot holds what one of these forgets is about, and has not obeyed it yet."""
    due = [edict for edict in edicts if edict.id not in slot.applied]
    receipts = [bytes.fromhex(receipt) for edict in due for receipt in edict.receipts]
    return bool(due) and (bool(effect(slot.head.named, due)[1]) or slot.receipts.holds_any(receipts))


def obey(slot: Slot, edicts: Iterable[Edict]) -> tuple[Slot, list[Note], bool]:
    """A slot that has obeyed these edicts; what that cost; and whether its contents changed (in a copy).

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
    return edict.kind == "rename" or edict.found_in(slot.head.named) is not None


def _apply(edict: Edict, slot: Slot) -> Note | None:
    if edict.kind == "forget examples":
        held = sum(slot.receipts.count(bytes.fromhex(receipt)) for receipt in edict.receipts)
        if held:
            raise MeldError(
                f"Device {slot.device} still holds {held} example(s) that were forgotten elsewhere: forget them there "
                "first, then meld."
            )
        return None
    label = edict.found_in(slot.head.named)
    if label is None:
        return None
    if edict.kind == "forget label":
        slot.head.forget_label(label)
        slot.receipts.drop(label)
        lost = f"device {slot.device} lost {{}}, which was forgotten"
        return Note(lost.format(repr(label)), lost.format("a label"))
    assert edict.new is not None
    if slot.head.holds(edict.new):
        kept = f"device {slot.device} keeps {{}} beside {{}}, its new name elsewhere"
        return Note(kept.format(repr(label), repr(edict.new)), kept.format("a label", "another"))
    slot.head.rename(label, edict.new)
    slot.receipts.rename(label, edict.new)
    return None
