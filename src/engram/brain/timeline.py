"""Which events count, and what examples are called by them.

A rollback takes what came after its target out of force, and is itself an event that can be rolled back. An undo of
what others' lessons came between takes single events out, and those between stay.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engram.brain.changes import CHECKPOINT, COLUMNS, FORGOT, KINDS, MELDED, RELABELLED, RENAMED, ROLLED_BACK
from engram.learner import InputError, Label
from engram.store.event import Event


class Spans:
    """The sequence numbers of events, as ascending ranges; those that follow each other are one.

    >>> spans = Spans([range(1, 3), range(5, 8)])
    >>> 2 in spans, 4 in spans, 7 in spans, list(spans)
    (True, False, True, [range(1, 3), range(5, 8)])
    """

    def __init__(self, ranges: Iterable[range]) -> None:
        self._ranges: list[range] = []
        for one in ranges:
            if self._ranges and self._ranges[-1].stop == one.start:
                one = range(self._ranges.pop().start, one.stop)
            self._ranges.append(one)
        self._starts = [span.start for span in self._ranges]

    @classmethod
    def of(cls, seqs: Iterable[int]) -> Spans:
        """Of ascending numbers."""
        return cls(range(seq, seq + 1) for seq in seqs)

    def __iter__(self) -> Iterator[range]:
        return iter(self._ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and self._ranges == other._ranges

    def __contains__(self, seq: int) -> bool:
        place = bisect_right(self._starts, seq) - 1
        return place >= 0 and seq in self._ranges[place]

    @property
    def last(self) -> int:
        """The greatest."""
        return self._ranges[-1].stop - 1

    def before(self, seq: int) -> int:
        """The greatest below `seq`; there must be one."""
        span = self._ranges[bisect_left(self._starts, seq) - 1]
        return min(span.stop, seq) - 1

    def upto(self, seq: int) -> Spans:
        """Those up to `seq`."""
        return Spans(range(one.start, min(one.stop, seq + 1)) for one in self if one.start <= seq)

    def without(self, gone: Iterable[range]) -> Spans:
        """Those that are in none of these ranges.

        >>> list(Spans([range(1, 9)]).without([range(3, 5), range(8, 9)]))
        [range(1, 3), range(5, 8)]
        """
        left = self._ranges
        for hole in gone:
            parts = ((range(one.start, min(one.stop, hole.start)), range(max(one.start, hole.stop), one.stop))
                     for one in left)
            left = [part for pair in parts for part in pair if part]
        return Spans(left)


class Timeline:
    """What is in force, from the rare events of a log.

    Args:
        rare: every event that is not a taught example, oldest first.
        last: the newest sequence number.

    >>> back = Event(seq=5, time=0, kind="rolled back", body={"to": 2})
    >>> timeline = Timeline([back], last=7)
    >>> list(timeline.in_force()), list(timeline.in_force(4))
    ([range(1, 3), range(5, 8)], [range(1, 5)])
    """

    def __init__(self, rare: Iterable[Event], last: int) -> None:
        self.rare = list(rare)
        self.last = last

    def in_force(self, upto: int | None = None) -> Spans:
        """The events that make up the state at `upto`; None for now."""
        end = self.last if upto is None else upto
        spans, gone = [], []
        for event in reversed(self._of(ROLLED_BACK)):
            if event.seq <= end:
                spans.append(range(event.seq, end + 1))
                body = _body(event)
                alone = [range(int(first), int(last) + 1) for first, last in body.get("without", ())]
                gone += alone
                end = event.seq - 1 if alone else int(body["to"])
        spans.append(range(1, end + 1))
        return Spans(reversed(spans)).without(gone)

    def still(self, seq: int) -> bool:
        """Whether all that was in force at `seq` is in force now, and nothing else of that time."""
        return self.in_force(seq) == self.in_force().upto(seq)

    def settled(self, seq: int) -> int:
        """The first event from `seq` on at which all was in force that is now, of that time, and nothing else."""
        later = (event.seq for event in self._of(ROLLED_BACK) if event.seq > seq)
        return next(moment for moment in (seq, *later) if self.still(moment))

    def undone(self, seq: int) -> bool:
        """Whether an event was rolled back, and that not in turn."""
        return seq not in self.in_force()

    def checkpoint(self, upto: int | None = None) -> Event | None:
        """The newest one: it stands for everything up to `covers`."""
        end = self.last if upto is None else upto
        return next((event for event in reversed(self.checkpoints) if int(_body(event)["covers"]) <= end), None)

    @property
    def checkpoints(self) -> list[Event]:
        """Those that no later one has taken the place of; but for a moment, one at most."""
        return [event for event in self._of(CHECKPOINT) if not event.gone]

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the columns that were taught, in force or not: what the numbers mean does not change."""
        named = next(iter(self._of(COLUMNS)), None)
        return None if named is None else tuple(map(str, _body(named)["names"]))

    @property
    def covered(self) -> int:
        """The last event that a checkpoint stands for; 0 where there is none."""
        return max((int(_body(event)["covers"]) for event in self.checkpoints), default=0)

    @property
    def cut_acts(self) -> set[str]:
        """The acts of which a checkpoint let some examples go, and others are in the log still."""
        return {act for event in self.checkpoints for act in _body(event).get("cut", ())}

    @property
    def erased_at(self) -> int:
        """The last event that took content out of the log; 0 where there was none."""
        return max((event.seq for event in self.rare if event.kind == FORGOT or _body(event).get("erased")), default=0)

    def slot_files(self) -> set[str]:
        """The files of other devices' contributions that the log refers to."""
        return {entry["file"] for event in self.rare for entry in _body(event).get("slots", ()) if "file" in entry}

    def barrier(self) -> tuple[int, str]:
        """The earliest moment that can be returned to, and what happened there."""
        reached = (0, "")
        for event in self.rare:
            reason = KINDS[FORGOT].barrier if _body(event).get("erased") else KINDS[event.kind].barrier
            if reason:
                reached = max(reached, (event.seq, reason))
        return max(reached, (self.covered, "examples were let go to stay within the budget"))

    def check_reachable(self, seq: int) -> None:
        """Raises InputError where the state at `seq` is no more, or not yet."""
        if not 0 < seq <= self.last:
            raise InputError(f"There is no event {seq}: events are numbered 1 to {self.last}.")
        earliest, reason = self.barrier()
        if seq < earliest:
            raise InputError(f"At event {earliest} {reason}: that cannot be undone, and no earlier state can be "
                             "returned to.")

    def _of(self, kind: str) -> list[Event]:
        return [event for event in self.rare if event.kind == kind]


