"""A brain's ledger in a folder: the log in it that is the truth, and snapshots that save time.

    manifest.json             what belongs to the brain, the SHA-256 of every file but the log
    log.sqlite                every event: taught, forgotten, renamed, melded, consolidated, rolled back
    snapshot-<seq>-<hash>     the state after an event, so that only what follows it has to be replayed
    slot-<id>-<hash>          what another device contributed
    bundle-<fingerprint>/     the backbone and its statistics

A disk that refuses leaves what is recorded as it was.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import RLock, Thread
from typing import Any

from safetensors.numpy import load

from engram.brain.changes import ADOPTED, CHECKPOINT, CONSOLIDATED, CREATED, RARE, consolidate, replay, signed
from engram.brain.erasing import told
from engram.brain.inbox import Inbox
from engram.brain.knowledge import Knowledge
from engram.brain.ledger import Ledger
from engram.brain.saving import (
    MISFITS,
    bundle_from,
    knowledge_state,
    restore,
    slot_at,
    slot_entry,
    slot_files,
    slot_from,
)
from engram.brain.slots import Slot
from engram.brain.timeline import Spans, Timeline
from engram.features.backbones.bundle import Bundle
from engram.files import make_folder, remove
from engram.learner import DamagedError, EngramError, InputError, Label, State
from engram.packing import pack
from engram.store.event import Draft, Event, Transaction
from engram.store.event_log import EventLog
from engram.store.folder import FileRecord, Folder, short_hash
from engram.store.writer_lock import WriterLock

LOG = "log.sqlite"
_SNAPSHOTS = 2
_REPLAYED = 2**23  # values (rows x width) after which a snapshot saves enough time to be worth writing
_CLOSING = 2**20  # ... when the brain is closed
_SHARE = 4  # and this part of the last snapshot's size has come in: writing it again stays cheap beside the log
_AT_ONCE = 20_000  # examples whose consolidation in a replay takes no longer than a second or so
_FIRST = re.compile(r"\.lock|manifest\.json|log\.sqlite(-wal|-shm)?|writer\.lock|.*\.engram-tmp")
_SECOND = re.compile(r"log\.mark|bundle-[0-9a-f]{16}")


class FolderLedger(Ledger):
    """A brain's folder, opened: read at once, written to from the first change on. `Ledger` tells the rest.

    Args:
        folder: where.
        manifest: what was read of it.
        readonly: never write.
        parts: what a bundle cannot hold, such as `module=` for a PyTorch backbone.

    Attributes:
        folder: where.
        log: the events.
        snapshots: (event, name) of the snapshots, newest first.
        held: whether this program is the one that writes.
        suspect: a commit failed: what is on disk has to be looked at before the next.
    """

    def __init__(
        self, folder: Folder, manifest: Mapping[str, Any], readonly: bool, parts: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.folder, self.readonly = folder, readonly
        self.path = folder.path
        self.snapshots: list[tuple[int, str]] = []
        self.about: dict[str, Any] = {}
        self._describe(manifest)
        self.log: EventLog = EventLog.open(folder.path / LOG, readonly=readonly)
        self.held = self.suspect = False
        self.ways = None
        self._parts = parts or {}
        self._bundle: Bundle | None = None
        self._options: dict[str, Any] | None = None  # of the brain, once they are known
        self._unsaved = 0  # values (rows x width) since the last snapshot
        self._last_time = 0
        self._covered: int | None = None  # the last event that a checkpoint stands for, once it is known
        self._rare: list[Event] = []
        self._reading = RLock()
        self._guard = RLock()
        self._saving: Thread | None = None

    @classmethod
    def create(cls, path: str | os.PathLike[str], knowledge: Knowledge) -> FolderLedger:
        """A new, empty folder for a brain that knows this, held for writing.

        Raises:
            InputError: there is something already.
        """
        folder = Folder(_empty(path))
        about: dict[str, Any] = {"device": knowledge.own.device, "fingerprint": None, "snapshots": []}
        made: FolderLedger | None = None
        try:
            EventLog.create(folder.path / LOG).close()
            made = cls(folder, {**about, "files": {}}, readonly=False)
            made._options = dict(knowledge.options)
            if made.hold(0):
                raise InputError(f"{folder.path} exists already: another program has just created it.")
            folder.write(about, {}, {})
        except BaseException:
            if made is not None:
                made.log.close()
            _clear(folder.path)
            raise
        return made

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, readonly: bool = False, **parts: Any) -> FolderLedger:
        """Raises InputError where there is no folder, DamagedError where it is no sound brain's."""
        folder = Folder(Path(path).resolve())
        manifest = folder.manifest()
        if "snapshots" not in manifest or not (folder.path / LOG).is_file():
            raise DamagedError(f"{folder.path} lacks its log ({LOG}): restore the folder from a copy.")
        return cls(folder, manifest, readonly, parts)

    def reopened(self) -> FolderLedger:
        self.finish_saving()
        fresh = FolderLedger.open(self.folder.path, readonly=self.readonly, **self._parts)
        if fresh.about["device"] != self.about["device"] or self.about["fingerprint"] not in (
            None, fresh.about["fingerprint"],
        ):  # fmt: skip
            fresh.close()
            raise EngramError(f"{self.folder.path} holds another brain than when it was opened: open it again.")
        fresh._bundle, fresh.log.on_sync = self._bundle, self.log.on_sync
        fresh._last_time = self._last_time
        self.close()
        return fresh

    @property
    def files(self) -> dict[str, FileRecord]:
        """Every file that belongs to the brain beside the log, as the manifest names them."""
        return self.folder.entries

    @property
    def moved(self) -> bool:
        return self.log.moved

    def check_open(self) -> None:
        pass

    def check_keeps(self, what: str) -> None:
        pass

    def made_with(self) -> dict[str, Any]:
        """How the brain was made: its options, its device, and how many unknowns its inbox keeps.

        Raises:
            DamagedError: the log does not begin with that.
        """
        first = self.log.event(1)
        if first is None or first.kind != CREATED or first.body is None:
            raise DamagedError(f"{self.folder.path}: the first event of the log does not create a brain.")
        return {**first.body["options"], "unknowns": first.body["unknowns"], "device": first.body["device"]}

    def timeline(self) -> Timeline:
        with self._reading:
            last = self.log.last
            seen = self._rare[-1].seq if self._rare else 0
            self._rare += [replace(event, content=None) for event in self.log.read(seen, last, kinds=RARE)]
            return Timeline(self._rare, last)

    def rewritten(self) -> None:
        """Events have been rewritten or erased: they are read anew."""
        with self._reading:
            self._rare, self._covered = [], None

    def picture(self, make: Callable[[Any], bytes | None], item: Any) -> bytes | None:
        return make(item)

    def inbox(self, before: Inbox) -> Inbox:
        unsaved, _ = before.unsaved()
        return Inbox.restored(self.log.unknowns(), before.limit, unsaved)

    # Writing

    def outdated(self, seq: int) -> bool:
        if self.held:
            self.log.check_place()
        elif self.moved:
            return True
        if self.astray or (self.suspect and not self._ends_at(seq)):  # else what comes next overwrites what was refused
            return True
        self.suspect = False
        return False

    def _ends_at(self, seq: int) -> bool:
        try:
            return self.log.last == seq
        except (EngramError, OSError):
            return False

    def hold(self, seq: int) -> bool:
        """As the interface says. Raises EngramError: opened for reading only, or another program writes to it."""
        if self.held:
            return False
        self.log.acquire()
        stale = self.folder.changed()
        if stale:
            self._describe(self.folder.manifest())
        self.held = True
        self.rewritten()
        return stale or self.log.last != seq

    def opening(self, own: Slot) -> bool:
        return not own.live

    def record(self, changes: Sequence[Transaction], inbox: Inbox, after: int) -> list[range]:
        added, removed = inbox.unsaved()
        whole = [*map(signed, changes), Transaction(inbox_add=added, inbox_remove=removed)]
        for change in whole:
            change.time = self._now()
        try:
            numbers = self.log.commit(whole, after=after)
        except BaseException:
            self.suspect = True
            raise
        inbox.saved(added, removed)
        if any(change.alters for change in changes):
            self.rewritten()
        return numbers[:-1]

    def _now(self) -> int:
        """Microseconds since 1970; later than ever before, so that what came together can be told by its time."""
        self._last_time = max(time.time_ns() // 1000, self._last_time + 1)
        return self._last_time

    def checkpoint(self, knowledge: Knowledge, covers: int, **about: Any) -> list[Draft]:
        self.keep_slots(knowledge.others.values())
        slots = [slot_entry(slot) for slot in knowledge.others.values()]
        body = {"covers": covers, "digest": knowledge.total.digest(), "slots": slots, **about}
        return [Draft(kind=CHECKPOINT, body=body, content=pack(knowledge_state(knowledge, covers)))]

    def cut_checkpoint(
        self, lose: Callable[[Knowledge, int], bool], others: Mapping[str, Slot], going: Collection[int]
    ) -> dict[int, tuple[Mapping[str, Any], bytes]]:
        found = self.timeline().checkpoint()
        if found is None or found.seq in going:
            return {}
        event = self.log.event(found.seq)
        body = dict(event.body or {})
        covers = int(body["covers"])
        try:
            base = self.restored(load(event.content or b""), covers)
        except EngramError as error:
            raise DamagedError(f"{self.folder.path}: a checkpoint in the log cannot be read.") from error
        touched = lose(base, covers)
        entries = [slot_entry(others.get(device, slot)) for device, slot in base.others.items()]
        if not touched and entries == body["slots"]:
            return {}
        base.others = {device: others.get(device, slot) for device, slot in base.others.items()}
        body |= {"slots": entries, "digest": base.total.digest()}
        return {event.seq: (body, pack(knowledge_state(base, covers)))}

    # The budget

    def grown_labels(self, knowledge: Knowledge, learned: Sequence[Label]) -> list[Label]:
        self.loose.update(learned)
        grown = [label for label in dict.fromkeys(learned) if self.loose[label] >= consolidate.LOOSE]
        counts = knowledge.total.counts if grown else {}
        return [label for label in grown if 2 * self.loose[label] >= counts.get(label, 0)]

    def beyond(self, knowledge: Knowledge, seq: int) -> int:
        width = knowledge.bundle.width if knowledge.bundle else 1
        room = int(knowledge.options["memory_budget"]) // (2 * width)
        if self._covered is None:
            self._covered = self.timeline().covered
        return room // 2 if seq - self._covered > room else 0

    # Recovery: from the log to what is known

    def recover(
        self, upto: int | None = None, *, snapshots: bool = True, without: Iterable[range] = ()
    ) -> Knowledge:
        """The newest valid snapshot, then every event in force after it, replayed.

        Several consolidations are repeated as one. Which examples share a prototype is no knowledge, so after a long
        replay that is left until it falls due again.

        Args:
            snapshots: start from one where that helps; else from the log alone.
            without: events that are left out.

        Raises:
            DamagedError: the log, or a file that it speaks of, is damaged.
        """
        timeline = self.timeline()
        spans = timeline.in_force(upto).without(without)
        knowledge, done = self._base(timeline, spans, snapshots)
        knowledge.own.live = bool(knowledge.own.lineage.stretches)
        merged: dict[Label, None] = {}
        try:
            for span in spans:
                for item in self.log.runs(max(span.start - 1, done), span.stop - 1):
                    if isinstance(item, Event) and item.kind == CONSOLIDATED:
                        merged |= dict.fromkeys(consolidate.labels_of(knowledge, item))
                    else:
                        replay(knowledge, item, self)
            if sum(knowledge.total.counts.get(label, 0) for label in merged) <= _AT_ONCE:
                consolidate.merge(knowledge, merged)
        except (*MISFITS, EngramError) as error:
            raise DamagedError(
                f"{self.folder.path}: the log cannot be replayed: restore the folder from a copy. ({error})"
            ) from error
        knowledge.own.live = False
        knowledge.columns = timeline.columns
        return knowledge

    def _base(self, timeline: Timeline, spans: Spans, snapshots: bool) -> tuple[Knowledge, int]:
        """What to start from, and the last event in it."""
        whole_from = max(timeline.erased_at, timeline.covered)  # before it, the log lacks examples
        valid = [
            (seq, name) for seq, name in self.snapshots
            if snapshots and seq >= whole_from and timeline.in_force(seq) == spans.upto(seq)
        ]
        for seq, name in valid:
            try:
                return self.restored(self.arrays(name), seq), seq
            except (*MISFITS, EngramError):
                continue  # an older one, or the log alone, tells the same
        checkpoint = timeline.checkpoint(spans.last)
        if checkpoint is None:
            return self._as_made(0), 0
        covers = int((checkpoint.body or {})["covers"])
        return self.restored(load(self.log.event(checkpoint.seq).content or b""), covers), covers

    def restored(self, arrays: Mapping[str, Any], seq: int) -> Knowledge:
        """What a snapshot or checkpoint of the state after event `seq` holds. Raises one of `MISFITS` if it misfits."""
        knowledge = self._as_made(seq)
        restore(knowledge, arrays, partial(slot_from, folder=self.folder, bundle=knowledge.bundle))
        return knowledge

    def slot(self, entry: Mapping[str, Any], bundle: Bundle | None) -> Slot:
        """The slot that an event describes."""
        return slot_at(entry, self.folder, bundle)

    def slots_of(self, event: Event) -> Iterator[Slot]:
        entries = (event.body or {}).get("slots", ())
        return (self.slot(entry, self.bundle()) for entry in entries if "file" in entry)

    def _as_made(self, seq: int) -> Knowledge:
        """The brain as it was made, nothing learned; on the backbone that it stood on after event `seq`."""
        if self._options is None:
            made = self.made_with()
            self._options = {name: made[name] for name in made if name not in ("unknowns", "device")}
        adopted = any(event.kind == ADOPTED and event.seq <= seq for event in self.timeline().rare)
        return Knowledge(str(self.about["device"]), self._options, self.bundle() if adopted else None)

    def begin(self, knowledge: Knowledge) -> None:
        last = self.log.last
        self.loose = Counter(knowledge.total.loose)
        self._last_time = max(self._last_time, self.log.event(last).time)
        newest = self.snapshots[0][0] if self.snapshots else 0
        self._unsaved = max(0, last - newest) * (knowledge.bundle.width if knowledge.bundle else 1)

    # Files beside the log

    def bundle(self) -> Bundle | None:
        """The backbone that the brain stands on, or None. Raises DamagedError where it is not whole."""
        if not any(event.kind == ADOPTED for event in self.timeline().rare):
            return None
        if self._bundle is None or self._bundle.fingerprint != self.about["fingerprint"]:
            names = [name for name in self.files if name.startswith("bundle-")]
            files = {Path(name).name: self.folder.read(name, self.files[name]) for name in names}
            self._bundle = bundle_from(files, **self._parts)
            if self._bundle.fingerprint != self.about["fingerprint"]:
                raise DamagedError(f"{self.folder.path} holds another backbone than its manifest says.")
        return self._bundle

    def keep_bundle(self, bundle: Bundle) -> None:
        prefix = f"bundle-{bundle.fingerprint[:16]}"
        self.about["fingerprint"], self._bundle = bundle.fingerprint, bundle
        files = {f"{prefix}/{name}": content for name, content in bundle.files().items()}
        with self._guard:
            others = {name: entry for name, entry in self.files.items() if not name.startswith("bundle-")}
            self._write(files, others, self.snapshots)

    def keep(self, files: Mapping[str, bytes]) -> None:
        """Write files that belong to the brain from now on."""
        with self._guard:
            self._write(files, self.files, self.snapshots)

    def keep_slots(self, slots: Iterable[Slot]) -> None:
        files = slot_files(slots, self.folder)
        if files:
            self.keep(files)

    def arrays(self, name: str) -> State:
        """What a snapshot holds. Raises DamagedError where it is missing or altered."""
        try:
            return load(self.folder.read(name, self.files[name]))
        except MISFITS as error:
            raise DamagedError(f"{self.folder.path / name} cannot be read: {error}") from error

    def sound(self, name: str) -> bool:
        """Whether a file of the brain is there and what was written."""
        try:
            self.folder.read(name, self.files[name])
        except DamagedError:
            return False
        return True

    # Snapshots

    def grown(self, knowledge: Knowledge, seq: int, values: int) -> None:
        self._unsaved += values
        if not self.held or self._unsaved < _REPLAYED:
            return
        if self.snapshots and 2 * _SHARE * self._unsaved < self.files[self.snapshots[0][1]]["bytes"]:
            return
        self._unsaved = 0
        with spared():
            state, wanted = self._snapshot_of(knowledge, seq)
            self.finish_saving()

            def save() -> None:
                with spared():
                    self._save(seq, state, wanted, alone=False)

            self._saving = Thread(target=save, name="engram-snapshot", daemon=True)  # beside learning
            self._saving.start()

    def snapshot(self, knowledge: Knowledge, seq: int, *, alone: bool = False) -> None:
        state, wanted = self._snapshot_of(knowledge, seq)
        self.finish_saving()
        self._save(seq, state, wanted, alone)
        self._unsaved = 0

    def finish_saving(self) -> None:
        """Wait for a snapshot under way."""
        thread, self._saving = self._saving, None
        if thread is not None:
            thread.join()

    def _snapshot_of(self, knowledge: Knowledge, seq: int) -> tuple[State, dict[str, FileRecord]]:
        """The arrays of a snapshot, which do not change any more, and the files that they or the log refer to."""
        self.keep_slots(knowledge.others.values())
        names = self._slots_in_use(knowledge)
        return knowledge_state(knowledge, seq), {name: entry for name, entry in self.files.items() if name in names}

    def _slots_in_use(self, knowledge: Knowledge) -> set[str]:
        """The files of other devices' contributions that the brain or its log refers to."""
        stored = {slot.stored.name for slot in knowledge.others.values() if slot.stored}
        return stored | self.timeline().slot_files()

    # What was forgotten

    def sweep(self, knowledge: Knowledge, seq: int) -> None:
        self.snapshot(knowledge, seq, alone=True)
        self.log.finish_erasing()
        self.check_swept()

    def finish_sweeping(self, knowledge: Knowledge, seq: int, *, renamed: bool) -> None:
        self.folder.sweep()
        if renamed or any(name in self.files for name in self.traces(knowledge)):
            self.snapshot(knowledge, seq, alone=True)
        self.log.finish_erasing()
        self.check_swept()

    def check_swept(self) -> None:
        """Raises OSError where a file that no longer belongs to the brain could not be removed."""
        left = [name for name in self.folder.strays() if name not in self.files]
        if left:
            raise OSError(f"{self.folder.path / left[0]} cannot be removed, and holds what was forgotten: remove it.")
        self.unswept = False

    def traces(self, knowledge: Knowledge) -> list[str]:
        found = self._stale(self._slots_in_use(knowledge))
        return [LOG, *found] if told(self.timeline()) and LOG not in found else found

    def _stale(self, slots: Collection[str]) -> list[str]:
        """The files in which something forgotten may still be found; `slots` are the files of contributions in use."""
        erased = self.timeline().erased_at
        if not erased:
            return []
        found = [name for seq, name in self.snapshots if seq < erased]
        if not self.snapshots or self.snapshots[0][0] < erased:  # the snapshot of a forget lets go of what is not used
            found += [name for name in self.files if name.startswith("slot-") and name not in slots]
        return [*found, *self.folder.strays(), *([LOG] if self.log.erasing else [])]

    # Letting go

    def finish(self, knowledge: Knowledge, inbox: Inbox, seq: int) -> None:
        if self.held and not (self.suspect or self.astray or self.moved):
            if any(inbox.unsaved()):
                self.record([], inbox, seq)
            if self._unsaved >= _CLOSING:
                self.snapshot(knowledge, seq)

    def release(self) -> None:
        """Let another program write; the next change takes the right to do so again."""
        self.finish_saving()
        self.log.release()
        self.held = False

    def close(self) -> Ledger:
        try:
            self.finish_saving()
        finally:
            self.log.close()
            self.held = False
        return Ledger(self.path)

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        self.finish_saving()
        target = _empty(path)
        with self._guard:
            snapshots = [list(pair) for pair in self.snapshots if self.sound(pair[1])]
            left_out = {name for _, name in self.snapshots} - {name for _, name in snapshots}
            files = {n: self.folder.read(n, entry) for n, entry in self.files.items() if n not in left_out}
            make_folder(target)
            self.log.copy_to(target / LOG)
            Folder(target).write({**self.about, "snapshots": snapshots}, files, {})

    def remove(self) -> None:
        """Undo `create`, where nothing was taught."""
        self.close()
        _clear(self.folder.path, whole=True)

    def _describe(self, manifest: Mapping[str, Any]) -> None:
        self.folder.entries = dict(manifest["files"])
        self.snapshots = [(int(seq), str(name)) for seq, name in manifest["snapshots"]]
        self.about = {name: manifest[name] for name in ("device", "fingerprint")}

    def _save(self, seq: int, state: State, wanted: Mapping[str, FileRecord], alone: bool) -> None:
        packed = pack(state)
        name = f"snapshot-{seq:010d}-{short_hash(packed)}.safetensors"
        with self._guard:
            kept = [] if alone else [pair for pair in self.snapshots if pair[1] != name][: _SNAPSHOTS - 1]
            names = {kept_name for _, kept_name in kept}
            files = {n: entry for n, entry in self.files.items() if n.startswith("bundle-") or n in names}
            self._write({name: packed}, {**files, **wanted}, [(seq, name), *kept])

    def _write(
        self, files: Mapping[str, bytes], kept: Mapping[str, FileRecord], snapshots: Sequence[tuple[int, str]]
    ) -> None:
        self.log.check_place()
        about = {**self.about, "snapshots": [list(pair) for pair in snapshots]}
        self.folder.write(about, files, kept)
        self.snapshots = list(snapshots)


@contextmanager
def spared() -> Iterator[None]:
    """Snapshots only save time: where one cannot be written, what was acknowledged is in the log all the same."""
    try:
        yield
    except (OSError, EngramError, MemoryError) as error:
        logging.getLogger("engram").warning("No snapshot could be written: %s", error)


def _empty(path: str | os.PathLike[str]) -> Path:
    """Raises InputError where there is something already."""
    target = Path(path).resolve()
    if target.exists() and not (target.is_dir() and unborn(target)):
        raise InputError(f"{target} exists already: open that brain, or choose a new folder.")
    return target


def _clear(path: Path, *, whole: bool = False) -> None:
    """Remove a folder in which nothing was taught, unless another program makes or has made a brain there.

    Args:
        whole: whatever is in it.
    """
    lock = WriterLock(path)
    with suppress(OSError, EngramError):
        lock.acquire()
        if whole or unborn(path):
            remove(path)
    lock.release()


def unborn(path: Path) -> bool:
    """Whether a folder is empty but for what making a brain leaves that was cut short before it was acknowledged."""
    later = [entry.name for entry in path.iterdir() if not _FIRST.fullmatch(entry.name)]
    log = path / LOG
    if not any(file.exists() and file.stat().st_size for file in (log, log.with_name(f"{LOG}-wal"))):
        return not later
    try:
        with EventLog.open(log, readonly=True) as opened:
            return opened.last == 0 and all(_SECOND.fullmatch(name) for name in later)
    except EngramError:
        return False
