"""What a brain can tell of its past, and how it goes back: history, rollback, undo, comparison, single examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Self

from engram.brain.both_errors import percent
from engram.brain.journal import Journal, rows_in, spared
from engram.brain.naming import Names
from engram.brain.pseudonyms import is_pseudonym, shown
from engram.brain.receipts import receipts_of
from engram.brain.tidying import Tidying
from engram.brain.timeline import (
    ALPHA,
    CONSOLIDATED,
    FORGOT,
    HOUSEKEEPING,
    LESSONS,
    MELDED,
    RELABELLED,
    RENAMED,
    ROLLED_BACK,
    Spans,
)  # fmt: skip
from engram.inputs.vectors import as_labels
from engram.learner import InputError, Label
from engram.store.event import Change, Draft, Event


@dataclass(frozen=True, slots=True)
class Example:
    """One example that was taught here and is known.

    Attributes:
        id: its number.
        label: what it is called now.
        time: when it was taught.
        teacher, source: who taught it and where it came from, if that was said.
        thumbnail: whether there is a small picture of it.
    """

    id: int
    label: Label
    time: datetime
    teacher: str | None
    source: str | None
    thumbnail: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a brain's history: an event, or the examples that were taught together.

    Attributes:
        seq: the number of the (last) event: `rollback(seq)` returns to the state after it.
        first: the number of the first.
        time: when.
        kind: what: taught, taught not, forgot, renamed, relabelled, alpha set, melded, forked, consolidated, rolled
            back.
        teacher: who, if that was said.
        labels: how many examples of each label it is about; None for examples, or a label, that were forgotten since.
        note: the rest, in words.
        undone: whether it was rolled back.
    """

    seq: int
    first: int
    time: datetime
    kind: str
    teacher: str | None
    labels: dict[Label | None, int]
    note: str
    undone: bool