class Names:
    """The names that examples go by at a moment.

    Args:
        timeline: of the log.
        upto: the moment; None for now.
        undone: count renames and corrections that were rolled back too.
    """

    def __init__(self, timeline: Timeline, upto: int | None = None, *, undone: bool = False) -> None:
        spans = Spans([range(1, timeline.last + 1)]) if undone else timeline.in_force(upto)
        self._renames: list[tuple[int, Mapping[Label, Label]]] = []  # event, old name -> new; those of a meld at once
        self._moves: dict[int, list[tuple[int, Label]]] = {}  # example -> event, and what it was corrected to
        for event in timeline.rare:
            body = _body(event)
            if event.kind not in (RENAMED, MELDED, RELABELLED) or event.seq not in spans:
                continue
            if event.kind == RENAMED:
                self._renames.append((event.seq, {body["edict"]["label"]: body["edict"]["new"]}))
            elif event.kind == RELABELLED:
                for example in body["ids"]:
                    self._moves.setdefault(int(example), []).append((event.seq, body["label"]))
            elif body.get("renamed"):
                self._renames.append((event.seq, dict(body["renamed"])))
        self._when = [seq for seq, _ in self._renames]

    def now(self, seq: int, label: Label) -> Label:
        """What the example taught by event `seq` under a label is called now."""
        for when, moved in self._moves.get(seq, ()):
            if when > seq:  # whatever it was called before
                seq, label = when, moved
        for _, names in self._renames[bisect_right(self._when, seq) :]:
            label = names.get(label, label)
        return label

    def over_time(self, seq: int, label: Label) -> set[Label]:
        """All that the example taught by event `seq` under a label was called, one after the other."""
        found = {label} | {moved for _, moved in self._moves.get(seq, ())}
        for _, names in self._renames[bisect_right(self._when, seq) :]:
            found |= {names[label] for label in found & names.keys()}
        return found

    def ever(self, label: Label) -> set[Label]:
        """All labels under which what is now called so may have been taught."""
        found = {label}
        for _, names in reversed(self._renames):
            found |= {old for old, new in names.items() if new in found}
        return found

    def moved_to(self, label: Label) -> set[int]:
        """The examples that were corrected to a label which is now called so, or was so later on."""
        return {
            seq for seq, moves in self._moves.items()
            if any(label in self.over_time(when, moved) for when, moved in moves)
        }


def _body(event: Event) -> Mapping[str, Any]:
    return event.body or {}
