"""Small examples for the tests of the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import numpy as np

from engram.store.event import TAUGHT, Draft, Transaction
from engram.store.event_log import EventLog

ROWS = np.random.default_rng(0).integers(-(2**13), 2**13, (3000, 6)).astype("<i2")


def taught(i: int, **other: Any) -> Draft:
    parts: dict[str, Any] = {
        "kind": TAUGHT, "label": f"c{i % 7}", "receipt": b"%016d" % i, "content": ROWS[i].tobytes(), "teacher": "Ada",
    }
    return Draft(**{**parts, **other})


def teach(log: EventLog, count: int, start: int = 0) -> None:
    log.commit([Transaction([taught(i) for i in range(start, start + count)])])


def foreign(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()
