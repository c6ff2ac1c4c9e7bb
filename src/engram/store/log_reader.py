"""Reading an event log: every row's checksum compared, and none missing unnoticed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from engram.learner import DamagedError, Label, NotTaughtError
from engram.store.changes import ERASING, INBOX, RARE
from engram.store.database import COLUMNS, connect, translated
from engram.store.event import TAUGHT, Answer, Event, Row, Taught, Unknown, check, event_of, label_of, sound
from engram.store.replay import runs

EVENTS = COLUMNS["events"]
_COUNTED = "(SELECT value FROM meta WHERE name = ?), (SELECT checksum FROM meta WHERE name = ?)"
PORTION = 1024  # rows read at once, so that a reader never holds the log back for long


class LogReader:
    """What can be asked of a log; `EventLog` adds the writing.

    Attributes:
        path: of the database.
    """

    def __init__(self, path: Path, vfs: str | None) -> None:
        self.path = path
        self._reading = RLock()
        self._reader = connect(path, readonly=True, vfs=vfs)

    @property
    def last(self) -> int:
        """The number of the last event, 0 where there is none."""
        return int(self._rows("SELECT coalesce(max(seq), 0) FROM events")[0][0])

    def read(
        self,
        after: int = 0,
        upto: int | None = None,
        *,
        kinds: Sequence[str] | None = None,
        content: bool = True,
        backward: bool = False,
    ) -> Iterator[Event]:
        """The events numbered after < seq <= upto, in order.

        Args:
            kinds: only these.
            content: without it, events come without their content.
            backward: the newest first.

        Raises:
            DamagedError: an event is missing, or is not what was written.
        """
        for rows in self._portions(after, upto, backward, kinds):
            for row in rows:
                check(row)
                yield event_of(row if content else (*row[:7], None, *row[8:]))

    def runs(self, after: int = 0, upto: int | None = None, size: int = 4096) -> Iterator[Taught | Event]:
        """As `read`, but examples in a row come as arrays of up to `size` of them: the way to replay a log.

        Raises:
            DamagedError: an event is missing, or is not what was written.
        """
        return runs(self._portions(after, upto), size)

    def find(
        self,
        *,
        label: Label | None = None,
        teacher: str | None = None,
        receipts: Sequence[bytes] | None = None,
        after: int = 0,
        upto: int | None = None,
        kinds: Sequence[str] = (TAUGHT,),
    ) -> list[tuple[int, Label]]:
        """Number and label, as taught, of the examples that are not erased; of these, those asked for.

        Args:
            label: taught under it.
            teacher: taught by this one.
            receipts: with one of these.
            after, upto: numbered after < seq <= upto.
            kinds: of events, in place of examples.
        """
        of_kind = f"kind IN ({', '.join('?' * len(kinds))})"
        wanted = f"SELECT seq, label FROM events WHERE {of_kind} AND gone = 0 AND seq > ? AND seq <= ?"
        bindings: list[Any] = [*kinds, after, self.last if upto is None else upto]
        if label is not None:
            wanted, bindings = wanted + " AND label = ?", [*bindings, json.dumps(label)]
        if teacher is not None:
            wanted, bindings = wanted + " AND teacher = ?", [*bindings, teacher]
        if receipts is not None:
            wanted += " AND receipt IN (SELECT unhex(value) FROM json_each(?))"
            bindings.append(json.dumps([receipt.hex() for receipt in receipts]))
        return [(seq, label_of(packed)) for seq, packed in self._rows(wanted + " ORDER BY seq", *bindings)]

    def labels_of(self, seqs: Sequence[int]) -> set[Label]:
        """The labels under which these examples were taught, as far as they are not erased."""
        rows = self._rows(
            "SELECT DISTINCT label FROM events WHERE seq IN (SELECT value FROM json_each(?)) AND label IS NOT NULL",
            json.dumps(list(seqs)),
        )
        return {label_of(packed) for (packed,) in rows}

    def event(self, seq: int) -> Event:
        """One event.

        Raises:
            NotTaughtError: there is none of that number.
            DamagedError: it is not what was written.
        """
        rows = self._rows(f"SELECT {EVENTS} FROM events WHERE seq = ?", seq)
        if not rows:
            raise NotTaughtError(f"There is no event {seq} in the log.")
        check(rows[0])
        return event_of(rows[0])

    def thumbnail(self, seq: int) -> bytes | None:
        """The picture kept with an event, if any. Raises DamagedError where it is not what was written."""
        rows = self._rows("SELECT seq, picture, checksum FROM thumbnails WHERE seq = ?", seq)
        return bytes(sound("thumbnails", rows[0])[1]) if rows else None

    def pictured(self, seqs: Sequence[int]) -> set[int]:
        """Those of the events that a picture is kept with."""
        wanted = json.dumps(list(seqs))
        rows = self._rows("SELECT seq FROM thumbnails WHERE seq IN (SELECT value FROM json_each(?))", wanted)
        return {row[0] for row in rows}

    def answer(self, key: str) -> Answer | None:
        """What the request of this key was answered, if it is known; answers are kept for a week."""
        rows = self._rows(f"SELECT {COLUMNS['answers']} FROM answers WHERE key = ?", key)
        if not rows:
            return None
        key, request, response, *_ = sound("answers", rows[0])
        return Answer(key, request, json.loads(response))

    def unknowns(self, numbers: Sequence[int] | None = None) -> list[Unknown]:
        """The inbox, or those of it with these numbers, by number."""
        rows = self._rows(
            f"SELECT {_COUNTED}, inbox.* FROM (SELECT 1) LEFT JOIN inbox ORDER BY inbox.number", INBOX, INBOX
        )
        if _counted(INBOX, rows[0][:2]) != sum(row[2] is not None for row in rows):
            raise DamagedError(f"{self.path} is damaged: the inbox lost something. Restore the folder from a copy.")
        kept = [row[2:] for row in rows if row[2] is not None and (numbers is None or row[2] in numbers)]
        found = [sound("inbox", row) for row in kept]
        return [Unknown(n, np.frombuffer(f, "<f4").copy(), k, s, t, at) for n, f, k, s, t, at, _ in found]

    @property
    def erasing(self) -> bool:
        """Whether erased content may still be found in the files."""
        return bool(self._erasing_stage)

    @property
    def _erasing_stage(self) -> int:
        """What is still to be done for it; see `engram.store.changes`."""
        (found,) = self._rows(f"SELECT {_COUNTED}", ERASING, ERASING)
        return _counted(ERASING, found)

    @property
    def size_bytes(self) -> int:
        """Of the database and its write-ahead log on disk."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _rows(self, statement: str, *bindings: Any) -> list[Row]:
        with self._reading, translated(self.path):
            return self._reader.execute(statement, bindings).fetchall()

    def _portions(
        self, after: int, upto: int | None, backward: bool = False, kinds: Sequence[str] | None = None
    ) -> Iterator[list[Row]]:
        """Rows in portions, none of them missing between the first and the last."""
        last = self.last
        low, high = max(after, 0), last if upto is None else min(upto, last)
        seqs: Sequence[int] = range(low + 1, high + 1)
        by_index = kinds is not None and TAUGHT not in kinds
        if by_index:
            seqs = [seq for seq in self._rare() if low < seq <= high]
        starts = range(0, len(seqs), PORTION)
        for start in reversed(starts) if backward else starts:
            rows = self._exactly(seqs[start : start + PORTION])
            if by_index and any(row[2] == TAUGHT for row in rows):
                raise DamagedError(f"{self.path} is damaged: an index is wrong. Restore the folder from a copy.")
            chosen = rows if kinds is None else [row for row in rows if row[2] in kinds]
            yield chosen[::-1] if backward else chosen

    def _exactly(self, seqs: Sequence[int]) -> list[Row]:
        """The rows of these ascending numbers. Raises DamagedError where one is missing."""
        select = f"SELECT {EVENTS} FROM events WHERE seq >= ? AND seq <= ?"
        if seqs[-1] - seqs[0] == len(seqs) - 1:
            rows = self._rows(f"{select} ORDER BY seq", seqs[0], seqs[-1])
        else:
            listed = json.dumps(list(seqs))
            rows = self._rows(
                f"SELECT {EVENTS} FROM events WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq", listed
            )
        if len(rows) != len(seqs):
            missing = sorted(set(seqs) - {row[0] for row in rows})
            raise DamagedError(f"The log lacks event {(missing or seqs)[0]}: restore the folder from a copy.")
        return rows

    def _rare(self) -> list[int]:
        """The numbers of all events but the examples, by an index that is held against their count."""
        (found,) = self._rows(
            f"SELECT (SELECT json_group_array(seq) FROM events INDEXED BY rare WHERE kind <> '{TAUGHT}'), {_COUNTED}, "
            "(SELECT max(seq) FROM events)", RARE, RARE,
        )  # one statement: index, count and end are of one moment
        seqs = sorted(set(json.loads(found[0])))
        if len(seqs) != _counted(RARE, found[1:3]) or (seqs and not 0 < seqs[0] <= seqs[-1] <= found[3]):
            raise DamagedError(f"{self.path} is damaged: an index lost events. Restore the folder from a copy.")
        return seqs

    def verify(self, progress: Callable[[int, int], None] | None = None) -> list[str]:
        """Read everything and compare every checksum.

        Args:
            progress: called with the events looked at, and all of them.

        Returns:
            What is wrong, in words; nothing where all is well.
        """
        from engram.store.verification import problems

        return list(problems(self, progress))


def _counted(name: str, found: Row) -> int:
    """A value of the table of counts and its checksum, or None and None. Raises DamagedError where they do not fit."""
    return 0 if found[0] is None and found[1] is None else int(sound("meta", (name, *found))[1])
