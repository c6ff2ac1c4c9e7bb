"""The past of a brain, to be read: what happened, what undoing would take back, single examples by their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby, pairwise, takewhile
from typing import Any

from engram.brain.changes import CONSOLIDATED, HOUSEKEEPING, KINDS, LESSONS, RELABELLED, ROLLED_BACK, TAUGHT, describe
from engram.brain.changes.rollback import is_undo
from engram.brain.knowledge import Rows
from engram.brain.ledger import Ledger
from engram.brain.pseudonyms import is_pseudonym, names_in
from engram.brain.receipts import receipts_of
from engram.brain.timeline import Names, Spans, Timeline
from engram.brain.ways_back import Way
from engram.learner import InputError, Label, NotTaughtError
from engram.store.event import Event


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
class HistoryEntry:
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
        act: the id of the act that it belongs to, where it was said.
    """

    seq: int
    first: int
    time: datetime
    kind: str
    teacher: str | None
    labels: dict[Label | None, int]
    note: str
    undone: bool
    act: str | None = None


_UNDOABLE = tuple(name for name in KINDS if name not in (*HOUSEKEEPING, CONSOLIDATED, ROLLED_BACK))
_STAYING = tuple(kind.name for kind in KINDS.values() if kind.stays)


class History:
    """What a ledger tells of the past at this moment; a ledger in memory tells nothing. It changes nothing.

    Args:
        ledger: of the brain, which is held meanwhile.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._log = ledger, ledger.log

    @cached_property
    def timeline(self) -> Timeline:
        return self._ledger.timeline()

    @cached_property
    def spans(self) -> Spans:
        """The events in force."""
        return self.timeline.in_force()

    @cached_property
    def names(self) -> Names:
        """What examples are called now."""
        return Names(self.timeline)

    @cached_property
    def _ever_named(self) -> Names:
        """What examples were called at any time, by renames and corrections that were undone too."""
        return Names(self.timeline, undone=True)

    # What happened

    def entries(self, before: int | None = None, limit: int = 100) -> list[HistoryEntry]:
        """What happened, newest first: what came before event `before`, or all; `limit` entries at most."""
        entries = []
        for together in self._groups(self.timeline.last + 1 if before is None else before):
            entries.append(self.entry(together))
            if len(entries) == limit:
                break
        return entries

    def last_act(self) -> list[Event]:
        """The events of the last change that is in force, newest first: what one call, or one act, did.

        An act ends where something came between that cannot stay when what was taught before it is undone.
        """
        for newest in self._log.read(content=False, backward=True):
            undoable = newest.kind not in (*HOUSEKEEPING, CONSOLIDATED) and not is_undo(newest)
            if undoable and newest.seq in self.spans:
                return self._together_with(newest)
        return []

    def act(self, act: str) -> list[Event]:
        """The events of an act that are in force, newest first."""
        events = self._log.of_act(act, _UNDOABLE, self.timeline.covered)
        return [event for event in reversed(list(events)) if event.seq in self.spans]

    def _together_with(self, newest: Event) -> list[Event]:
        act = _act(newest)
        if act is not None:
            own = self.act(act)
            since = max((event.seq for event in self._apart(own)), default=0)
            return [event for event in own if event.seq > since]
        if newest.kind not in LESSONS:
            return [newest]
        events = self._log.read(upto=newest.seq, content=False, backward=True)
        return list(takewhile(lambda event: (event.kind, event.time) == (newest.kind, newest.time), events))

    def _apart(self, events: Sequence[Event]) -> list[Event]:
        """What came after the first of these events, is none of them, and cannot stay when they are undone."""
        first, own = min(event.seq for event in events), {event.seq for event in events}
        return [
            event for event in self.timeline.rare
            if event.seq > first and event.seq in self.spans and event.seq not in own
            and event.kind not in _STAYING and not is_undo(event)
        ]

    def way_back(self, events: Sequence[Event]) -> tuple[int, list[range]]:
        """How these events, newest first, are undone.

        Returns:
            The event whose state that returns to, and nothing; or the event before them, and the events to take out of
            what is in force now, where others came between that stay.

        Raises:
            InputError: that state is no more, or something came after them that cannot stay without them.
        """
        newest, first = events[0], events[-1].seq
        if newest.kind == ROLLED_BACK:
            self.timeline.check_reachable(first - 1)
            return first - 1, []
        to, gone = self.spans.before(first), Spans.of(sorted(event.seq for event in events))
        cut = any(_act(event) in self.timeline.cut_acts for event in events)
        self.timeline.check_reachable(min(to, self.timeline.covered - 1) if cut else to)
        apart = self._apart(events)
        if apart:
            raise InputError(f"Event {apart[-1].seq} ({apart[-1].kind}) came after it: undo that first.")
        left = self.spans.without(gone)
        if self.timeline.in_force(to) == left.upto(to) and not self._changes_after(to, left):
            return to, []
        return to, list(gone)

    def _changes_after(self, to: int, left: Spans) -> bool:
        """Whether any of these spans after event `to` holds what a user sees."""
        seen = [event.seq for event in self.timeline.rare
                if event.kind not in (*HOUSEKEEPING, CONSOLIDATED) and not is_undo(event)]
        return any(seq in left for seq in seen if seq > to) or any(
            self._log.find(after=max(to, span.start - 1), upto=span.stop - 1) for span in left if span.stop > to + 1
        )

    def seq_at(self, moment: datetime) -> int:
        """The number of the last event by then. Raises InputError where the brain was not made yet."""
        until = int(moment.timestamp() * 1e6)
        low, high = 0, self._log.last
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._log.event(middle).time <= until else (low, middle - 1)
        if not low:
            raise InputError(f"The brain was created after {moment.isoformat()}: choose a later time.")
        return low

    def _groups(self, before: int) -> Iterator[list[Event]]:
        """Events, newest first, those together that follow each other and one call, or one act, taught."""
        events = self._log.read(upto=before - 1, content=False, backward=True)
        shown = (event for event in events if event.kind not in HOUSEKEEPING)
        for _, together in groupby(shown, self._line):
            yield list(together)

    def _line(self, event: Event) -> tuple[Any, ...]:
        """What the events of one line of history share."""
        if event.kind not in LESSONS:
            return (event.seq,)
        return (event.kind, _act(event) or event.time, event.teacher, event.seq in self.spans)

    def entry(self, events: Sequence[Event]) -> HistoryEntry:
        """The entry of events, newest first."""
        newest, oldest = events[0], events[-1]
        teachers = {event.teacher for event in events}
        body: Any = newest.body or {}
        labels: Counter[Label | None] = Counter()
        if any(event.kind in LESSONS for event in events):
            labels.update(_unless_forgotten(event.label) for event in reversed(events) if event.kind in LESSONS)
        elif newest.kind == RELABELLED:
            labels[_unless_forgotten(body["label"])] = len(body["ids"])
        return HistoryEntry(
            newest.seq, oldest.seq, _when(newest.time), newest.kind, teachers.pop() if len(teachers) == 1 else None,
            dict(labels), describe(newest), newest.seq not in self.spans, _act(newest),
        )

    # Single examples

    def examples(
        self, label: Label | None = None, after: int = 0, limit: int = 100, teacher: str | None = None
    ) -> list[Example]:
        """The examples that were taught here one by one and are known, oldest first; see `Brain.examples`."""
        found = self.called(label) if label is not None else self._log.find(after=after, teacher=teacher)
        if label is not None and teacher is not None:
            own = {seq for seq, _ in self._log.find(after=after, teacher=teacher)}
            found = [(seq, name) for seq, name in found if seq in own]
        return self._told(self._events([seq for seq, _ in found if seq > after and seq in self.spans][:limit]))

    def newest(self, each: int, after: int, teacher: str | None) -> dict[Label, list[int]]:
        """The numbers of the newest examples of each label among those numbered after `after`, newest first."""
        newest: dict[Label, list[int]] = {}
        for seq, taught in reversed(self._log.find(after=max(0, after), teacher=teacher)):
            ids = newest.setdefault(self.names.now(seq, taught), []) if seq in self.spans else [0] * each
            if len(ids) < each:
                ids.append(seq)
        return newest

    def known(self, rows: Rows, labels: Sequence[Label]) -> list[Example | None]:
        """Which examples are in force with these (N, D) rows under these labels; None for others.

        Where the same was taught several times, each of them is told once, as long as there are that many.
        """
        receipts = receipts_of(rows) if len(rows) else []
        held: dict[tuple[bytes | None, Label], list[Example]] = {}
        found = self._log.find(receipts=list(dict.fromkeys(receipts))) if receipts else []
        events = self._events([seq for seq, _ in found if seq in self.spans])
        for event, example in zip(events, self._told(events), strict=True):
            held.setdefault((event.receipt, example.label), []).append(example)
        waiting = {key: iter(examples) for key, examples in held.items()}
        return [next(waiting.get(key, iter(())), None) for key in zip(receipts, labels, strict=True)]

    def live(self, ids: Sequence[int], kinds: Sequence[str] = (TAUGHT,)) -> tuple[list[Event], list[Label]]:
        """The examples of these numbers, and what they are called now.

        Args:
            kinds: of events, in place of examples.

        Raises:
            NotTaughtError: there is no such example, or it is forgotten or rolled back.
        """
        events = self._lessons(ids, kinds)
        for event in events:
            if event.seq not in self.spans:
                raise NotTaughtError(f"Example {event.seq} was undone: reverse the undo first (engram rollback).")
        return events, [self.names.now(event.seq, event.label) for event in events if event.label is not None]

    def held_or_undone(self, ids: Sequence[int]) -> tuple[list[Event], list[Label], list[Event]]:
        """The examples and counterexamples of these numbers that are known, what they are called now, and those that
        were undone, which only the log holds.

        Raises:
            NotTaughtError: there is no such example, or it is forgotten.
        """
        events = self._lessons(ids, LESSONS)
        known, called = self.live([event.seq for event in events if event.seq in self.spans], LESSONS)
        return known, called, [event for event in events if event.seq not in self.spans]

    def _lessons(self, ids: Sequence[int], kinds: Sequence[str]) -> list[Event]:
        """The events of these numbers. Raises NotTaughtError where there is none, or its example is forgotten."""
        self._ledger.check_keeps("numbers of examples")
        events = []
        for seq in ids:
            event = self._log.event(seq) if 0 < seq <= self.timeline.last else None
            if event is None or event.kind not in kinds or event.gone:
                raise NotTaughtError(f"There is no example {seq}: it was forgotten, or never existed.")
            events.append(event)
        return events

    def ids_of(self, teacher: str) -> list[int]:
        """The numbers of all that someone taught and the log holds, what was undone since included.

        Raises:
            NotTaughtError: the log names no such teacher.
        """
        self._ledger.check_keeps("record of teachers")
        found = [seq for seq, _ in self._log.find(teacher=teacher, kinds=LESSONS)]
        if not found and not self._log.names_teacher(teacher):
            raise NotTaughtError(f"The brain has no examples taught by {teacher!r}, and nothing in its history is by"
                                 f" {teacher!r}.")
        return found

    def taught_by(self, teacher: str, ids: Iterable[int], label: Label | None) -> tuple[int, int]:
        """How many of these examples others taught than `teacher`, and how many that go by a label this one taught.

        Where nothing known has the label, the first number counts what was undone of it and the changes that name it.
        """
        others = sum(event.teacher != teacher for event in self._lessons(list(ids), LESSONS))
        if label is None:
            return others, 0
        own = {seq for seq, _ in self._log.find(teacher=teacher, kinds=LESSONS)}
        named = {seq for seq, _ in self.called(label, LESSONS) if seq in self.spans}
        if not named:
            telling = [event for event in self.timeline.rare if label in names_in(event.body or {})]
            others += sum(event.teacher != teacher for event in (*self.undone(label), *telling))
        return others, len(own & named)

    # What was undone, and what else the log tells

    def undone(self, label: Label) -> list[Event]:
        """The examples and counterexamples that were undone and had this label at any time."""
        names = self._ever_named
        found = {seq for taught in names.ever(label) for seq, _ in self._log.find(label=taught, kinds=LESSONS)}
        events = self._events([seq for seq in sorted(found | names.moved_to(label)) if seq not in self.spans])
        return [
            event for event in events if event.label is not None and label in names.over_time(event.seq, event.label)
        ]

    def undone_like(
        self, receipts: Sequence[bytes], labels: Sequence[Label | None], kind: str = TAUGHT
    ) -> list[list[Event]]:
        """For each receipt the undone examples (or counterexamples, by `kind`) that had this label at any time, or any
        (None).
        """
        found = self._log.find(receipts=list(dict.fromkeys(receipts)), kinds=(kind,)) if receipts else []
        like: dict[bytes | None, list[Event]] = {}
        for event in self._events([seq for seq, _ in found if seq not in self.spans]):
            like.setdefault(event.receipt, []).append(event)
        names = self._ever_named
        return [
            [event for event in like.get(receipt, ())
             if label is None or (event.label is not None and label in names.over_time(event.seq, event.label))]
            for receipt, label in zip(receipts, labels, strict=True)
        ]

    def tells(self, label: Label) -> bool:
        """Whether the log names a label anywhere: in what is known, was undone, renamed, corrected or melded in."""
        if self._log.find(label=label, kinds=LESSONS):
            return True
        rare = self.timeline.rare
        return any(label in names_in(event.body or {}) for event in rare) or any(
            label in slot.head.named for event in rare for slot in self._ledger.slots_of(event)
        )

    def called(self, label: Label, kinds: Sequence[str] = (TAUGHT,)) -> list[tuple[int, Label]]:
        """Number and label of the examples of the log that go by a label now; `kinds` of events in their place."""
        names = self.names
        found = {seq: name for taught in names.ever(label) for seq, name in self._log.find(label=taught, kinds=kinds)}
        for seq in names.moved_to(label):
            event = self._log.event(seq)
            if event.label is not None:
                found[seq] = event.label
        return [(seq, label) for seq, taught in sorted(found.items()) if names.now(seq, taught) == label]

    def like(self, receipts: Sequence[bytes], labels: Sequence[Label], kind: str = TAUGHT) -> list[int]:
        """The examples in force with these receipts under these labels; the newest, where there are more than asked."""
        wanted = Counter(zip(receipts, labels, strict=True))
        chosen = []
        for receipt in set(receipts):
            for seq, label in reversed(self._log.find(receipts=[receipt], kinds=(kind,))):
                key = (receipt, self.names.now(seq, label))
                if wanted[key] > 0 and seq in self.spans:
                    wanted[key] -= 1
                    chosen.append(seq)
        return chosen

    def named_since(self, then: Spans) -> list[Event]:
        """The examples that waited in the inbox, are known now and not where these events are in force."""
        return self._events([seq for seq in self._log.from_inbox() if seq in self.spans and seq not in then])

    def known_by(self, then: Spans, receipts: Sequence[bytes]) -> set[bytes]:
        """Those of these receipts that are known where these events are in force."""
        found = self._log.find(receipts=receipts) if receipts else []
        return {event.receipt for event in self._events([seq for seq, _ in found if seq in then]) if event.receipt}

    def rolled_back(self) -> list[int]:
        """The examples that are not in force."""
        gone = []
        for before, after in pairwise(self.spans):
            found = self._log.find(after=before.stop - 1, upto=after.start - 1, kinds=LESSONS)
            gone += [seq for seq, _ in found]
        return gone

    def everything(self) -> list[int]:
        """The examples and checkpoints of the log."""
        earlier = [event.seq for event in self.timeline.checkpoints]
        return [*earlier, *(seq for seq, _ in self._log.find(kinds=LESSONS))]

    def _events(self, seqs: Sequence[int]) -> list[Event]:
        """The examples of these numbers, as far as they are not erased."""
        return [event for event in map(self._log.event, seqs) if event.label is not None]

    def _told(self, events: Sequence[Event]) -> list[Example]:
        pictured = self._log.pictured([event.seq for event in events])
        return [
            Example(event.seq, self.names.now(event.seq, event.label), _when(taught_at(event)), event.teacher,
                    event.source, event.seq in pictured)
            for event in events if event.label is not None
        ]


def entry_of(lessons: Sequence[Way]) -> HistoryEntry:
    """The entry of lessons of a brain in memory, newest first."""
    labels: Counter[Label | None] = Counter(label for way in reversed(lessons) for label in way.taught.labels)
    teachers = {way.teacher for way in lessons}
    seqs = [seq for way in lessons for seq in way.taught.seqs]
    newest = lessons[0]
    return HistoryEntry(
        max(seqs), min(seqs), newest.time, newest.taught.kind, teachers.pop() if len(teachers) == 1 else None,
        dict(labels), "", undone=False, act=newest.act,
    )  # fmt: skip


def taught_at(event: Event) -> int:
    """When an example was taught, here or where it was imported from: microseconds since 1970 UTC."""
    return int((event.body or {}).get("time", event.time))


def _act(event: Event) -> str | None:
    """The act that an event belongs to, where it was said."""
    act: str | None = (event.body or {}).get("act")
    return act


def _unless_forgotten(label: Label | None) -> Label | None:
    return None if label is None or is_pseudonym(label) else label


def _when(time: int) -> datetime:
    return datetime.fromtimestamp(time / 1e6, UTC)
