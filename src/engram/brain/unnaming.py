"""Which names leave a brain's records with a forget: the label's, its former ones, and those of what goes with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engram.brain.edicts import Edict, in_order, leads_to
from engram.brain.pseudonyms import in_records, is_pseudonym, names_in, pseudonym, stands_for
from engram.brain.timeline import CHECKPOINT, RELABELLED, Timeline
from engram.learner import Label

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
    forgotten: Iterable[Label], known: Collection[Label], edicts: Mapping[str, Edict], act: str,
    more: Iterable[Label] = (),
) -> Unnamed:
    """The names that a forget takes out of the records.

    Args:
        forgotten: labels that are known no longer.
        known: those that are; they keep their names, and the names they had.
        edicts: every forget and rename, the newest among them.
        act: the id of the forget.
        more: other names that go with it, unless a label that is known had one of them.
    """
    going = _ever(forgotten, edicts.values()) | (set(more) - _ever(known, edicts.values()))
    names = {name for name in going if name not in known and not is_pseudonym(name)}
    tombstones = [edict.label for edict in edicts.values() if edict.kind == "forget label" and edict.label is not None]
    hidden = {
        name: next((label for label in tombstones if stands_for(label, name)), None) or pseudonym(name, act)
        for name in names
    }
    renames = [edict for edict in edicts.values() if edict.kind == "rename"]
    ends = tuple(
        edict.id for edict in renames
        if (edict.label in names or edict.new in names) and leads_to(edict, renames) not in known
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
        edicts = [*([body["edict"]] if "edict" in body else []), *body.get("edicts", ())]
        found |= {one["label"] for one in edicts if one["kind"] == "forget label" and not is_pseudonym(one["label"])}
    return found


def _ever(labels: Iterable[Label], edicts: Iterable[Edict]) -> set[Label]:
    """These labels, and all that they were called before."""
    found = set(labels)
    for edict in reversed(in_order(edicts)):
        if edict.kind == "rename" and edict.new in found and edict.label is not None:
            found.add(edict.label)
    return found