class Reviewed(Tidying):
    """A brain with a past."""

    def history(self, before: int | None = None, limit: int = 100) -> list[Entry]:
        """What happened, newest first.

        Args:
            before: only what came before event `before`; None for all.
            limit: how many entries at most.

        Raises:
            InputError: the brain lives in memory only.
        """
        journal = self._past()
        timeline = journal.timeline()
        spans = timeline.in_force()
        events = self._backward(journal, timeline.last + 1 if before is None else before)
        entries = []
        for _, together in groupby(events, _together):
            entry = _entry(list(together), spans)
            if entry is not None:
                entries.append(entry)
            if len(entries) == limit:
                break
        return entries

    def rollback(self, to: int | datetime) -> int:
        """Know again what was known then. What came after stays on record: to roll the rollback back is possible.

        Args:
            to: the number of an event, or a moment: the state after the last event by then.

        Returns:
            The number of the event to which it went back.

        Raises:
            InputError: there was no such moment, or something has been forgotten for good since.
        """
        with self._change():
            journal = self._past()
            timeline = journal.timeline()
            seq = to if isinstance(to, int) else _seq_at(journal, to)
            timeline.check_reachable(seq)
            self._return_to(seq, undoing=False)
            return seq

    def _return_to(self, seq: int, *, undoing: bool) -> None:
        """Record and take up the state after event `seq`."""
        then = self._recovery().at(seq)
        own = self._taught.own
        lineage = (own.lineage if own.live else own.lineage.begun()).advanced()
        edicts = dict(self._taught.edicts)
        body = {
            "to": seq, "undoing": undoing, "lineage": lineage.as_json(),
            "edicts": [edict.as_json() for edict in edicts.values()],
        }
        self._record(Change(events=[Draft(kind=ROLLED_BACK, body=body, time=self._now())]))
        then.returned(lineage, edicts)
        self._taught = then
        self._changed()
        with spared():
            self._snapshot()

    def undo(self) -> Entry:
        """Take back the last change that is in force; again and again, ever further back. Returns what was undone.

        A rollback is taken back like any other change, an earlier undo is not. Consolidations change nothing that is
        known, so they are passed over.

        Raises:
            InputError: there is nothing to undo, or something was forgotten for good since.
        """
        with self._change():
            entry = self.last_change()
            if entry is None:
                raise InputError("There is nothing to undo.")
            timeline = self._past().timeline()
            seq = entry.first - 1 if entry.kind == ROLLED_BACK else timeline.in_force().before(entry.first)
            timeline.check_reachable(seq)
            self._return_to(seq, undoing=True)
            return entry

    def last_change(self) -> Entry | None:
        """What `undo` would take back; None where there is nothing.

        Raises:
            InputError: the brain lives in memory only.
        """
        with self._lock:
            journal = self._past()
            timeline = journal.timeline()
            spans = timeline.in_force()
            for _, together in groupby(self._backward(journal, timeline.last + 1), _together):
                group = list(together)
                entry = _entry(group, spans)
                if entry is not None and not entry.undone and entry.kind != CONSOLIDATED and not _is_undo(group[0]):
                    return entry
            return None

    def seq_at(self, moment: datetime) -> int:
        """The number of the last event by then. Raises InputError where the brain was not made yet."""
        return _seq_at(self._past(), moment)

    def at(self, seq: int) -> Self:
        """The brain as it was after event `seq`, in memory: to ask, not to teach.

        Raises:
            InputError: there was no such moment, or something has been forgotten for good since.
        """
        with self._lock:
            journal = self._past()
            journal.timeline().check_reachable(seq)
            made: Any = type(self)
            brain: Self = made(self._bundle, **self._options, device=self.device)
            brain._taught = self._recovery().at(seq)
            brain.seq = seq
            return brain

    def diff(self, one: int, two: int | None = None) -> dict[Label, tuple[int, int]]:
        """Each label whose number of examples differs between two moments: how many then, and then.

        Args:
            one, two: the numbers of two events; None for now.
        """
        with self._lock:
            before, after = (self.counts(one), self.counts(two))
        labels = dict.fromkeys([*before, *after])
        pairs = {label: (before.get(label, 0), after.get(label, 0)) for label in labels}
        return {label: pair for label, pair in pairs.items() if pair[0] != pair[1]}

    def counts(self, seq: int | None = None) -> dict[Label, int]:
        """How many examples each label had after event `seq`; None for now."""
        with self._lock:
            return self._taught.total.counts if seq in (None, self.seq) else self.at(seq or 0)._taught.total.counts

    # Single examples

    def examples(
        self, label: Label | None = None, after: int = 0, limit: int = 100, *, teacher: str | None = None
    ) -> list[Example]:
        """The examples that were taught here one by one and are known, oldest first.

        Args:
            label: only those called so now; None for all.
            after: only those numbered after it.
            limit: how many at most.
            teacher: only those that this one taught; None for all.
        """
        with self._lock:
            journal = self._past()
            timeline = journal.timeline()
            names, spans = Names(timeline), timeline.in_force()
            found = self._rows_called(label) if label is not None else journal.log.find(after=after, teacher=teacher)
            if label is not None and teacher is not None:
                own = {seq for seq, _ in journal.log.find(after=after, teacher=teacher)}
                found = [(seq, name) for seq, name in found if seq in own]
            ids = [seq for seq, _ in found if seq > after and seq in spans][:limit]
            events = [journal.log.event(seq) for seq in ids]
            pictured = journal.log.pictured(ids)
            return [example_of(event, names, pictured) for event in events if event.label is not None]

    def newest(self, each: int = 3, among: int = 2_000, *, teacher: str | None = None) -> dict[Label, list[int]]:
        """The numbers of the newest examples of each label, newest first, as far as the last events go.

        Args:
            each: how many of a label at most.
            among: how many events are looked through.
            teacher: only those that this one taught; None for all.
        """
        with self._lock:
            journal = self._past()
            timeline = journal.timeline()
            names, spans = Names(timeline), timeline.in_force()
            newest: dict[Label, list[int]] = {}
            for seq, taught in reversed(journal.log.find(after=max(0, self.seq - among), teacher=teacher)):
                ids = newest.setdefault(names.now(seq, taught), []) if seq in spans else [0] * each
                if len(ids) < each:
                    ids.append(seq)
            return newest

    def taught_by_others(self, teacher: str, *, ids: Iterable[int] = (), label: Label | None = None) -> int:
        """How many of these examples and counterexamples someone else taught than `teacher`, here or on another device.

        Args:
            ids: examples by number.
            label: all that goes by this label now.

        Raises:
            NotTaughtError: there is no example of such a number, or it is forgotten or rolled back.
            InputError: the brain lives in memory only.
        """
        with self._lock:
            journal = self._past()
            others = sum(event.teacher != teacher for event in self._live(list(ids), LESSONS)[0])
            if label is not None:
                spans = journal.timeline().in_force()
                own = {seq for seq, _ in journal.log.find(teacher=teacher, kinds=LESSONS)}
                named = {seq for seq, _ in self._rows_called(label, LESSONS) if seq in spans}
                others += self.counts().get(label, 0) + self.counterexamples.get(label, 0) - len(own & named)
            return others

    def thumbnail(self, example: int) -> bytes | None:
        """A small picture of an example, JPEG, or None."""
        self._check_open()
        return None if self._journal is None else self._journal.log.thumbnail(example)

    def unknown_thumbnail(self, number: int) -> bytes | None:
        """A small picture of an unknown in the inbox, JPEG, or None."""
        return next((one.thumbnail for one in self.unknowns if one.number == number), None)

    def relabel(self, ids: Iterable[int], label: Label) -> None:
        """Correct examples that were taught under a wrong label.

        Raises:
            NotTaughtError: there is no such example, or it is forgotten or rolled back.
            LabelError: a label of another type.
            InputError: the brain lives in memory only, or learned them as another device.
        """
        with self._change():
            events, old = self._live(list(dict.fromkeys(ids)))
            as_labels(label, 1, self._taught.like)
            moved = [i for i, known in enumerate(old) if known != label]
            if not moved:
                return
            rows = rows_in([events[i] for i in moved])
            before = [old[i] for i in moved]
            if self._taught.own.receipts.missing(receipts_of(rows), before):
                raise InputError("What another device learned cannot be corrected: forget it, then teach it anew.")
            body = {"ids": [events[i].seq for i in moved], "old": before, "label": label}
            self._record(Change(events=[Draft(kind=RELABELLED, body=body, time=self._now())]))
            self._taught.relabel(rows, before, label)
            self._changed()

    # How it is done

    def _past(self) -> Journal:
        self._check_open()
        if self._journal is None:
            raise InputError("A brain in memory keeps no history: Brain.create(path) makes one that does.")
        return self._journal

    def _backward(self, journal: Journal, before: int) -> Iterator[Event]:
        return journal.log.read(upto=before - 1, content=False, backward=True)


