"""Pseudonyms: what stands in a brain's records where the name of a forgotten label stood.

A pseudonym is a keyed digest (BLAKE2b, RFC 7693) of the name, with its key beside it. Whoever knows a name can see
whether a pseudonym stands for it, so an old device that still uses the name obeys; nobody reads the name out of it. The
key differs from forget to forget, so two forgets of one name cannot be told to be the same, and no table of digests
made beforehand helps. Whoever holds the files and guesses a name can check the guess.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

from engram.learner import Label

SHOWN = "a forgotten label"
"""What a person reads in the place of a pseudonym."""

_KEY = _DIGEST = 16  # bytes
_TEXT = re.compile(r"forgotten:([0-9a-f]{32}):([0-9a-f]{32})")
_MARKED = 0x7E << 8 * (_KEY + _DIGEST)  # a pseudonym among whole numbers is -(this + key and digest)


def pseudonym(label: Label, act: str) -> Label:
    """What takes a label's place: of the same type, so that it can stand where labels do.

    Args:
        act: the id of the forget, from which the key is made.

    >>> hidden = pseudonym("Ada", "f00d")
    >>> "Ada" in hidden, stands_for(hidden, "Ada"), stands_for(hidden, "Eve")
    (False, True, False)
    >>> stands_for(pseudonym(7, "f00d"), 7)
    True
    """
    if is_pseudonym(label):
        return label
    key = hashlib.blake2b(act.encode(), digest_size=_KEY).digest()
    digest = _digest(label, key)
    if isinstance(label, int):
        return -(_MARKED + int.from_bytes(key + digest, "big"))
    return f"forgotten:{key.hex()}:{digest.hex()}"


def is_pseudonym(label: Label) -> bool:
    """Whether a label is one that `pseudonym` made."""
    return _parts(label) is not None


def stands_for(hidden: Label, label: Label) -> bool:
    """Whether `hidden` is the label itself, or a pseudonym of it."""
    if hidden == label:
        return True
    parts = _parts(hidden)
    return parts is not None and type(hidden) is type(label) and _digest(label, parts[0]) == parts[1]


def found_in(labels: Collection[Label], hidden: Label) -> Label | None:
    """The label among these that `hidden` is or stands for, or None."""
    if hidden in labels:
        return hidden
    return next((label for label in labels if stands_for(hidden, label)), None) if is_pseudonym(hidden) else None


def shown(label: Label) -> Label:
    """The label as a person may read it."""
    return SHOWN if is_pseudonym(label) else label


def in_records(body: Mapping[str, Any], hidden: Mapping[Label, Label]) -> dict[str, Any]:
    """What an event's body says, pseudonyms in the place of names.

    Every name is replaced alike wherever it stands, so the log replays as before.

    Args:
        hidden: name -> pseudonym.
    """
    changed = dict(body)
    for part in ("labels", "old"):
        if isinstance(body.get(part), list):
            changed[part] = [hidden.get(label, label) for label in body[part]]
    if "label" in body:
        changed["label"] = hidden.get(body["label"], body["label"])
    if "renamed" in body:
        changed["renamed"] = [[hidden.get(old, old), hidden.get(new, new)] for old, new in body["renamed"]]
    if "notes" in body:
        changed["notes"] = [_without(note, hidden) for note in body["notes"]]
    if "edict" in body:
        changed["edict"] = in_tombstone(body["edict"], hidden)
    if "edicts" in body:
        changed["edicts"] = [in_tombstone(one, hidden) for one in body["edicts"]]
    return changed


def names_in(body: Mapping[str, Any]) -> set[Label]:
    """The labels that a body names, but those in its notes."""
    found = [*([body["edict"]] if "edict" in body else []), *body.get("edicts", ())]
    named = {label for tombstone in found for label in (tombstone["label"], tombstone["new"])}
    named |= {label for pair in body.get("renamed", ()) for label in pair}
    for part in ("labels", "old"):
        named |= set(body.get(part) or ())
    return {label for label in (*named, body.get("label")) if label is not None}


def in_tombstone(tombstone: Mapping[str, Any], hidden: Mapping[Label, Label]) -> dict[str, Any]:
    """A forget or rename as it stands in an event's body, without names; a forget never tells its label."""
    label, new = tombstone["label"], tombstone["new"]
    if tombstone["kind"] == "forget label" and label is not None:
        label = hidden.get(label) or pseudonym(label, tombstone["id"])
    return {**tombstone, "label": hidden.get(label, label), "new": hidden.get(new, new)}


def _without(note: str, names: Iterable[Label]) -> str:
    for name in names:
        note = note.replace(repr(name), SHOWN)
    return note


@lru_cache(maxsize=1 << 16)
def _digest(label: Label, key: bytes) -> bytes:
    return hashlib.blake2b(json.dumps(label).encode(), key=key, digest_size=_DIGEST).digest()


def _parts(label: Label) -> tuple[bytes, bytes] | None:
    """Key and digest of a pseudonym; None where it is a label in clear."""
    if isinstance(label, str):
        found = _TEXT.fullmatch(label)
        return None if found is None else (bytes.fromhex(found[1]), bytes.fromhex(found[2]))
    if label >= 0 or -label >> 8 * (_KEY + _DIGEST) != 0x7E:
        return None
    packed = (-label - _MARKED).to_bytes(_KEY + _DIGEST, "big")
    return packed[:_KEY], packed[_KEY:]
