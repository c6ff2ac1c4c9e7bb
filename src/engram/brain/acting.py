"""Who makes the changes that a thread makes, for the history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from engram.brain.timeline import HOUSEKEEPING, TAUGHT
from engram.store.event import Change

_WHO: ContextVar[str | None] = ContextVar("engram-acting", default=None)


@contextmanager
def acting(name: str | None) -> Iterator[None]:
    """While this lasts, the history names this one for every change of this thread: renames, forgets, undos and so on.

    What is taught names its teacher instead.

    Args:
        name: whoever acts; None for nobody, as it is outside.
    """
    before = _WHO.set(name)
    try:
        yield
    finally:
        _WHO.reset(before)


def signed(change: Change) -> Change:
    """The change with whoever makes it in its events."""
    who = _WHO.get()
    if who is None:
        return change
    events = [
        draft if draft.teacher is not None or draft.kind in (TAUGHT, *HOUSEKEEPING) else replace(draft, teacher=who)
        for draft in change.events
    ]
    return replace(change, events=events)
