"""The event log: everything that ever happened to a brain, in SQLite, and the truth that all else is rebuilt from.

A commit is acknowledged only when it is on the disk (write-ahead log, synchronous=FULL). Every row has a checksum of
its own, events are numbered without gaps, and what was erased leaves a row without content, so that nothing can be
lost unnoticed.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any, Self

import apsw
import numpy as np

from engram.files import create, make_folder, sync_folder
from engram.learner import DamagedError, EngramError, Label, NotTaughtError, TracesError
from engram.store import database
from engram.store.database import (
    COLUMNS,
    ERASING,
    INBOX,
    RARE,
    TRUNCATE_DUE,
    VACUUM_DUE,
    Row,
    Synchronous,
    apply,
    check,
    connect,
    event_of,
    label_of,
    problems,
    runs,
    set_count,
    sound,
    text,
    translated,
)
from engram.store.event import TAUGHT, Event, Reply, Taught, Transaction, Unknown, in_folder
from engram.store.log_files import Held, Mark
from engram.store.writer_lock import WriterLock

EVENTS = COLUMNS["events"]
PORTION = 1024  # rows read at once, so that a reader never holds the log back for long
READERS_MS = 1000  # to wait for other programs' readers, where what they read is to be erased
_COUNTED = "(SELECT value FROM meta WHERE name = ?), (SELECT checksum FROM meta WHERE name = ?)"


class EventLog:
    """A brain's log; open it with `create` or `open`. Many threads may use one.

    Every row's checksum is compared when it is read, and none is missing unnoticed.

    Attributes:
        path: of the database.
        on_sync: called with the seconds that each commit took.

    >>> import tempfile
    >>> from engram.store.event import Draft
    >>> with EventLog.create(Path(tempfile.mkdtemp()) / "log.sqlite") as log:
    ...     taught, opened = Draft(kind="taught", label="cat", content=b".."), Draft(kind="opened")
    ...     log.commit([Transaction([taught]), Transaction([opened])])
    ...     [event.kind for event in log.read()]
    [range(1, 2), range(2, 3)]
    ['taught', 'opened']
    """

    def __init__(self, path: Path, *, readonly: bool, synchronous: Synchronous, vfs: str | None) -> None:
        self.readonly = readonly
        self.on_sync: Callable[[float], None] | None = None
        self._synchronous = synchronous
        self._mark = Mark(path.parent)
        self._lock = WriterLock(path.parent)
        self._writing = RLock()
        self._writer: apsw.Connection | None = None
        self._pages = 0  # of the write-ahead log
        mark = self._mark.read()  # before the log, which may grow meanwhile
        self.path, self._vfs = path, vfs
        self._reading = RLock()
        self._reader = connect(path, readonly=True, vfs=vfs)
        self._held = Held(path)
        self._closed = False
        ends = [int(seq) for (seq,) in self._rows("SELECT seq FROM events ORDER BY seq DESC LIMIT 2")]
        last = ends[0] if ends else 0
        if ends != [seq for seq in (last, last - 1) if seq > 0]:  # they follow each other, or the page is damaged
            self._reader.close()
            raise DamagedError(f"{path} is damaged where its last events are: restore the folder from a copy.")
        if mark > last:
            self._reader.close()
            raise _lost_end(path, last, mark)

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
            create(path)  # SQLite gives the files beside it the same mode
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
            self._closed = True
            self._disconnect()
            self._lock.release()

    @property
    def moved(self) -> bool:
        """Whether the log was moved, removed or exchanged since it was opened. Raises OSError where that is unknown."""
        return self._held.moved

    def check_place(self) -> None:
        """Raises EngramError where the log was moved, removed or exchanged since it was opened: nothing is written."""
        if self.moved:
            raise EngramError(
                f"{self.path.parent} was moved, removed or replaced while it was open, so nothing is written to it: "
                "open what is there now."
            )

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
            wanted, bindings = wanted + " AND teacher = ?", [*bindings, text(teacher)]
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

    def of_act(self, act: str, kinds: Sequence[str], after: int = 0) -> Iterator[Event]:
        """The events of these kinds that belong to an act and are not erased, in order, without their content.

        Args:
            after: only those with a larger number.

        Raises:
            DamagedError: an event is not what was written.
        """
        found = self._rows(
            "SELECT seq FROM events WHERE seq > ? AND gone = 0 AND json_extract(body, '$.act') = ? "
            "AND kind IN (SELECT value FROM json_each(?)) ORDER BY seq", after, act, json.dumps(list(kinds)),
        )
        seqs = [seq for (seq,) in found]
        for start in range(0, len(seqs), PORTION):
            for row in self._exactly(seqs[start : start + PORTION]):
                check(row)
                yield event_of((*row[:7], None, *row[8:]))

    def acts(self, after: int = 0, upto: int | None = None) -> set[str]:
        """The acts that events numbered after < seq <= upto belong to and that are not erased."""
        found = self._rows(
            "SELECT DISTINCT json_extract(body, '$.act') FROM events "
            "WHERE seq > ? AND seq <= ? AND gone = 0 AND body IS NOT NULL", after, self.last if upto is None else upto,
        )
        return {act for (act,) in found if act is not None}

    def from_inbox(self) -> list[int]:
        """The numbers of the examples that waited in the inbox when they were taught; they are not erased."""
        found = self._rows("SELECT seq FROM events WHERE body LIKE '%\"unknown\":%' AND kind = ? AND gone = 0", TAUGHT)
        return [seq for (seq,) in found]

    def names_teacher(self, teacher: str) -> bool:
        """Whether an event of any kind, an erased one too, says that it was done by this one."""
        return bool(self._rows("SELECT 1 FROM events WHERE teacher = ? LIMIT 1", text(teacher)))

    def sources_in(self, folder: str) -> list[int]:
        """The events whose source, a path, lies in a folder of this name."""
        found = self._rows("SELECT seq, source FROM events WHERE instr(source, ?) > 0", text(folder))
        return [seq for seq, source in found if in_folder(source, folder)]

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

    def answer(self, key: str) -> Reply | None:
        """What the request of this key was answered, if it is known; answers are kept for a week."""
        rows = self._rows(f"SELECT {COLUMNS['answers']} FROM answers WHERE key = ?", key)
        if not rows:
            return None
        key, request, response, *_ = sound("answers", rows[0])
        return Reply(key, request, json.loads(response))

    def unknowns(self, numbers: Sequence[int] | None = None) -> list[Unknown]:
        """The inbox, or those of it with these numbers, by number.

        Raises:
            DamagedError: the log has lost unknown inputs.
        """
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
        """What is still to be done for it; see `engram.store.database`."""
        (found,) = self._rows(f"SELECT {_COUNTED}", ERASING, ERASING)
        return _counted(ERASING, found)

    @property
    def size_bytes(self) -> int:
        """Of the database and its write-ahead log on disk."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def verify(self, progress: Callable[[int, int], None] | None = None) -> list[str]:
        """Read everything and compare every checksum.

        Args:
            progress: called with the events looked at, and all of them.

        Returns:
            What is wrong, in words; nothing where all is well.
        """
        return list(problems(self._rows, progress))

    # Writing

    def acquire(self) -> None:
        """Become the one writer; what another wrote before is to be read first: compare `last`.

        Raises:
            EngramError: another program is, or the log was opened for reading only.
        """
        with self._writing:
            if self._closed:
                raise EngramError(f"{self.path.parent} has been closed: open it again.")
            self.check_place()
            self._stay_connected()
            if self._writer is not None:
                return
            if self.readonly:
                raise EngramError(f"{self.path.parent} was opened for reading only: open it for writing.")
            self._lock.acquire()
            try:
                self._writer = self._connected_writer()
            except BaseException:
                self._lock.release()
                raise
            self._mark.renew(self.last)

    def commit(self, changes: Sequence[Transaction], *, after: int | None = None) -> list[range]:
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
                    ranges.append(apply(connection, change, last))
                    last = ranges[-1].stop - 1
            self._check_kept()
            self._mark.write(last)
            self._move_into_database()
            if self.on_sync is not None:
                self.on_sync(time.perf_counter() - began)
            return ranges

    def finish_erasing(self) -> None:
        """Let nothing of what was erased remain in any file of the log: write it anew, empty the write-ahead log.

        Raises:
            TracesError: another program reads the log, so that what it may still ask for has to stay; it is done at
                the next call or opening.
            EngramError: another program is writing.
            OSError: the disk refused; it is done at the next call or opening.
        """
        with self._writing, self._reading:
            stage = self._erasing_stage
            if not stage:
                return
            self.acquire()
            assert self._writer is not None
            self._writer.set_busy_timeout(READERS_MS if stage == VACUUM_DUE else 0)  # waited once, not at every try
            try:
                with translated(self.path):
                    if stage == VACUUM_DUE:
                        self._writer.execute("VACUUM")  # overwrites every page of the database that held anything
                        set_count(self._writer, ERASING, TRUNCATE_DUE)
                    self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                    set_count(self._writer, ERASING, 0)
                    self._check_kept()
            except EngramError as error:
                if not isinstance(error.__cause__, apsw.BusyError | apsw.LockedError):
                    raise
                raise TracesError(
                    errno.EBUSY, "another program reads the log: close it, or wait until it has read", str(self.path)
                ) from error
            finally:
                self._writer.set_busy_timeout(database.BUSY_MS)

    def release(self) -> None:
        """Let another program write; the next change takes the right to do so again."""
        with self._writing:
            connection, self._writer = self._writer, None
            with suppress(apsw.Error):  # as in `close`
                if connection is not None:
                    connection.close()
            self._lock.release()

    def _finish_what_was_begun(self) -> None:
        """Erase what a crash left, if this program may write now; it is none of the reasons not to open a log."""
        try:
            self.finish_erasing()
        except (EngramError, OSError) as error:
            logging.getLogger("engram").warning("Traces of what was forgotten remain: %s", error)
        self.release()

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write the log as it is now to another file, durable when this returns.

        Raises:
            InputError: there is something already.
            OSError: the disk refused.
        """
        target = Path(path).absolute()
        self._stay_connected()
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

    # How rows are read

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

    # The connections

    def _rows(self, statement: str, *bindings: Any) -> list[Row]:
        self._stay_connected()
        with self._reading, translated(self.path):
            return self._reader.execute(statement, bindings).fetchall()

    def _stay_connected(self) -> None:
        """Connect anew where another SQLite library has unlinked the write-ahead log; before, it moved what was in it
        into the database.
        """
        if not self._closed and self._held.cut_off:
            self._reconnect()

    def _connected_writer(self) -> apsw.Connection:
        writer = connect(self.path, readonly=False, synchronous=self._synchronous, vfs=self._vfs)
        writer.set_wal_hook(self._note_length)
        return writer

    def _disconnect(self) -> None:
        connections, self._writer = (self._reader, self._writer), None
        for connection in connections:
            with suppress(apsw.Error):  # moving the write-ahead log into the database can be done any time
                if connection is not None:
                    if self._held.moved or self._held.cut_off:  # else files of these names, which are others, would go
                        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                    connection.close()

    def _reconnect(self) -> None:
        with self._writing, self._reading:
            if self._closed or not self._held.cut_off:  # another thread was first
                return
            writing = self._writer is not None
            self._disconnect()  # first: SQLite would go on with the shared memory of what is still open
            self._reader = connect(self.path, readonly=True, vfs=self._vfs)
            if writing:
                self._writer = self._connected_writer()
            held = Held(self.path)
            if not self._held.whole(held):
                self._disconnect()
                raise EngramError(
                    f"{self.path} was opened by another SQLite library in this program, which cut off its write-ahead "
                    "log: close every brain of this folder in the program, and open it again."
                )
            self._held = held
            if self._mark.read() > self.last:
                raise _lost_end(self.path, self.last, self._mark.read())

    def _check_kept(self) -> None:
        """Raises OSError where what was just written lies in files that have no name any more."""
        if self._held.moved or self._held.cut_off:
            raise OSError(errno.EIO, "the log was moved, removed or cut off while it was written to", str(self.path))

    def _note_length(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def _move_into_database(self) -> None:
        """Keep the write-ahead log short. What cannot be moved now stays where it is, as durable as it was."""
        if self._pages >= database.CHECKPOINT_PAGES and self._writer is not None:
            with suppress(apsw.Error):
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

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


def _lost_end(path: Path, last: int, committed: int) -> DamagedError:
    return DamagedError(
        f"{path} ends at event {last}, but {committed} were committed: its end was lost or damaged. "
        "Restore the folder from a copy, or accept the loss: engram repair."
    )


def _counted(name: str, found: Row) -> int:
    """A value of the table of counts and its checksum, or None and None. Raises DamagedError where they do not fit."""
    return 0 if found[0] is None and found[1] is None else int(sound("meta", (name, *found))[1])
