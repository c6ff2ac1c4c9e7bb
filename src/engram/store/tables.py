"""What a commit does to the tables of the log: rows sealed with their checksums, and counted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import apsw
import numpy as np

from engram.learner import EngramError, NotTaughtError
from engram.store.database import COLUMNS
from engram.store.event import (
    TAUGHT,
    Reply,
    Row,
    Transaction,
    Unknown,
    check,
    checksum,
    parts_checksum,
    row_of,
    sound,
    text,
)

RARE, INBOX, ERASING = "rare", "inbox", "erasing"
"""Counted: events that are no examples, unknowns kept, and what is still to be done until erased content is in no file.
An index or a table that lost a row shows by these.
"""

VACUUM_DUE, TRUNCATE_DUE = 1, 2
"""Values of ERASING: the database is to be written anew, or that is done and the write-ahead log is to be emptied."""

_ANSWERS_KEPT = 7 * 24 * 3600 * 10**6  # microseconds
_SWEPT_EVERY = 1000


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
    erases = change.erase or change.rewrite or change.labels or change.unnamed
    if erases if change.for_good is None else change.for_good:
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
