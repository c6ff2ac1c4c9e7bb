"""Where a brain's changes are recorded: the ledger of a brain in memory, which keeps nothing.

The other kind is `engram.brain.folder_ledger.FolderLedger`. A brain never asks which of them it has.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engram.brain.timeline import Timeline
from engram.brain.ways_back import WaysBack
from engram.learner import EngramError, InputError, Label, NotTaughtError
from engram.store.event import Draft, Event, Reply, Taught, Transaction

if TYPE_CHECKING:
    from engram.brain.inbox import Inbox
    from engram.brain.knowledge import Knowledge, Rows
    from engram.brain.slots import Slot
    from engram.features.backbones.bundle import Bundle


class EmptyLog:
    """A log in which nothing is."""

    on_sync: Callable[[float], None] | None = None
    last = 0

    def event(self, seq: int) -> Event:
        """Raises NotTaughtError: nothing is in it."""
        raise NotTaughtError(f"There is no event {seq} in the log.")

    def read(self, *_: Any, **__: Any) -> Iterator[Event]:
        return iter(())

    def runs(self, *_: Any, **__: Any) -> Iterator[Taught | Event]:
        return iter(())

    def find(self, **_: Any) -> list[tuple[int, Label]]:
        return []

    def labels_of(self, seqs: Sequence[int]) -> set[Label]:
        return set()

    def sources_in(self, folder: str) -> list[int]:
        return []

    def pictured(self, seqs: Sequence[int]) -> set[int]:
        return set()

    def thumbnail(self, seq: int) -> bytes | None:
        return None

    def answer(self, key: str) -> Reply | None:
        return None


class Ledger:
    """Where changes are recorded. This one is of a brain in memory: it counts them, and keeps nothing.

    Args:
        left: the folder that the brain was let go of, if any: then nothing may be changed.

    Attributes:
        path: the folder; None for a brain in memory.
        log: the events.
        held: whether this program may write.
        moved: whether the folder was moved, removed or exchanged since it was opened.
        unswept: whether something forgotten may still be found in a file.
        astray: whether what was committed was not wholly applied: what is known is not what is recorded.
        ways: what was taught last, to be undone; None where a log tells that.
        loose: how many examples of each label no prototype holds yet; counted where consolidation falls due by itself.
    """

    def __init__(self, left: Path | None = None) -> None:
        self.path: Path | None = None
        self.log: Any = EmptyLog()
        self.held = True
        self.unswept = self.astray = False
        self.loose: Counter[Label] = Counter()
        self.ways: WaysBack | None = WaysBack()
        self._left = left

    @property
    def moved(self) -> bool:
        return False

    def check_open(self) -> None:
        """Raises EngramError where the brain was closed: a change would be lost."""
        if self._left is not None:
            raise EngramError(f"The brain is closed, so this change would be lost: call"
                              f" Brain.open({str(self._left)!r}) first.")

    def check_keeps(self, what: str) -> None:
        """Raises InputError where nothing of the past is kept, EngramError where the brain was closed."""
        self.check_open()
        raise InputError(f"A brain in memory keeps no {what}: Brain.create(path) makes one that does.")

    def timeline(self) -> Timeline:
        """What is in force now."""
        return Timeline([], 0)

    def picture(self, make: Callable[[Any], bytes | None], item: Any) -> bytes | None:
        """A small picture of an input, made where it is kept."""
        return None

    def inbox(self, before: Inbox) -> Inbox:
        """The inbox as it is recorded, and after it what `before` holds that is not recorded yet."""
        return before

    # Before a change

    def outdated(self, seq: int) -> bool:
        """Whether the folder has to be opened anew before a change is made to what was known after event `seq`.

        Raises:
            EngramError: this program writes to it, and it was moved.
        """
        return False

    def hold(self, seq: int) -> bool:
        """Become the program that writes; whether others wrote after event `seq` or beside the log."""
        return False

    def keep_bundle(self, bundle: Bundle) -> None:
        """Have the backbone's files on disk before it is recorded that the brain stands on it."""

    def keep_slots(self, slots: Iterable[Slot]) -> None:
        """Have contributions of other devices in files of their own before a record refers to them."""

    def slots_of(self, event: Event) -> Iterator[Slot]:
        """The contributions of other devices that a meld brought and that are kept still."""
        return iter(())

    def checkpoint(self, knowledge: Knowledge, covers: int, **about: Any) -> list[Draft]:
        """An event that stands for what is known after event `covers`."""
        return []

    def cut_checkpoint(
        self, lose: Callable[[Knowledge, int], bool], others: Mapping[str, Slot], going: Collection[int]
    ) -> dict[int, tuple[Mapping[str, Any], bytes]]:
        """The newest checkpoint rewritten without what is forgotten: number -> body and content; {} where it stays.

        Args:
            lose: takes it out of what the checkpoint holds, which covers the events up to a number; whether any was in.
            others: what other devices' contributions are from now on.
            going: events that are erased anyway.
        """
        return {}

    # A change

    def opening(self, own: Slot) -> bool:
        """Whether the next record has to say first that this program goes on with the brain."""
        return False

    def record(self, changes: Sequence[Transaction], inbox: Inbox, after: int) -> list[range]:
        """Have changes, and those of the inbox, on disk in one commit.

        Returns:
            For each change, the numbers of its events.

        Raises:
            OSError, EngramError: they are not; nothing was changed.
        """
        numbers = []
        for change in changes:
            numbers.append(range(after + 1, after + 1 + len(change.events)))
            after += len(change.events)
        return numbers

    # After a change

    def grown(self, knowledge: Knowledge, seq: int, values: int) -> None:
        """So many values (rows x width) came in: a snapshot may be due."""

    def snapshot(self, knowledge: Knowledge, seq: int, *, alone: bool = False) -> None:
        """Write a snapshot, so that only what follows has to be replayed; `alone` lets go of all earlier ones."""

    def sweep(self, knowledge: Knowledge, seq: int) -> None:
        """What was forgotten is off the record: let it leave all that was made of it. Raises OSError: not all could."""

    def finish_sweeping(self, knowledge: Knowledge, seq: int, *, renamed: bool) -> None:
        """Finish what a crash, the disk or another program's reader kept from being finished.

        Args:
            renamed: whether names left the records just now, which snapshots still hold.

        Raises:
            OSError: it is still not finished.
        """

    def traces(self, knowledge: Knowledge) -> list[str]:
        """The files in which something forgotten may still be found."""
        return []

    def grown_labels(self, knowledge: Knowledge, learned: Sequence[Label]) -> list[Label]:
        """The labels that are to be consolidated, now that these were learned: so often as they are named."""
        return []

    def beyond(self, knowledge: Knowledge, seq: int) -> int:
        """How many of the newest examples to keep where the log outgrew its budget; else 0."""
        return 0

    # The past

    def recover(
        self, upto: int | None = None, *, snapshots: bool = True, without: Iterable[range] = ()
    ) -> Knowledge:
        """What was known after event `upto`, None for now, but for the events that are left out. Raises DamagedError
        where the log is damaged.
        """
        raise InputError("A brain in memory keeps no history: Brain.create(path) makes one that does.")

    def begin(self, knowledge: Knowledge) -> None:
        """Go on from what was recovered of the whole log."""

    def reopened(self) -> Ledger:
        """The folder anew, as another program left it, or a disk that failed; it is not held any more.

        Raises:
            EngramError: it holds another brain; or it cannot be opened, then this one stays open.
        """
        return self

    def finish(self, knowledge: Knowledge, inbox: Inbox, seq: int) -> None:
        """Write what is worth writing before the folder is let go of."""

    def close(self) -> Ledger:
        """Let go of the folder; what a brain goes on with that has none any more."""
        return self

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write the same brain to another folder, as it is now. Raises InputError where there is something already."""
        raise InputError("This brain is in memory only: pass a folder, brain.save(FOLDER).")


def rows_in(events: Sequence[Event]) -> Rows:
    """(N, D) what examples in the log hold: their quantised features."""
    return np.stack([np.frombuffer(event.content or b"", "<i2") for event in events]).astype(np.int16, copy=False)
