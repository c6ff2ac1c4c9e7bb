"""Melding: many devices' contributions become one brain, with nothing counted twice and nothing resurrected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engram.brain.conflicts import Conflict
from engram.brain.edicts import Edict, Note, obey
from engram.brain.slots import Slot, later
from engram.heads.fast import FastHead


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
        slots: device -> its latest slot, which has obeyed every edict.
        edicts: id -> every one of them.
        added, changed: devices that were not there, and whose contents are not those that were there.
        notes: what edicts cost.
        total: their sum in a new head, where it is another than before.
    """

    slots: dict[str, Slot]
    edicts: dict[str, Edict]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    notes: tuple[Note, ...]
    total: FastHead | None = None


def unite(
    mine: Mapping[str, Slot], theirs: Iterable[Mapping[str, Slot]], edicts: Mapping[str, Edict]
) -> Union:
    """The latest slot of every device, after all edicts.

    Raises:
        MeldError: an id used by two brains, or a slot that holds what was forgotten elsewhere.
    """
    latest = dict(mine)
    for slots in theirs:
        for device, slot in slots.items():
            latest[device] = later(latest[device], slot) if device in latest else slot
    united, notes, touched = {}, [], set()
    for device in sorted(latest):
        united[device], said, altered = obey(latest[device], edicts.values())
        notes += said
        if altered:
            touched.add(device)
    added = tuple(device for device in united if device not in mine)
    changed = tuple(
        device for device in united
        if device in mine and (latest[device] is not mine[device] or device in touched)
    )
    return Union(united, dict(edicts), added, changed, tuple(notes))
