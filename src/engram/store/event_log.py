"""The event log: everything that ever happened to a brain, in SQLite, and the truth that all else is rebuilt from.

A commit is acknowledged only when it is on the disk (write-ahead log, synchronous=FULL). Every row has a checksum of
its own, events are numbered without gaps, and what was erased leaves a row without content, so that nothing can be
lost unnoticed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any, Self

import apsw
import numpy as np

from engram.learner import DamagedError, EngramError, Label, NotTaughtError
from engram.store import database
from engram.store.database import COLUMNS, Synchronous, connect, translated
from engram.store.event import (
    TAUGHT,
    Answer,
    Change,
    Event,
    Row,
    Taught,
    Unknown,
    check,
    checksum,
    event_of,
    label_of,
    parts_checksum,
    row_of,
)
from engram.store.files import make_folder, sync_folder
from engram.store.lock import WriterLock
from engram.store.mark import Mark
from engram.store.replay import runs

EVENTS = COLUMNS["events"]
PORTION = 1024  # rows read at once, so that a reader never holds the log back for long
_ANSWERS_KEPT = 7 * 24 * 3600 * 10**6  # microseconds


class EventLog:
    """A brain's log; open it with `create` or `open`. Many threads may use one.

    Attributes:
        path: of the database.
        on_sync: called with the seconds that each commit took.

    >>> import tempfile
    >>> from engram.store.event import Draft
    >>> with EventLog.create(Path(tempfile.mkdtemp()) / "log.sqlite") as log:
    ...     log.commit([Change([Draft(kind="taught", label="cat", content=b"..")]), Change([Draft(kind="opened")])])
    ...     [event.kind for event in log.read()]
    [range(1, 2), range(2, 3)]
    ['taught', 'opened']
    """

    def __init__(self, path: Path, *, readonly: bool, synchronous: Synchronous, vfs: str | None) -> None:
        self.path = path
        self.readonly = readonly
        self.on_sync: Callable[[float], None] | None = None
        self._settings: tuple[Synchronous, str | None] = (synchronous, vfs)
        self._mark = Mark(path.parent)
        self._lock = WriterLock(path.parent)
        self._writing, self._reading = RLock(), RLock()
        self._writer: apsw.Connection | None = None
        self._pages = 0  # of the write-ahead log
        mark = self._mark.read()  # before the log, which may grow meanwhile
        self._reader = connect(path, readonly=True, vfs=vfs)
        try:
            self._check_mark(mark)
        except BaseException:
            self._reader.close()
            raise

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, synchronous: Synchronous = "FULL", vfs: str | None = None) -> Self:
        """A new log, its name durable in its folder.

        Raises:
            InputError: there is a log already.
            EngramError: another program writes in that folder.
            OSError: the disk refused.
        """
        path = Path(path).absolute()
        make_folder(path.parent)
        lock = WriterLock(path.parent)
        lock.acquire()
        try:
            database.create(path, vfs=vfs)
            sync_folder(path.parent)
        finally:
            lock.release()
        return cls.open(path, synchronous=synchronous, vfs=vfs)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        readonly: bool = False,
        synchronous: Synchronous = "FULL",
        vfs: str | None = None,
    ) -> Self:
        """A log that is there. The writer's lock is taken at the first change, or by `acquire`.

        Args:
            path: the database's file.
            readonly: never write.
            synchronous: FULL, or anything less where losing the last events in a power cut is no matter.
            vfs: name of the SQLite file system to use; None for the system's.

        Raises:
            InputError: there is none.
            DamagedError: it is not a log, or lost its end.
            OSError: the disk refused.
        """
        log = cls(Path(path).absolute(), readonly=readonly, synchronous=synchronous, vfs=vfs)
        if not readonly:
            log._finish_what_was_begun()
        return log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files and the writer's lock; everything committed is on the disk already."""
        with self._writing, self._reading:
            connections, self._writer = (self._reader, self._writer), None
            for connection in connections:
                with suppress(apsw.Error):  # moving the write-ahead log into the database can be done any time
                    if connection is not None:
                        connection.close()
            self._lock.release()

    # Writing

    def acquire(self) -> None:
        """Become the one writer; what another wrote before is to be read first: compare `last`.

        Raises:
            EngramError: another program is, or the log was opened for reading only.
        """
        with self._writing:
            if self._writer is not None:
                return
            if self.readonly:
                raise EngramError(f"{self.path.parent} was opened for reading only: open it for writing.")
            self._lock.acquire()
            synchronous, vfs = self._settings
            try:
                self._writer = connect(self.path, readonly=False, synchronous=synchronous, vfs=vfs)
                self._writer.set_wal_hook(self._note_length)
            except BaseException:
                self._lock.release()
                raise
            self._mark.renew(self.last)

    def commit(self, changes: Sequence[Change], *, after: int | None = None) -> list[range]:
        """Make all the changes, or none, durable; one sync for all of them.

        Args:
            after: the number of the last event that the caller knows of; None for whichever is the last.

        Returns:
            For each change, the numbers of its events.

        Raises:
            InputError: an event cannot be kept.
            NotTaughtError: an event to be erased or rewritten is not there.
            EngramError: another program is writing, or wrote events that the caller does not know of.
            OSError: the disk refused; nothing was changed.
        """
        with self._writing:
            self.acquire()
            began = time.perf_counter()
            with self._transaction() as connection:
                (last,) = next(connection.execute("SELECT coalesce(max(seq), 0) FROM events"))
                if after not in (None, last):
                    raise EngramError(f"{self.path.parent} was changed by another program: open it again.")
                ranges = []
                for change in changes:
                    ranges.append(self._apply(connection, change, last))
                    last = ranges[-1].stop - 1
            self._mark.write(last)
            self._move_into_database()
            if self.on_sync is not None:
                self.on_sync(time.perf_counter() - began)
            return ranges

    @property
    def erasing(self) -> bool:
        """Whether erased content may still be found in the files."""
        return bool(self._rows("SELECT value FROM meta WHERE name = 'erasing' AND value"))

    def finish_erasing(self) -> bool:
        """Let nothing of what was erased remain in any file of the log: empty the write-ahead log, write anew.

        Returns:
            Whether all is gone; False while another program reads: it is done at the next call or opening.

        Raises:
            EngramError: another program is writing.
            OSError: the disk refused; it is done at the next call or opening.
        """
        with self._writing, self._reading:
            if not self.erasing:
                return True
            self.acquire()
            assert self._writer is not None
            with translated(self.path):
                try:
                    self._writer.execute("VACUUM")  # overwrites every page of the database that held anything
                    self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                except (apsw.BusyError, apsw.LockedError):
                    return False
                self._writer.execute("DELETE FROM meta WHERE name = 'erasing'")
            return True

    def _finish_what_was_begun(self) -> None:
        """Erase what a crash left, if this program may write now; it is none of the reasons not to open a log."""
        with suppress(EngramError, OSError):
            if self.erasing:
                self.finish_erasing()
        with self._writing, suppress(apsw.Error):
            if self._writer is not None:
                self._writer.close()
                self._writer = None
                self._lock.release()

    def _note_length(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def _move_into_database(self) -> None:
        """Keep the write-ahead log short. What cannot be moved now stays where it is, as durable as it was."""
        if self._pages >= database.CHECKPOINT_PAGES and self._writer is not None:
            with suppress(apsw.Error):
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _apply(self, connection: apsw.Connection, change: Change, last: int) -> range:
        now = time.time_ns() // 1000
        seqs = range(last + 1, last + 1 + len(change.events))
        rows = (row_of(draft, seq, now) for draft, seq in zip(change.events, seqs, strict=True))
        connection.executemany(f"INSERT INTO events VALUES ({_places(11)})", rows)
        pictures = ((seq, d.thumbnail) for seq, d in zip(seqs, change.events, strict=True) if d.thumbnail is not None)
        _insert(connection, "thumbnails", 3, pictures)
        for seq in change.erase:
            event = self._present(connection, seq)
            gone = (*event[:4], None, None, None, None, None, 1)
            _replace(connection, gone)
            connection.execute("DELETE FROM thumbnails WHERE seq = ?", (seq,))
        for seq, (body, content) in change.rewrite.items():
            event = self._present(connection, seq)
            packed = None if body is None else json.dumps(body, sort_keys=True, separators=(",", ":"))
            _replace(connection, (*event[:7], content, packed, event[9]))
        if change.answer is not None:
            _keep_answer(connection, change.answer, seqs, now)
        for number in change.inbox_remove:
            connection.execute("DELETE FROM inbox WHERE number = ?", (number,))
        _insert(connection, "inbox", 7, (_inbox_row(unknown, now) for unknown in change.inbox_add))
        if change.erase or change.rewrite:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('erasing', 1)")
        return seqs

    def _present(self, connection: apsw.Connection, seq: int) -> Row:
        row = connection.execute(f"SELECT {EVENTS} FROM events WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise NotTaughtError(f"There is no event {seq} in the log.")
        check(row)
        return tuple(row)

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        connection = self._writer
        assert connection is not None
        with translated(self.path):
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    with suppress(apsw.Error):  # the first error is the one to tell
                        connection.execute("ROLLBACK")
                raise

    # Reading

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
    ) -> list[tuple[int, Label]]:
        """Number and label, as taught, of the examples that are not erased; of these, those asked for.

        Args:
            label: taught under it.
            teacher: taught by this one.
            receipts: with one of these.
            after, upto: numbered after < seq <= upto.
        """
        wanted = "SELECT seq, label FROM events WHERE kind = ? AND gone = 0 AND seq > ? AND seq <= ?"
        bindings: list[Any] = [TAUGHT, after, self.last if upto is None else upto]
        if label is not None:
            wanted, bindings = wanted + " AND label = ?", [*bindings, json.dumps(label)]
        if teacher is not None:
            wanted, bindings = wanted + " AND teacher = ?", [*bindings, teacher]
        if receipts is not None:
            wanted += " AND receipt IN (SELECT unhex(value) FROM json_each(?))"
            bindings.append(json.dumps([receipt.hex() for receipt in receipts]))
        return [(seq, label_of(packed)) for seq, packed in self._rows(wanted + " ORDER BY seq", *bindings)]

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write the log as it is now to another file, durable when this returns.

        Raises:
            InputError: there is something already.
            OSError: the disk refused.
        """
        target = Path(path).absolute()
        type(self).create(target).close()
        with translated(target):
            copy = connect(target, readonly=False)
            try:
                with self._reading, copy.backup("main", self._reader, "main") as backup:
                    while not backup.done:
                        backup.step(1024)
                copy.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            finally:
                copy.close()
        sync_folder(target.parent)

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
        return bytes(_sound("thumbnails", rows[0])[1]) if rows else None

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
        key, request, response, *_ = _sound("answers", rows[0])
        return Answer(key, request, json.loads(response))

    def unknowns(self, numbers: Sequence[int] | None = None) -> list[Unknown]:
        """The inbox, or those of it with these numbers, by number."""
        rows = self._rows(f"SELECT {COLUMNS['inbox']} FROM inbox ORDER BY number")
        found = [_sound("inbox", row) for row in rows if numbers is None or row[0] in numbers]
        return [Unknown(n, np.frombuffer(f, "<f4").copy(), k, s, t, at) for n, f, k, s, t, at, _ in found]

    @property
    def size_bytes(self) -> int:
        """Of the database and its write-ahead log on disk."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _rows(self, statement: str, *bindings: Any) -> list[Row]:
        with self._reading, translated(self.path):
            return self._reader.execute(statement, bindings).fetchall()

    def _portions(
        self,
        after: int,
        upto: int | None,
        backward: bool = False,
        kinds: Sequence[str] | None = None,
    ) -> Iterator[list[Row]]:
        """Rows in portions, none of them missing between the first and the last."""
        last = self.last
        low, high = max(after, 0), last if upto is None else min(upto, last)
        order = "DESC" if backward else "ASC"
        chosen = "" if kinds is None else " AND kind IN (SELECT value FROM json_each(?))"
        portion = PORTION
        if kinds is not None and TAUGHT not in kinds:  # these are indexed, so all are found at once
            chosen, portion = f" AND kind <> '{TAUGHT}'{chosen}", max(high, 1)
        select = f"SELECT {EVENTS} FROM events WHERE seq > ? AND seq <= ?{chosen} ORDER BY seq {order}"
        bindings = () if kinds is None else (json.dumps(list(kinds)),)
        while low < high:
            start, stop = (max(low, high - portion), high) if backward else (low, min(high, low + portion))
            rows = self._rows(select, start, stop, *bindings)
            if kinds is None and len(rows) != stop - start:
                missing = sorted(set(range(start + 1, stop + 1)) - {row[0] for row in rows})
                raise DamagedError(f"The log lacks event {missing[0]}: restore the folder from a copy.")
            yield rows
            low, high = (low, start) if backward else (stop, high)

    def _check_mark(self, mark: int) -> None:
        last = self.last
        if mark > last:
            raise DamagedError(
                f"{self.path} ends at event {last}, but {mark} were committed: its end was lost or damaged. "
                "Restore the folder from a copy, or accept the loss: engram repair."
            )

    def verify(self, progress: Callable[[int, int], None] | None = None) -> list[str]:
        """Read everything and compare every checksum.

        Args:
            progress: called with the events looked at, and all of them.

        Returns:
            What is wrong, in words; nothing where all is well.
        """
        from engram.store.verification import problems

        return list(problems(self, progress))


def _places(count: int) -> str:
    return ", ".join("?" * count)


def _insert(connection: apsw.Connection, table: str, width: int, rows: Iterator[Row]) -> None:
    """Rows without their checksums."""
    sealed = ((*row, parts_checksum(table, *row)) for row in rows)
    connection.executemany(f"INSERT INTO {table} VALUES ({_places(width)})", sealed)


def _replace(connection: apsw.Connection, row: Row) -> None:
    connection.execute(f"REPLACE INTO events VALUES ({_places(11)})", (*row, checksum(row)))


def _sound(table: str, row: Row) -> Row:
    """Raises DamagedError where the row is not what was written."""
    if parts_checksum(table, *row[:-1]) != row[-1]:
        raise DamagedError(f"A row of the log's {table} is damaged: its checksum does not fit.")
    return row


def _keep_answer(connection: apsw.Connection, answer: Answer, seqs: range, now: int) -> None:
    if connection.execute("SELECT 1 FROM answers WHERE key = ?", (answer.key,)).fetchone() is not None:
        raise EngramError(f"The request {answer.key!r} was answered already.")
    response = answer.response(seqs) if callable(answer.response) else answer.response
    connection.execute("DELETE FROM answers WHERE time < ?", (now - _ANSWERS_KEPT,))
    _insert(connection, "answers", 5, iter([(answer.key, answer.request, json.dumps(response), now)]))


def _inbox_row(unknown: Unknown, now: int) -> Row:
    features = np.asarray(unknown.features, "<f4").tobytes()
    time = now if unknown.time is None else unknown.time
    return (unknown.number, features, unknown.key, unknown.source, unknown.thumbnail, time)
