"""A brain whose every change is on record before it takes effect: in its folder's log, or counted where it has none.

A change is first found possible, then committed to the log, then applied in memory, and only then acknowledged: a disk
that refuses leaves memory and disk as they were. What is in memory is always the log replayed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from engram.brain.acting import signed
from engram.brain.contributions import Contributions
from engram.brain.journal import Journal, spared
from engram.brain.knowledge import Knowledge
from engram.brain.recovery import Recovery
from engram.brain.saving import slot_entry, taught_state
from engram.brain.timeline import ADOPTED, CHECKPOINT, COLUMNS, CREATED, OPENED
from engram.brain.unknowns import Unknowns
from engram.features.backbones.bundle import Bundle
from engram.heads.fast.view import HeadView
from engram.learner import DamagedError, EngramError
from engram.packing import pack
from engram.store.event import Change, Draft, Taught
from engram.store.folder import Entry

_REPLAYED = 2**23  # values (rows x width) after which a snapshot saves enough time to be worth writing
_CLOSING = 2**20  # ... when the brain is closed
_SHARE = 4  # and this part of the last snapshot's size has come in: writing it again stays cheap beside the log


class Recorded(Knowledge):
    """What is known, and the folder in which it lasts, if any.

    Args:
        options, unknowns, device: as for `Knowledge`.
    """

    def __init__(self, options: Mapping[str, Any], unknowns: int, device: str | None) -> None:
        super().__init__(options, unknowns, device)
        self._journal: Journal | None = None
        self._closed: Path | None = None  # the folder that was let go of
        self._suspect = False  # a commit failed: what is on disk has to be looked at before the next
        self._astray = False  # what was committed was not wholly applied: memory is not what the log says
        self._last_time = 0
        self.settled = 0  # the last event that whoever asks is answered by: not one that is on disk, but not known yet
        self._unsaved_values = 0  # rows x width since the last snapshot
        self.on_sync: Callable[[float], None] | None = None  # called with the seconds that each commit took
        self._published = False
        self._view: HeadView | None = None

    # A brain and its folder

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, readonly: bool = False, **parts: Any) -> Self:
        """The brain in a folder. It is read now; the first change takes the right to write, which one program has.

        Args:
            readonly: refuse every change; `refresh` then follows what the writing program does.
            parts: what a bundle cannot hold, such as `module=` for a PyTorch backbone.

        Raises:
            InputError: there is no such folder.
            DamagedError: truncated, altered, foreign, or written by a later version.
        """
        while True:
            journal = Journal.open(path, readonly=readonly)
            try:
                return cls._opened(journal, parts)
            except DamagedError:
                journal.close()
                if not journal.folder.changed():  # else another program wrote meanwhile, and swept away what was read
                    raise
            except BaseException:
                journal.close()
                raise

    @classmethod
    def _opened(cls, journal: Journal, parts: Mapping[str, Any]) -> Self:
        first = journal.log.event(1)
        if first is None or first.kind != CREATED or first.body is None:
            raise DamagedError(f"{journal.folder.path}: the log does not begin with the making of a brain.")
        made: Any = cls
        body = first.body
        options = {**body["options"], "unknowns": body["unknowns"], "device": body["device"]}
        brain: Self = made(journal.bundle(**parts), **options)
        brain._journal = journal
        brain._reload()
        return brain

    def close(self) -> None:
        """Let go of the folder; all that was acknowledged is in it. An open brain that is not closed loses nothing.

        A closed brain still answers what it is asked, by what it knew. It refuses to learn and to change, and what only
        its folder can tell.
        """
        with self._lock:
            if self._journal is None:
                return
            try:
                if self._journal.held and not (self._suspect or self._astray or self.moved):
                    self._record_inbox()
                    if self._unsaved_values >= _CLOSING:
                        self._snapshot()
            finally:
                self._closed = self._journal.folder.path
                self._journal.close()
                self._journal = None

    def _check_open(self) -> None:
        """Raises EngramError where the brain was closed: a change would be lost."""
        if self._closed is not None:
            raise EngramError(f"The brain was closed, so this would be lost: Brain.open({str(self._closed)!r}) first.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refresh(self) -> bool:
        """Take in what another program has written to the folder since; whether there was anything."""
        with self._lock:
            self._check_open()
            journal = self._journal
            if journal is not None and not journal.held and self.moved:
                self._reopen()
                return True
            if journal is None or journal.held or journal.log.last == self.seq:
                return False
            last = journal.log.last
            items = list(journal.log.runs(self.seq, last))
            if self._bundle is not None and all(isinstance(item, Taught) for item in items):
                for item in items:
                    self._recovery().replay(self._taught, item)
                self.seq = self.settled = last
                self._show()
                self._read_inbox()
            else:
                self._reopen()
            return True

    @property
    def moved(self) -> bool:
        """Whether its folder was moved, removed or exchanged since it was opened: nothing is written there any more."""
        journal = self._journal
        return journal is not None and journal.log.moved

    @property
    def view(self) -> HeadView:
        """What is known, as it was last published, or else at this moment: to be asked without ever waiting."""
        view = self._view
        if view is None:
            with self._lock:
                view = self._taught.total.view()
        return view

    # Changes

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Hold the brain, and its folder, for a change."""
        with self._lock:
            self._changing()
            before = self.seq
            try:
                yield
            except BaseException:  # out of memory, say, or a key pressed
                self._astray |= self.seq != before
                raise
            finally:
                self.settled = self.seq

    def _changing(self) -> None:
        """Make sure that memory is what the log says, and that it may be written to."""
        self._check_open()
        journal = self._journal
        if journal is None:
            return
        if journal.held:
            journal.log.check_place()
        elif self.moved:
            self._reopen()
        if self._astray or self._suspect:
            if self._astray or not self._is_what_the_log_says():  # else what comes next overwrites what was refused
                self._reopen()
            self._suspect = self._astray = False
        journal = self._journal
        assert journal is not None
        if not journal.held:
            if journal.hold(self.seq):
                if self._bundle is None:
                    self._bundle = journal.bundle()
                self._reload()
            else:
                self._read_inbox()  # which another program may have filled without an event

    def _is_what_the_log_says(self) -> bool:
        try:
            return self._journal is not None and self._journal.log.last == self.seq
        except (EngramError, OSError):
            return False

    def _record(self, *changes: Change) -> list[range]:
        """The sequence numbers of each change's events; where the brain has a folder, all is on disk now.

        Raises:
            OSError, EngramError: it is not; nothing was changed.
        """
        own = self._taught.own
        mark = None if own.live or self._journal is None else os.urandom(8).hex()
        before = [] if mark is None else [Change(events=[Draft(kind=OPENED, body={"mark": mark}, time=self._now())])]
        numbers = self._commit([*before, *map(signed, changes), self._inbox_change()])
        numbers = numbers[len(before) : len(before) + len(changes)]
        if mark is not None:
            own.begin(mark)
        return numbers

    def _record_inbox(self) -> None:
        if self._journal is not None and any(self.unknowns.unsaved()):
            self._commit([self._inbox_change()])

    def _inbox_change(self) -> Change:
        added, removed = self.unknowns.unsaved() if self._journal is not None else ([], [])
        return Change(inbox_add=added, inbox_remove=removed)

    def _commit(self, changes: Sequence[Change]) -> list[range]:
        if self._journal is None:
            numbers = _numbered(changes, self.seq + 1)
        else:
            began = time.perf_counter()
            try:
                numbers = self._journal.commit(changes, after=self.seq)
            except BaseException:
                self._suspect = True
                raise
            if self.on_sync is not None:
                self.on_sync(time.perf_counter() - began)
            for change in changes:
                self.unknowns.saved(change.inbox_add, change.inbox_remove)
        self.seq = max((span.stop - 1 for span in numbers if span), default=self.seq)
        return numbers

    def _now(self) -> int:
        """Microseconds since 1970; later than ever before, so that what came together can be told by its time."""
        self._last_time = max(time.time_ns() // 1000, self._last_time + 1)
        return self._last_time

    def _adopting(self, bundle: Bundle) -> list[Change]:
        """The event of standing on a backbone from now on, if on none yet; its files are on disk first."""
        if self._bundle is not None:
            return []
        if self._journal is not None:
            self._journal.keep_bundle(bundle)
        body = {"backbone": bundle.name, "fingerprint": bundle.fingerprint}
        return [Change(events=[Draft(kind=ADOPTED, body=body, time=self._now())])]

    def _naming(self, columns: Sequence[str] | None) -> list[Change]:
        """The event of knowing the columns by their names from now on, if that is new."""
        if columns is None or self._columns is not None:
            return []
        return [Change(events=[Draft(kind=COLUMNS, body={"names": list(columns)}, time=self._now())])]

    def _changed(self, values: int = 0) -> None:
        """So many values were learned, or something else was done: let it be seen, and saved in time."""
        self._show()
        self._grown(values)

    def _show(self) -> None:
        """Let those who ask see what is known now."""
        if self._published:
            self._view = self._taught.total.view()

    # Snapshots

    def _grown(self, values: int) -> None:
        """So many values came in: a snapshot may be due."""
        self._unsaved_values += values
        journal = self._journal
        if journal is None or not journal.held or self._unsaved_values < _REPLAYED:
            return
        if journal.snapshots and 2 * _SHARE * self._unsaved_values < journal.files[journal.snapshots[0][1]]["bytes"]:
            return
        self._unsaved_values = 0
        with spared():
            journal.snapshot_aside(self.seq, *self._snapshot_parts())

    def _snapshot(self, *, alone: bool = False) -> None:
        """Write a snapshot of now."""
        assert self._journal is not None
        state, wanted = self._snapshot_parts()
        self._journal.snapshot(self.seq, state, wanted, alone=alone)
        self._unsaved_values = 0

    def _snapshot_parts(self) -> tuple[dict[str, Any], dict[str, Entry]]:
        wanted = self._store_slots()
        return taught_state(self._taught, self._options, self.seq), wanted

    def _store_slots(self) -> dict[str, Entry]:
        """Put other devices' contributions into files; returns all such files that the brain or its log refers to."""
        assert self._journal is not None
        others = self._taught.others.values()
        self._journal.keep_slots(others)
        names = self._slots_in_use()
        return {name: entry for name, entry in self._journal.files.items() if name in names}

    def _slots_in_use(self) -> set[str]:
        """The files of other devices' contributions that the brain or its log refers to."""
        assert self._journal is not None
        stored = {slot.stored.name for slot in self._taught.others.values() if slot.stored}
        return stored | self._journal.timeline().slot_files()

    def _checkpoint(self, taught: Contributions, covers: int, **about: Any) -> Draft:
        """An event that stands for all that is known, and for the events up to `covers`."""
        slots = [slot_entry(slot) for slot in taught.others.values()]
        body = {"covers": covers, "digest": taught.total.digest(), "slots": slots, **about}
        content = pack(taught_state(taught, self._options, covers))
        return Draft(kind=CHECKPOINT, body=body, content=content, time=self._now())

    def _recovery(self) -> Recovery:
        assert self._journal is not None
        return Recovery(self._journal, self._bundle, self._as_created)

    def _as_created(self) -> Contributions:
        assert self._journal is not None
        return Contributions(str(self._journal.about["device"]), self._new_head)

    def _reload(self) -> None:
        """Know what the log says."""
        assert self._journal is not None
        last = self._journal.log.last
        self._taught = self._recovery().at(last)
        self.seq = last
        self._columns = self._journal.timeline().columns
        self._last_time = max(self._last_time, self._journal.log.event(last).time)
        self._read_inbox()
        newest = self._journal.snapshots[0][0] if self._journal.snapshots else 0
        self._unsaved_values = max(0, last - newest) * (self._bundle.width if self._bundle else 1)
        self._show()
        self.settled = last

    def _reopen(self) -> None:
        """Read the folder anew, as another program left it, or a disk that failed; it is not held any more."""
        before = self._journal
        assert before is not None
        before.finish_saving()
        fresh = Journal.open(before.folder.path, readonly=before.readonly)  # first: where it fails, what is open stays
        if fresh.about["device"] != before.about["device"] or before.about["fingerprint"] not in (
            None, fresh.about["fingerprint"],
        ):  # fmt: skip
            fresh.close()
            raise EngramError(f"{before.folder.path} holds another brain than when it was opened: open it anew.")
        self._journal = fresh
        before.close()
        if self._bundle is None:
            self._bundle = self._journal.bundle()
        self._reload()

    def _read_inbox(self) -> None:
        assert self._journal is not None
        unsaved, _ = self.unknowns.unsaved()
        self.unknowns = Unknowns.restored(self._journal.log.unknowns(), self.unknowns.limit, unsaved)


def _numbered(changes: Sequence[Change], first: int) -> list[range]:
    numbers = []
    for change in changes:
        numbers.append(range(first, first + len(change.events)))
        first += len(change.events)
    return numbers
