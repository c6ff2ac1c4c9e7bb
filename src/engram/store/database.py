"""The log's database: its tables and the checksum of every row, what a commit writes, how all is read and verified.

It is opened so that a crash loses nothing and a hostile file does no harm.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import apsw
import numpy as np
import numpy.typing as npt

from engram.learner import DamagedError, EngramError, InputError, Label, NotTaughtError
from engram.printable import from_file_name
from engram.store.event import LESSONS, TAUGHT, Draft, Event, Reply, Taught, Transaction, Unknown

NAME = "log.sqlite"
APPLICATION = 0x456E6772  # "Engr", in the file's header: this database is ours
VERSION = 1
PAGE_BYTES = 8192
CHECKPOINT_PAGES = 256  # 2 MiB of write-ahead log: moving them into the database holds a commit up for milliseconds
BUSY_MS = 5000  # to wait for other programs
NEEDED = (3, 51, 3)  # https://sqlite.org/wal.html, "The WAL-Reset Bug": fixed from here on

COLUMNS = {
    "answers": "key, request, response, time, checksum",
    "events": "seq, time, kind, teacher, label, source, receipt, content, body, gone, checksum",
    "inbox": "number, features, key, source, thumbnail, time, checksum",
    "meta": "name, value, checksum",
    "thumbnails": "seq, picture, checksum",
}
"""What is read of each table, in the order of its checksum."""

RARE, INBOX, ERASING = "rare", "inbox", "erasing"
"""Counted: events that are no examples, unknowns kept, and what is still to be done until erased content is in no file.
An index or a table that lost a row shows by these.
"""

VACUUM_DUE, TRUNCATE_DUE = 1, 2
"""Values of ERASING: the database is to be written anew, or that is done and the write-ahead log is to be emptied."""

_ANSWERS_KEPT = 7 * 24 * 3600 * 10**6  # microseconds
_SWEPT_EVERY = 1000

Synchronous = Literal["FULL", "NORMAL", "OFF"]

TABLES = {
    "answers": "CREATE TABLE answers (key TEXT PRIMARY KEY, request BLOB, response TEXT, time INTEGER, checksum BLOB) "
    "WITHOUT ROWID, STRICT",
    "events": "CREATE TABLE events (seq INTEGER PRIMARY KEY, time INTEGER, kind TEXT, teacher TEXT, label TEXT, "
    "source TEXT, receipt BLOB, content BLOB, body TEXT, gone INTEGER, checksum BLOB) STRICT",
    "inbox": "CREATE TABLE inbox (number INTEGER PRIMARY KEY, features BLOB, key BLOB, source TEXT, thumbnail BLOB, "
    "time INTEGER, checksum BLOB) STRICT",
    "meta": "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER, checksum BLOB) WITHOUT ROWID, STRICT",
    "thumbnails": "CREATE TABLE thumbnails (seq INTEGER PRIMARY KEY, picture BLOB, checksum BLOB) STRICT",
    "rare": "CREATE INDEX rare ON events (seq) WHERE kind <> 'taught'",
}

CHECKSUM_BYTES = 16
_TEXT_LIMIT = 2**20

Row = tuple[Any, ...]
"""seq, time, kind, teacher, label, source, receipt, content, body, gone, checksum: as the database holds them."""

Ask = Callable[..., list[Row]]
"""Answers a statement, and what is bound in it, with the rows that it finds."""

_PORTION = 1024  # events looked at between two reports of progress


# How it is opened


def create(path: Path, *, vfs: str | None = None) -> None:
    """Make an empty log; one that a crash left half made is made whole.

    Raises:
        InputError: there is something else at the path, or a log that holds events.
        OSError: the disk refused.
    """
    _check_library()
    with translated(path):
        connection = apsw.Connection(str(path), vfs=vfs)
        try:
            harden(connection)
            names = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
            if names and (names - set(TABLES) or next(connection.execute("SELECT count(*) FROM events"))[0]):
                raise InputError(f"{path} exists already and is not empty: open it, or choose another folder.")
            connection.pragma("page_size", PAGE_BYTES)
            _prepare_writing(connection, "FULL")
            if not names:
                connection.execute("BEGIN IMMEDIATE")
                connection.pragma("application_id", APPLICATION)
                connection.pragma("user_version", VERSION)
                for statement in TABLES.values():
                    connection.execute(statement)
                connection.execute("COMMIT")
        finally:
            connection.close()


def connect(
    path: Path, *, readonly: bool, synchronous: Synchronous = "FULL", vfs: str | None = None
) -> apsw.Connection:
    """A connection to a log, its schema checked.

    Raises:
        InputError: there is no such file.
        DamagedError: it is not a log of Engram, or of a later version, or cannot be read.
        OSError: the disk refused.
    """
    _check_library()
    if not path.exists():
        raise InputError(f"There is no log at {path}.")
    if not path.is_file() or path.stat().st_size == 0:
        raise DamagedError(f"{path} is not an event log of Engram.")
    _check_whole_pages(path)
    with translated(path):
        connection = _open(path, readonly, vfs)
        try:
            harden(connection)
            _check_schema(connection, path)
            if not readonly:
                _prepare_writing(connection, synchronous)
        except BaseException:
            connection.close()
            raise
    return connection


def harden(connection: apsw.Connection) -> None:
    """Nothing that a file's schema says is trusted or run; a page that is no page is an error."""
    connection.set_busy_timeout(BUSY_MS)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0)
    connection.pragma("cell_size_check", True)
    connection.pragma("mmap_size", 0)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as Engram's and the system's.

    Raises:
        DamagedError: the database is malformed.
        OSError: the disk failed, is full, or forbids it.
        EngramError: another program holds the database.
    """
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.MismatchError, UnicodeDecodeError) as error:
        raise DamagedError(f"{path} is damaged: restore the folder from a copy. ({error})") from error
    except apsw.FullError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    except (apsw.ReadOnlyError, apsw.PermissionsError, apsw.AuthError) as error:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise EngramError(f"{path} is held by another program: close that one and try again.") from error
    except (apsw.ConnectionClosedError, apsw.VFSFileClosedError) as error:
        raise EngramError(f"{path} has been closed: open it again.") from error
    except apsw.TooBigError as error:
        raise InputError(f"One event is larger than the log takes ({error}).") from error
    except (apsw.SQLError, apsw.SchemaChangeError) as error:  # every statement of ours fits a schema that is ours
        raise DamagedError(f"{path} is not an event log of Engram, or is damaged. ({error})") from error
    except (apsw.IOError, apsw.CantOpenError, apsw.ProtocolError, apsw.NoMemError) as error:
        raise OSError(errno.EIO, f"{os.strerror(errno.EIO)} ({error})", str(path)) from error


def _check_library() -> None:
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < NEEDED:
        raise EngramError(
            f"The SQLite in this apsw is {apsw.sqlite_lib_version()}, which can lose data in a rare case; "
            f"update apsw to {'.'.join(map(str, NEEDED))} or later."
        )


def _check_whole_pages(path: Path) -> None:
    """SQLite fills up a last page that was cut, and may take the table that begins there for an empty one."""
    wal = path.with_name(path.name + "-wal")
    unfinished = wal.exists() and wal.stat().st_size  # then the pages are in the write-ahead log
    if path.stat().st_size % PAGE_BYTES and not unfinished:
        raise DamagedError(f"{path} is cut short, or not an event log of Engram: restore the folder from a copy.")


def _open(path: Path, readonly: bool, vfs: str | None) -> apsw.Connection:
    if not readonly:
        return apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    wal = path.with_name(path.name + "-wal")
    if not wal.exists() and not os.access(path.parent, os.W_OK):  # a medium that nobody writes to
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        return apsw.Connection(f"file:{quote(str(path.absolute()))}?immutable=1", flags, vfs=vfs)
    return apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY, vfs=vfs)


def _prepare_writing(connection: apsw.Connection, synchronous: Synchronous) -> None:
    if connection.pragma("journal_mode", "wal") != "wal":
        raise EngramError("This file system has no shared memory, which SQLite's write-ahead log needs.")
    connection.pragma("synchronous", synchronous)
    connection.pragma("secure_delete", True)
    connection.wal_autocheckpoint(0)  # see `EventLog.commit`: one that fails must not look like a commit that failed
    connection.pragma("journal_size_limit", 8 * CHECKPOINT_PAGES * PAGE_BYTES)


def _check_schema(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION:
        raise DamagedError(f"{path} is not an event log of Engram.")
    version = connection.pragma("user_version")
    if version != VERSION:
        raise DamagedError(f"{path} is of format {version}; this Engram reads {VERSION}: update Engram to open it.")
    found = {str(name): str(sql) for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema")}
    if found != TABLES:
        raise DamagedError(f"{path} holds other tables than Engram makes: it was altered.")


# A row


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


# A commit


def apply(connection: apsw.Connection, change: Transaction, last: int) -> range:
    """Carry out a change in the transaction under way.

    Args:
        last: the number of the last event so far.

    Returns:
        The numbers of its events.

    Raises:
        InputError: an event cannot be kept.
        NotTaughtError: an event to be erased or rewritten is not there.
        EngramError: the request was answered already.
    """
    now = time.time_ns() // 1000 if change.time is None else change.time
    drafts = list(change.events)
    seqs = range(last + 1, last + 1 + len(drafts))
    rows = (row_of(draft, seq, now) for draft, seq in zip(drafts, seqs, strict=True))
    connection.executemany(f"INSERT INTO events VALUES ({_places(11)})", rows)
    _add(connection, RARE, sum(draft.kind != TAUGHT for draft in drafts))
    pictures = ((seq, d.thumbnail) for seq, d in zip(seqs, drafts, strict=True) if d.thumbnail is not None)
    _insert(connection, "thumbnails", pictures)
    for seq in change.erase:
        event = _present(connection, seq)
        _replace(connection, (*event[:4], None, None, None, None, None, 1))
        connection.execute("DELETE FROM thumbnails WHERE seq = ?", (seq,))
    for seq, (body, content) in change.rewrite.items():
        event = _present(connection, seq)
        packed = None if body is None else json.dumps(body, sort_keys=True, separators=(",", ":"))
        _replace(connection, (*event[:7], content, packed, event[9]))
    for seq, label in change.labels.items():
        event = _present(connection, seq)
        _replace(connection, (*event[:4], json.dumps(label), *event[5:10]))
    for teacher in change.unnamed:
        _unname(connection, teacher)
    for seq in change.unsourced:
        event = _present(connection, seq)
        _replace(connection, (*event[:5], None, *event[6:10]))
    if change.alters if change.for_good is None else change.for_good:
        set_count(connection, ERASING, VACUUM_DUE)
    if change.answer is not None:
        _keep_answer(connection, change.answer, seqs, now)
    before = connection.total_changes()
    connection.executemany("DELETE FROM inbox WHERE number = ?", ((number,) for number in change.inbox_remove))
    gone = connection.total_changes() - before
    _insert(connection, "inbox", (_inbox_row(unknown, now) for unknown in change.inbox_add))
    _add(connection, INBOX, len(change.inbox_add) - gone)
    return seqs


def set_count(connection: apsw.Connection, name: str, value: int) -> None:
    """Count anew what is counted."""
    connection.execute("REPLACE INTO meta VALUES (?, ?, ?)", (name, value, parts_checksum("meta", name, value)))


def _add(connection: apsw.Connection, name: str, more: int) -> None:
    if more:
        row = connection.execute(f"SELECT {COLUMNS['meta']} FROM meta WHERE name = ?", (name,)).fetchone()
        set_count(connection, name, more + (0 if row is None else sound("meta", row)[1]))


def _present(connection: apsw.Connection, seq: int) -> Row:
    row = connection.execute(f"SELECT {COLUMNS['events']} FROM events WHERE seq = ?", (seq,)).fetchone()
    if row is None:
        raise NotTaughtError(f"There is no event {seq} in the log.")
    check(row)
    return tuple(row)


def _unname(connection: apsw.Connection, teacher: str) -> None:
    """Take a teacher's name out of every event."""
    found: list[Row] = connection.execute("SELECT seq FROM events WHERE teacher = ?", (text(teacher),)).fetchall()
    for (seq,) in found:
        event = _present(connection, seq)
        _replace(connection, (*event[:3], None, *event[4:10]))


