"""Looking at everything a log holds: what `engram verify` does first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engram.learner import EngramError
from engram.store.database import COLUMNS
from engram.store.event import Row, check, parts_checksum

Ask = Callable[..., list[Row]]
"""Answers a statement, and what is bound in it, with the rows that it finds."""

_PORTION = 1024


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
