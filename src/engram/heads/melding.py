"""What must be so before two heads can become one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engram.heads.head import Head
from engram.learner import MeldError


@contextmanager
def melding(one: Head, other: object) -> Iterator[None]:
    """Hold the locks of two heads that fit together, always in the same order, lest two melds wait forever.

    Raises:
        MeldError: another kind of head, other settings, another width, labels of another type.
    """
    if not isinstance(other, type(one)) or other.config() != one.config():
        raise MeldError(f"Only two {type(one).__name__} heads with the same settings can be melded.")
    first, second = sorted((one, other), key=id)
    with first._lock, second._lock:
        if None not in (one.width, other.width) and one.width != other.width:
            raise MeldError(f"Vectors of {other.width} values do not fit those of {one.width}.")
        if len({type(label) for label in (*one.labels, *other.labels)}) > 1:
            raise MeldError("One head has str labels, the other int labels.")
        yield