def _insert(connection: apsw.Connection, table: str, rows: Iterable[Row]) -> None:
    """Rows without their checksums."""
    sealed = ((*row, parts_checksum(table, *row)) for row in rows)
    width = COLUMNS[table].count(",") + 1
    connection.executemany(f"INSERT INTO {table} VALUES ({_places(width)})", sealed)


def _replace(connection: apsw.Connection, row: Row) -> None:
    connection.execute(f"REPLACE INTO events VALUES ({_places(11)})", (*row, checksum(row)))


def _keep_answer(connection: apsw.Connection, answer: Reply, seqs: range, now: int) -> None:
    if connection.execute("SELECT 1 FROM answers WHERE key = ?", (answer.key,)).fetchone() is not None:
        raise EngramError(f"The request {answer.key!r} was answered already.")
    response: Any = answer.response(seqs) if callable(answer.response) else answer.response
    if now % _SWEPT_EVERY == 0:  # as good as at random: it looks at all answers, so not every time
        connection.execute("DELETE FROM answers WHERE time < ?", (now - _ANSWERS_KEPT,))
    _insert(connection, "answers", [(answer.key, answer.request, json.dumps(response), now)])


def _inbox_row(unknown: Unknown, now: int) -> Row:
    features = np.asarray(unknown.features, "<f4").tobytes()
    at = now if unknown.time is None else unknown.time
    return (unknown.number, features, unknown.key, text(unknown.source), unknown.thumbnail, at)


