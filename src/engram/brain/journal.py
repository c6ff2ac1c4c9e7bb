"""Where a brain lasts: its folder, the log in it that is the truth, and snapshots that save time.

    manifest.json             what belongs to the brain, the SHA-256 of every file but the log
    log.sqlite                every event: taught, forgotten, renamed, melded, consolidated, rolled back
    snapshot-<seq>-<hash>     the state after an event, so that only what follows it has to be replayed
    slot-<id>-<hash>          what another device contributed
    bundle-<fingerprint>/     the backbone and its statistics
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import RLock, Thread
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from engram.brain.saving import MISFITS, bundle_from, slot_files
from engram.brain.slots import Slot
from engram.brain.timeline import ADOPTED, RARE, Timeline
from engram.features.backbones.bundle import Bundle
from engram.files import make_folder, remove
from engram.learner import DamagedError, EngramError, InputError, State
from engram.packing import pack
from engram.store.event import Change, Event
from engram.store.event_log import EventLog
from engram.store.folder import Entry, Folder, short_hash
from engram.store.lock import WriterLock

LOG = "log.sqlite"
_SNAPSHOTS = 2
_FIRST = re.compile(r"\.lock|manifest\.json|log\.sqlite(-wal|-shm)?|writer\.lock|.*\.engram-tmp")
_SECOND = re.compile(r"log\.mark|bundle-[0-9a-f]{16}")


class Journal:
    """A brain's folder, opened: read at once, written to from the first change on.

    Args:
        folder: where.
        manifest: what was read of it.
        readonly: never write.

    Attributes:
        folder: where.
        log: the events.
        snapshots: (event, name) of the snapshots, newest first.
        held: whether this program is the one that writes.
    """

    def __init__(self, folder: Folder, manifest: Mapping[str, Any], readonly: bool) -> None:
        self.folder, self.readonly = folder, readonly
        self.snapshots: list[tuple[int, str]] = []
        self.about: dict[str, Any] = {}
        self._describe(manifest)
        self.log = EventLog.open(folder.path / LOG, readonly=readonly)
        self.held = False
        self._rare: list[Event] = []
        self._reading = RLock()
        self._guard = RLock()
        self._saving: Thread | None = None

    @classmethod
    def create(cls, path: str | os.PathLike[str], device: str) -> Journal:
        """A new, empty folder, held for writing.

        Raises:
            InputError: there is something already.
        """
        folder = Folder(_empty(path))
        about: dict[str, Any] = {"device": device, "fingerprint": None, "snapshots": []}
        made: Journal | None = None
        try:
            EventLog.create(folder.path / LOG).close()
            made = cls(folder, {**about, "files": {}}, readonly=False)
            if made.hold(0):
                raise InputError(f"{folder.path} is there already: another program has just made it.")
            folder.write(about, {}, {})
        except BaseException:
            if made is not None:
                made.log.close()
            _clear(folder.path)
            raise
        return made

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, readonly: bool = False) -> Journal:
        """Raises InputError where there is no folder, DamagedError where it is no sound brain's."""
        folder = Folder(Path(path).resolve())
        manifest = folder.manifest()
        if "snapshots" not in manifest or not (folder.path / LOG).is_file():
            raise DamagedError(f"{folder.path} lacks its log ({LOG}): restore the folder from a copy.")
        return cls(folder, manifest, readonly)

    @property
    def files(self) -> dict[str, Entry]:
        """Every file that belongs to the brain beside the log, as the manifest names them."""
        return self.folder.entries

    def hold(self, seen: int) -> bool:
        """Become the program that writes, if it is not yet; whether others wrote, after event `seen` or beside the log.

        Raises:
            EngramError: opened for reading only, or another program writes to it.
        """
        if self.held:
            return False
        self.log.acquire()
        stale = self.folder.changed()
        if stale:
            self._describe(self.folder.manifest())
        self.held = True
        self.rewritten()
        return stale or self.log.last != seen

    def commit(self, changes: Sequence[Change], after: int) -> list[range]:
        """The sequence numbers of each change's events; all is on disk when this returns."""
        return self.log.commit(changes, after=after)

    def timeline(self) -> Timeline:
        """What is in force now."""
        with self._reading:
            last = self.log.last
            seen = self._rare[-1].seq if self._rare else 0
            self._rare += [replace(event, content=None) for event in self.log.read(seen, last, kinds=RARE)]
            return Timeline(self._rare, last)

    def rewritten(self) -> None:
        """Events have been rewritten or erased: they are read anew."""
        with self._reading:
            self._rare = []

    # Files beside the log

    def bundle(self, **parts: Any) -> Bundle | None:
        """The backbone that the brain stands on, or None. Raises DamagedError where it is not whole."""
        names = [name for name in self.files if name.startswith("bundle-")]
        if not any(event.kind == ADOPTED for event in self.timeline().rare):
            return None
        files = {Path(name).name: self.folder.read(name, self.files[name]) for name in names}
        bundle = bundle_from(files, **parts)
        if bundle.fingerprint != self.about["fingerprint"]:
            raise DamagedError(f"{self.folder.path} holds another backbone than its manifest names.")
        return bundle

    def keep_bundle(self, bundle: Bundle) -> None:
        """Write the backbone that the brain stands on from now on."""
        prefix = f"bundle-{bundle.fingerprint[:16]}"
        self.about["fingerprint"] = bundle.fingerprint
        files = {f"{prefix}/{name}": content for name, content in bundle.files().items()}
        with self._guard:
            others = {name: entry for name, entry in self.files.items() if not name.startswith("bundle-")}
            self._write(files, others, self.snapshots)

    def keep(self, files: Mapping[str, bytes]) -> None:
        """Write files that belong to the brain from now on."""
        with self._guard:
            self._write(files, self.files, self.snapshots)

    def keep_slots(self, slots: Iterable[Slot]) -> None:
        """Put contributions of other devices into files of their own, those that lie in none yet."""
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

    def snapshot(self, seq: int, state: State, wanted: Mapping[str, Entry], *, alone: bool = False) -> None:
        """Write a snapshot, and let go of files that nothing needs any more.

        Args:
            seq: the last event in it.
            state: its arrays; they must not change.
            wanted: the files that it or the log refers to.
            alone: let go of all earlier snapshots.
        """
        self.finish_saving()
        self._save(seq, state, wanted, alone)

    def snapshot_aside(self, seq: int, state: State, wanted: Mapping[str, Entry]) -> None:
        """The same in a thread, beside learning. One that fails is only missing: the log holds it all."""
        self.finish_saving()

        def save() -> None:
            with spared():
                self._save(seq, state, wanted, alone=False)

        self._saving = Thread(target=save, name="engram-snapshot", daemon=True)
        self._saving.start()

    def finish_saving(self) -> None:
        """Wait for a snapshot under way."""
        thread, self._saving = self._saving, None
        if thread is not None:
            thread.join()

    def stale(self, slots: Collection[str]) -> list[str]:
        """The files in which something forgotten may still be found.

        Args:
            slots: the files of other devices' contributions that are in use.
        """
        erased = self.timeline().erased_at
        if not erased:
            return []
        found = [name for seq, name in self.snapshots if seq < erased]
        if not self.snapshots or self.snapshots[0][0] < erased:  # the snapshot of a forget lets go of what is not used
            found += [name for name in self.files if name.startswith("slot-") and name not in slots]
        return [*found, *self.folder.strays(), *([LOG] if self.log.erasing else [])]

    def check_swept(self) -> None:
        """Raises OSError where a file that no longer belongs to the brain could not be removed."""
        left = [name for name in self.folder.strays() if name not in self.files]
        if left:
            raise OSError(f"{self.folder.path / left[0]} cannot be removed, and holds what was forgotten: remove it.")

    def release(self) -> None:
        """Let another program write; the next change takes the right to do so again."""
        self.finish_saving()
        self.log.release()
        self.held = False

    def close(self) -> None:
        """Let go of the folder."""
        try:
            self.finish_saving()
        finally:
            self.log.close()
            self.held = False

    def copy_to(self, path: str | os.PathLike[str]) -> None:
        """Write the same brain to another folder, as it is now.

        Raises:
            InputError: there is something already.
        """
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

    def _save(self, seq: int, state: State, wanted: Mapping[str, Entry], alone: bool) -> None:
        packed = pack(state)
        name = f"snapshot-{seq:010d}-{short_hash(packed)}.safetensors"
        with self._guard:
            kept = [] if alone else [pair for pair in self.snapshots if pair[1] != name][: _SNAPSHOTS - 1]
            names = {kept_name for _, kept_name in kept}
            files = {n: entry for n, entry in self.files.items() if n.startswith("bundle-") or n in names}
            self._write({name: packed}, {**files, **wanted}, [(seq, name), *kept])

    def _write(
        self, files: Mapping[str, bytes], kept: Mapping[str, Entry], snapshots: Sequence[tuple[int, str]]
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


def rows_in(events: Sequence[Event]) -> npt.NDArray[np.int16]:
    """(N, D) what examples in the log hold: their quantised features."""
    return np.stack([np.frombuffer(event.content or b"", "<i2") for event in events]).astype(np.int16, copy=False)


def _empty(path: str | os.PathLike[str]) -> Path:
    """Raises InputError where there is something already."""
    target = Path(path).resolve()
    if target.exists() and not (target.is_dir() and unborn(target)):
        raise InputError(f"{target} is there already: open that brain, or choose a new folder.")
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
