"""The past of a brain, to be read: what happened, what undoing would take back, single examples by their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby, pairwise
from typing import Any

from engram.brain.changes import CONSOLIDATED, HOUSEKEEPING, LESSONS, RELABELLED, ROLLED_BACK, TAUGHT, describe
from engram.brain.changes.rollback import is_undo
from engram.brain.knowledge import Rows
from engram.brain.ledger import Ledger
from engram.brain.pseudonyms import is_pseudonym, names_in
from engram.brain.receipts import receipts_of
from engram.brain.timeline import Names, Spans, Timeline
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
    """

    seq: int
    first: int
    time: datetime
    kind: str
    teacher: str | None
    labels: dict[Label | None, int]
    note: str
    undone: bool


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
            entry = self._entry(together)
            if entry is not None:
                entries.append(entry)
            if len(entries) == limit:
                break
        return entries

    def last_change(self) -> HistoryEntry | None:
        """What undoing would take back; None where there is nothing."""
        for together in self._groups(self.timeline.last + 1):
            entry = self._entry(together)
            if entry is not None and not entry.undone and entry.kind != CONSOLIDATED and not is_undo(together[0]):
                return entry
        return None

    def before(self, entry: HistoryEntry) -> int:
        """The event whose state undoing returns to. Raises InputError where that is no more."""
        seq = entry.first - 1 if entry.kind == ROLLED_BACK else self.spans.before(entry.first)
        self.timeline.check_reachable(seq)
        return seq

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
        """Events, newest first, those together that one call taught."""
        events = self._log.read(upto=before - 1, content=False, backward=True)
        for _, together in groupby(events, _together):
            yield list(together)

    def _entry(self, events: list[Event]) -> HistoryEntry | None:
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
        return HistoryEntry(
            newest.seq, oldest.seq, _when(newest.time), newest.kind, newest.teacher, dict(labels), describe(newest),
            newest.seq not in self.spans,
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

    def named_since(self, to: int) -> list[Event]:
        """The examples that waited in the inbox, are known now and were not after event `to`."""
        then = self.timeline.in_force(to)
        return self._events([seq for seq in self._log.from_inbox() if seq in self.spans and seq not in then])

    def known_by(self, to: int, receipts: Sequence[bytes]) -> set[bytes]:
        """Those of these receipts that were taught by event `to`, and were known then."""
        then = self.timeline.in_force(to)
        found = self._log.find(receipts=receipts, upto=to) if receipts else []
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


def taught_at(event: Event) -> int:
    """When an example was taught, here or where it was imported from: microseconds since 1970 UTC."""
    return int((event.body or {}).get("time", event.time))


def _together(event: Event) -> tuple[Any, ...]:
    """What examples that were taught by one call share."""
    return (event.kind, event.time, event.teacher) if event.kind in LESSONS else (event.seq,)


def _unless_forgotten(label: Label | None) -> Label | None:
    return None if label is None or is_pseudonym(label) else label


def _when(time: int) -> datetime:
    return datetime.fromtimestamp(time / 1e6, UTC)
