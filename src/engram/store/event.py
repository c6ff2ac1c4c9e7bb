"""What the log holds: events, each a row with a checksum of its own; and what one commit changes."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import DamagedError, InputError, Label
from engram.printable import from_file_name

TAUGHT = "taught"
"""The kind of event that one example is; of all others the log knows the name only."""

TAUGHT_NOT = "taught not"
"""The kind of event that one counterexample is: content, label and the rest are as in an example."""

LESSONS = (TAUGHT, TAUGHT_NOT)
"""Kinds that hold what was taught: an example, or a counterexample."""

CHECKSUM_BYTES = 16
_TEXT_LIMIT = 2**20

Row = tuple[Any, ...]
"""seq, time, kind, teacher, label, source, receipt, content, body, gone, checksum: as the database holds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event to be committed.

    Attributes:
        kind: what happened.
        teacher: who did it.
        label: the label it is about.
        source: where the example came from: a file's name, say.
        receipt: what tells the example apart.
        content: of an example, its (D,) quantised features as little-endian int16; else any bytes.
        body: whatever else belongs to it, as JSON.
        thumbnail: a small picture of it.
        time: microseconds since 1970 UTC; None for that of the transaction.
    """

    kind: str
    teacher: str | None = None
    label: Label | None = None
    source: str | None = None
    receipt: bytes | None = None
    content: bytes | None = None
    body: Mapping[str, Any] | None = None
    thumbnail: bytes | None = None
    time: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of the log; its attributes as in `Draft`, and these.

    Attributes:
        seq: its number; events are numbered from 1 without gaps.
        gone: whether it was erased: then label, source, receipt, content, body and thumbnail are gone.
    """

    seq: int
    time: int
    kind: str
    teacher: str | None = None
    label: Label | None = None
    source: str | None = None
    receipt: bytes | None = None
    content: bytes | None = None
    body: Mapping[str, Any] | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Taught:
    """Consecutive examples of the log, or consecutive counterexamples; erased ones are left out, and counted.

    Attributes:
        seqs: their N numbers.
        labels: N labels.
        receipts: N receipts.
        rows: (N, D) int16, quantised features.
        kind: TAUGHT, or TAUGHT_NOT where they are counterexamples.
        erased: how many beside them were erased; they are not among the N.
    """

    seqs: Sequence[int]
    labels: Sequence[Label]
    receipts: Sequence[bytes]
    rows: npt.NDArray[np.int16]
    kind: str = TAUGHT
    erased: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request was answered, so that asking again changes nothing.

    Attributes:
        key: names the request.
        request: a digest of it: another request under the same key is a mistake.
        response: JSON; or what makes it of the numbers that the commit gave its events.
    """

    key: str
    request: bytes
    response: Any | Callable[[range], Any]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something refused as unknown, kept to be named.

    Attributes:
        number: counts the unknowns.
        features: (D,) float32.
        key: tells it apart from others.
        source: where it came from.
        thumbnail: a small picture of it.
        time: microseconds since 1970 UTC; None for the moment of the commit.
    """

    number: int
    features: npt.NDArray[np.float32]
    key: bytes
    source: str | None = None
    thumbnail: bytes | None = None
    time: int | None = None


@dataclass(slots=True)
class Transaction:
    """What one caller changes; a commit takes many of these, each wholly or none of them.

    Attributes:
        events: new events, in order.
        erase: numbers of events that lose everything but number, time, kind and teacher.
        rewrite: number of an event -> the body and content it has from now on.
        labels: number of an example -> the label that it is said to have been taught under from now on.
        unnamed: teachers whose names leave every event.
        answer: what the caller's request is answered.
        inbox_add: unknowns to keep.
        inbox_remove: numbers of unknowns to let go.
        for_good: whether what leaves the log with this commit has to leave its files too; None: where it erases.
        time: of its events, microseconds since 1970 UTC; None for the moment of the commit.
    """

    events: Sequence[Draft] = ()
    erase: Sequence[int] = ()
    rewrite: Mapping[int, tuple[Mapping[str, Any] | None, bytes | None]] = field(default_factory=dict)
    labels: Mapping[int, Label] = field(default_factory=dict)
    unnamed: Sequence[str] = ()
    answer: Reply | None = None
    inbox_add: Sequence[Unknown] = ()
    inbox_remove: Sequence[int] = ()
    for_good: bool | None = None
    time: int | None = None


