"""What the log holds: events, each a row with a checksum of its own; and what one commit changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import Label
from engram.printable import from_file_name

TAUGHT = "taught"
"""The kind of event that one example is; of all others the log knows the name only."""

TAUGHT_NOT = "taught not"
"""The kind of event that one counterexample is: content, label and the rest are as in an example."""

LESSONS = (TAUGHT, TAUGHT_NOT)
"""Kinds that hold what was taught: an example, or a counterexample."""


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
        unsourced: numbers of examples that lose their source.
        answer: what the caller's request is answered.
        inbox_add: unknowns to keep.
        inbox_remove: numbers of unknowns to let go.
        for_good: whether what leaves the log with this commit has to leave its files too; None: where it alters events.
        time: of its events, microseconds since 1970 UTC; None for the moment of the commit.
    """

    events: Sequence[Draft] = ()
    erase: Sequence[int] = ()
    rewrite: Mapping[int, tuple[Mapping[str, Any] | None, bytes | None]] = field(default_factory=dict)
    labels: Mapping[int, Label] = field(default_factory=dict)
    unnamed: Sequence[str] = ()
    unsourced: Sequence[int] = ()
    answer: Reply | None = None
    inbox_add: Sequence[Unknown] = ()
    inbox_remove: Sequence[int] = ()
    for_good: bool | None = None
    time: int | None = None

    @property
    def alters(self) -> bool:
        """Whether events that are in the log already are erased, or lose a part of what they say."""
        return bool(self.erase or self.rewrite or self.labels or self.unnamed or self.unsourced)


def in_folder(source: str | None, name: str) -> bool:
    """Whether a source is a path that lies in a folder of this name.

    >>> in_folder("people/Ada/1.png", "Ada"), in_folder("Ada.png", "Ada"), in_folder(None, "Ada")
    (True, False, False)
    """
    if source is None:
        return False
    path, folder = from_file_name(source), from_file_name(name)
    return any(folder in path.split(between)[:-1] for between in ("/", "\\"))
