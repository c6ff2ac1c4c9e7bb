"""The log's database: its tables, how it is opened so that a crash loses nothing and a hostile file does no harm."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import apsw

from engram.learner import DamagedError, EngramError, InputError

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