def row_of(draft: Draft, seq: int, now: int) -> Row:
    """The draft as the database holds it.

    Raises:
        InputError: a part of it cannot be kept.
    """
    label = None if draft.label is None else json.dumps(draft.label)
    body = None if draft.body is None else json.dumps(draft.body, sort_keys=True, separators=(",", ":"))
    time = now if draft.time is None else draft.time
    row = (seq, time, draft.kind, text(draft.teacher), label, text(draft.source), draft.receipt, draft.content, body, 0)
    return (*row, checksum(row))


def event_of(row: Row) -> Event:
    """The row as an event; its checksum is `check`'s to look at."""
    seq, time, kind, teacher, label, source, receipt, content, body, gone, _ = row
    return Event(
        seq=seq, time=time, kind=kind, teacher=teacher, label=None if label is None else label_of(label), source=source,
        receipt=receipt, content=content, body=None if body is None else json.loads(body), gone=bool(gone),
    )


def check(row: Row) -> None:
    """Raises DamagedError where a row is not what was written."""
    try:
        sound = checksum(row) == row[-1]
    except (TypeError, struct.error, AttributeError, UnicodeError):  # a value of another type than was written
        sound = False
    if not sound:
        raise DamagedError(f"Event {row[0]} of the log is damaged: its checksum does not fit.")


def checksum(row: Row) -> bytes:
    """BLAKE2b (RFC 7693), 16 bytes, over every column: lengths and numbers first, so that no two rows read alike."""
    seq, time, kind, teacher, label, source, receipt, content, body, gone = row[:10]
    numbers = _NUMBERS(
        seq, time, gone, -1 if receipt is None else len(receipt), -1 if content is None else len(content),
        -1 if body is None else len(body),
    )
    parts = (numbers, _words(kind, teacher, label, source), receipt or b"", content or b"", (body or "").encode())
    return hashlib.blake2b(b"".join(parts), digest_size=CHECKSUM_BYTES).digest()


def parts_checksum(*parts: Any) -> bytes:
    """The checksum of a row of another table: over its numbers, texts and bytes, or None."""
    hashed = hashlib.blake2b(digest_size=CHECKSUM_BYTES)
    for part in parts:
        packed = part if isinstance(part, bytes) else json.dumps(part).encode()
        hashed.update(b"%s%d:" % (type(part).__name__[:1].encode(), len(packed)) + packed)
    return hashed.digest()


def sound(table: str, row: Row) -> Row:
    """The row of another table. Raises DamagedError where it is not what was written."""
    if parts_checksum(table, *row[:-1]) != row[-1]:
        raise DamagedError(f"A row of the log's {table} is damaged: its checksum does not fit.")
    return row


def text(value: str | None) -> str | None:
    """A text that the database can hold: file names may hold bytes that are no characters.

    Raises:
        InputError: it is longer than a megabyte, or no text.
    """
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > _TEXT_LIMIT:
        raise InputError("The name of a teacher or a source is a text of at most a million characters.")
    return from_file_name(value)


@lru_cache(maxsize=1 << 14)
def label_of(packed: str) -> Label:
    """Raises DamagedError where it is not a label."""
    try:
        label = json.loads(packed)
    except ValueError:
        label = None
    if type(label) not in (str, int):
        raise DamagedError(f"The log holds a label that is none: {packed[:80]!r}.")
    return label  # type: ignore[no-any-return]


_NUMBERS = struct.Struct("<qqbqqq").pack


@lru_cache(maxsize=1 << 14)
def _words(*words: str | None) -> bytes:
    packed = [None if word is None else word.encode() for word in words]
    lengths = struct.pack(f"<{len(packed)}q", *(-1 if word is None else len(word) for word in packed))
    return lengths + b"".join(word or b"" for word in packed)