def _together(event: Event) -> tuple[Any, ...]:
    """What examples that were taught by one call share."""
    return (event.kind, event.time, event.teacher) if event.kind in LESSONS else (event.seq,)


def _entry(events: list[Event], spans: Spans) -> Entry | None:
    """The entry of events, newest first; None for what changes nothing that a user sees."""
    newest, oldest = events[0], events[-1]
    if newest.kind in HOUSEKEEPING:
        return None
    body: Any = newest.body or {}
    labels: Counter[Label | None] = Counter()
    if newest.kind in LESSONS:
        labels.update(_unless_forgotten(event.label) for event in reversed(events))
    elif newest.kind == RELABELLED:
        labels[_unless_forgotten(body["label"])] = len(body["ids"])
    return Entry(
        newest.seq, oldest.seq, _when(newest.time), newest.kind, newest.teacher, dict(labels),
        note_of(newest.kind, body), newest.seq not in spans,
    )


def _unless_forgotten(label: Label | None) -> Label | None:
    return None if label is None or is_pseudonym(label) else label


def example_of(event: Event, names: Names, pictured: Container[int]) -> Example:
    """What an event of teaching, which is not erased, is as an example; `pictured` are the events with a picture."""
    assert event.label is not None
    return Example(event.seq, names.now(event.seq, event.label), _when(taught_at(event)), event.teacher, event.source,
                   event.seq in pictured)


def note_of(kind: str, body: Any) -> str:
    """What an event's entry says in words."""
    if kind == RENAMED:
        return f"{shown(body['edict']['label'])} is called {shown(body['edict']['new'])}"
    if kind == FORGOT:
        label, receipts = body["edict"]["label"], body["edict"]["receipts"]
        return "a label, for good" if label is not None else f"{len(receipts)} example(s), for good"
    if kind == RELABELLED:
        return f"{len(body['ids'])} example(s) corrected to {shown(body['label'])}"
    if kind == ALPHA:
        of = shown(body["label"]) if "label" in body else "what is known"
        return f"{percent(body['alpha'])} of {of} may be refused"
    if kind == MELDED:
        return "; ".join([f"{len(body['slots'])} device(s)", *body["notes"]])
    return ("undo, " if body.get("undoing") else "") + f"to {body['to']}" if kind == ROLLED_BACK else ""


def taught_at(event: Event) -> int:
    """When an example was taught, here or where it was imported from: microseconds since 1970 UTC."""
    return int((event.body or {}).get("time", event.time))


def _is_undo(event: Event) -> bool:
    return event.kind == ROLLED_BACK and bool((event.body or {}).get("undoing"))


def _when(time: int) -> datetime:
    return datetime.fromtimestamp(time / 1e6, UTC)


def _seq_at(journal: Journal, moment: datetime) -> int:
    """The last event by then."""
    until = int(moment.timestamp() * 1e6)
    low, high = 0, journal.log.last
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if journal.log.event(middle).time <= until else (low, middle - 1)
    if not low:
        raise InputError(f"The brain was made after {moment.isoformat()}.")
    return low
