"""The kinds of change that a brain goes through, one a file, the one table of them, and who makes them.

A file of this folder has

    prepare(knowledge, ...)            refuses the change, or returns it `Prepared`; nothing is changed yet
    apply(knowledge, item, referred)   changes what is known: the same code runs live, in a replay and in a follower
    describe(event)                    its line of history, in words, where its kind does not say all
    recall(knowledge, event, record)   for a replay: what the event speaks of but does not hold itself (only where the
                                       table says that it refers to something)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple, Protocol, Self

from engram.brain.knowledge import Knowledge
from engram.brain.slots import Slot
from engram.features.backbones.bundle import Bundle
from engram.learner import Label
from engram.store.event import LESSONS as LESSONS
from engram.store.event import TAUGHT as TAUGHT
from engram.store.event import TAUGHT_NOT as TAUGHT_NOT
from engram.store.event import Draft, Event, Taught, Transaction, Unknown
from engram.store.event_log import EventLog

CREATED, ADOPTED, OPENED, COLUMNS = "created", "adopted", "opened", "columns"
FORGOT, RENAMED, RELABELLED = "forgot", "renamed", "relabelled"
ALPHA = "alpha set"
MELDED, FORKED, CONSOLIDATED = "melded", "forked", "consolidated"
ROLLED_BACK, CHECKPOINT = "rolled back", "checkpoint"

_WHO: ContextVar[str | None] = ContextVar("engram-acting", default=None)
_ACT: ContextVar[str | None] = ContextVar("engram-act", default=None)


class Kind(NamedTuple):
    """A kind of event.

    Attributes:
        name: as the log has it.
        file: of this folder, which knows how it is done.
        shown: whether it changes anything that a user sees.
        refers: whether the event speaks of something that it does not hold itself.
        barrier: why nothing before it can be returned to; "" where it can.
        stays: whether it may stay in force where what was taught before it is undone.
    """

    name: str
    file: str
    shown: bool = True
    refers: bool = False
    barrier: str = ""
    stays: bool = False


KINDS = {kind.name: kind for kind in (
    Kind(CREATED, "begin", shown=False, barrier="the brain was made"),
    Kind(ADOPTED, "begin", shown=False, refers=True, barrier="its backbone was chosen"),
    Kind(OPENED, "begin", shown=False, stays=True),
    Kind(COLUMNS, "begin", shown=False, stays=True),
    Kind(TAUGHT, "teach", stays=True),
    Kind(TAUGHT_NOT, "teach", stays=True),
    Kind(FORGOT, "forget", barrier="something was forgotten for good"),
    Kind(RENAMED, "rename"),
    Kind(RELABELLED, "relabel", refers=True),
    Kind(ALPHA, "alpha", stays=True),
    Kind(MELDED, "meld", refers=True),
    Kind(FORKED, "begin", barrier="the brain went on as another device"),
    Kind(CONSOLIDATED, "consolidate", stays=True),
    Kind(ROLLED_BACK, "rollback"),
    Kind(CHECKPOINT, "checkpoint", shown=False, stays=True),
)}  # fmt: skip

RARE = tuple(name for name in KINDS if name != TAUGHT)
"""All kinds of events but the taught examples: what the log has an index of."""

HOUSEKEEPING = tuple(kind.name for kind in KINDS.values() if not kind.shown)
"""Kinds that change nothing that a user sees."""


class Record(Protocol):
    """What a replay reads besides the events: a ledger in a folder is one."""

    @property
    def log(self) -> EventLog:
        """All events."""

    def bundle(self) -> Bundle | None:
        """The backbone that the brain stands on, or None. Raises DamagedError where it is not whole."""

    def slot(self, entry: Mapping[str, Any], bundle: Bundle | None) -> Slot:
        """The slot that an entry of an event describes. Raises DamagedError where its file is not whole."""


@dataclass(slots=True)
class Prepared:
    """A change that was found possible: only the disk can refuse it now.

    Attributes:
        item: what is applied once it is on record: an event, or many examples. Its number is not known yet.
        changes: what is recorded, in one commit.
        referred: what the item speaks of and the record does not hold: slots, say, or the rows that are forgotten.
        onto: what it is applied to, where that is not what is known now.
        keys: of the unknowns that leave the inbox by the same commit.
        gone: labels whose unknowns leave the inbox: what was taught under them, and what lies in folders called so.
        back: unknowns that come back into the inbox by the same commit: their naming was undone.
        forgets: whether what is forgotten has to leave the files.
    """

    item: Taught | Event
    changes: Sequence[Transaction]
    referred: Any = None
    onto: Knowledge | None = None
    keys: Collection[bytes] = ()
    gone: Collection[Label] = ()
    back: Sequence[Unknown] = ()
    forgets: bool = False

    @classmethod
    def event(cls, kind: str, body: Mapping[str, Any] | None, **more: Any) -> Self:
        """A change that one event says all of; `more` are other attributes of the prepared change."""
        more.setdefault("changes", [Transaction(events=[Draft(kind=kind, body=body)])])
        return cls(Event(seq=0, time=0, kind=kind, body=body), **more)


def apply(knowledge: Knowledge, item: Taught | Event, referred: Any = None) -> Any:
    """Change what is known by what was recorded; kinds of a later version are passed over.

    Returns:
        What the change has to say, if anything.
    """
    return _file(item.kind).apply(knowledge, item, referred) if item.kind in KINDS else None


def replay(knowledge: Knowledge, item: Taught | Event, record: Record) -> None:
    """Apply what was recorded earlier, or by another program."""
    kind = KINDS.get(item.kind)
    apply(knowledge, item, _file(item.kind).recall(knowledge, item, record) if kind and kind.refers else None)


def describe(event: Event) -> str:
    """What an event's line of history says in words."""
    said = getattr(_file(event.kind), "describe", None) if event.kind in KINDS else None
    return str(said(event)) if said else ""


@cache
def _file(kind: str) -> Any:
    return import_module(f"{__name__}.{KINDS[kind].file}")


@contextmanager
def acting(name: str | None, act: str | None = None) -> Iterator[None]:
    """While this lasts, the history names this one for every change of this thread: renames, forgets, undos and so on.

    What is taught names its teacher instead.

    Args:
        name: whoever acts; None for nobody, as it is outside.
        act: an id of one's own choice, such as a UUID: all changes made under it are undone at once. None for one act
            for each call.
    """
    before = _WHO.set(name), _ACT.set(act)
    try:
        yield
    finally:
        _WHO.reset(before[0])
        _ACT.reset(before[1])


def present_act() -> str | None:
    """The act that this thread's changes belong to, where it was said."""
    return _ACT.get()


def signed(change: Transaction) -> Transaction:
    """The change with whoever makes it, and the act that it belongs to, in its events; examples bring both along."""
    who, act = _WHO.get(), _ACT.get()
    if who is None and act is None:
        return change
    return replace(change, events=[
        draft if draft.kind in (TAUGHT, *HOUSEKEEPING) else replace(
            draft, teacher=who if draft.teacher is None else draft.teacher,
            body=draft.body if act is None else {**(draft.body or {}), "act": act},
        )
        for draft in change.events
    ])