def _places(count: int) -> str:
    return ", ".join("?" * count)


# Reading fast: rows to arrays of examples


def runs(portions: Iterable[list[Row]], size: int) -> Iterator[Taught | Event]:
    """Consecutive examples, or counterexamples, as arrays of up to `size`, other events as they are.

    Those that were erased are left out, and counted.

    Raises:
        DamagedError: a row is not what was written.
    """
    held: list[Row] = []
    erased = 0
    for rows in portions:
        for row in rows:
            check(row)
            if row[2] not in LESSONS:
                yield from _taught(held, size, erased)
                held, erased = [], 0
                yield event_of(row)
            elif row[9]:
                erased += 1
            else:
                if held and (row[2], len(row[7] or b"")) != (held[0][2], len(held[0][7] or b"")):
                    yield from _taught(held, size)
                    held = []
                held.append(row)
        while len(held) >= size:
            yield from _taught(held[:size], size)
            held = held[size:]
    yield from _taught(held, size, erased)


def _taught(rows: list[Row], size: int, erased: int = 0) -> Iterator[Taught]:
    if erased and not rows:
        yield Taught((), (), (), np.zeros((0, 0), np.int16), erased=erased)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        yield Taught(
            [row[0] for row in part], [label_of(row[4]) for row in part], [row[6] or b"" for row in part],
            _matrix(part), part[0][2], 0 if start else erased,
        )  # fmt: skip


