"""Reading a log fast: rows of the database to arrays of examples, their checksums verified on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from engram.learner import DamagedError
from engram.store.event import LESSONS, Event, Row, Taught, check, event_of, label_of


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