def _matrix(rows: list[Row]) -> npt.NDArray[np.int16]:
    try:
        joined = b"".join([row[7] for row in rows])
        return np.frombuffer(joined, "<i2").reshape(len(rows), -1).astype(np.int16, copy=False)
    except (TypeError, ValueError) as error:
        raise DamagedError(f"Example {rows[0][0]} of the log, or one after it, holds no features.") from error


# Looking at everything


def problems(ask: Ask, progress: Callable[[int, int], None] | None) -> Iterator[str]:
    """Each thing that is wrong with the log that is asked, in words."""
    try:
        last = int(ask("SELECT coalesce(max(seq), 0) FROM events")[0][0])
        for start in range(0, last, _PORTION):
            yield from _events(ask, start, min(last, start + _PORTION))
            if progress is not None:
                progress(min(last, start + _PORTION), last)
        for table, columns in COLUMNS.items():
            if table != "events":
                yield from _others(ask, table, columns)
        for (said,) in ask("PRAGMA integrity_check(20)"):
            if said != "ok":
                yield f"The database is malformed: {said}"
    except (EngramError, OSError) as error:
        yield str(error)


def _events(ask: Ask, start: int, stop: int) -> Iterator[str]:
    rows = ask(f"SELECT {COLUMNS['events']} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq", start, stop)
    for missing in sorted(set(range(start + 1, stop + 1)) - {row[0] for row in rows}):
        yield f"Event {missing} is missing."
    for row in rows:
        try:
            check(row)
        except EngramError as error:
            yield str(error)


def _others(ask: Ask, table: str, columns: str) -> Iterator[str]:
    key = columns.split(",")[0]
    after: object = None
    while True:
        where, bindings = ("", ()) if after is None else (f"WHERE {key} > ?", (after,))
        rows = ask(f"SELECT {columns} FROM {table} {where} ORDER BY {key} LIMIT {_PORTION}", *bindings)
        if not rows:
            return
        for row in rows:
            if parts_checksum(table, *row[:-1]) != row[-1]:
                yield f"A row of {table}, {row[0]}, is damaged: its checksum does not fit."
        after = rows[-1][0]
