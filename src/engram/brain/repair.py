"""Looking at a brain's folder as a whole, and making anew whatever the log can tell."""

from __future__ import annotations

import os
from pathlib import Path

from engram.brain.brain import Brain
from engram.brain.changes import ADOPTED, CREATED, RARE
from engram.brain.folder_ledger import LOG, FolderLedger
from engram.brain.timeline import Timeline
from engram.features.backbones.bundle import Bundle
from engram.learner import DamagedError, EngramError, InputError
from engram.progress import Progress
from engram.store.event_log import EventLog
from engram.store.folder import FileRecord, Folder, entry_of
from engram.store.log_files import Mark
from engram.store.writer_lock import WriterLock


def verify(path: str | os.PathLike[str], progress: Progress | None = None) -> list[str]:
    """Read every byte of a brain, replay its whole log, and compare the digests.

    Args:
        progress: called with the events looked at, and all of them.

    Returns:
        What is wrong, in words; nothing where all is well.

    Raises:
        InputError: there is no brain.
    """
    try:
        with Brain.open(path, readonly=True) as brain:
            ledger = _ledger_of(brain)
            problems = [f"{name} is missing or altered." for name in ledger.files if not ledger.sound(name)]
            problems += ledger.log.verify(progress)
            if problems:
                return problems
            problems += _traces(brain, ledger)
            from_log = ledger.recover(brain.seq, snapshots=False)
            for seq, name in ledger.snapshots:
                if seq >= ledger.timeline().barrier()[0] and not ledger.timeline().undone(seq):
                    kept = ledger.restored(ledger.arrays(name), seq)
                    then = ledger.recover(seq, snapshots=False)
                    if kept.total.digest() != then.total.digest():
                        problems.append(f"{name} holds another state than the log up to event {seq} gives.")
            if from_log.total.digest() != brain.digest():
                problems.append("The log gives another state than the one that was opened.")
            return problems
    except InputError:
        raise
    except (EngramError, OSError) as error:
        return [str(error)]


def _ledger_of(brain: Brain) -> FolderLedger:
    ledger = brain._ledger
    assert isinstance(ledger, FolderLedger)
    return ledger


def _traces(brain: Brain, ledger: FolderLedger) -> list[str]:
    """Where something forgotten may still be found, in words."""
    found = brain.traces()
    lock = WriterLock(ledger.folder.path)
    try:
        if found:
            lock.acquire()
    except (EngramError, OSError):  # another program writes: the files beside the log are in its hands just now
        found = [name for name in found if name == LOG]
    finally:
        lock.release()
    return [
        f"Traces of what was forgotten remain in {name}: close the programs that read the brain, then open it for "
        "writing, and they go." for name in found
    ]


def repair(path: str | os.PathLike[str]) -> list[str]:
    """Make anew what the log can tell: the manifest and the snapshot; and accept the loss of a lost end.

    Returns:
        What was done, in words; nothing where all was well.

    Raises:
        InputError: there is no such folder.
        DamagedError: the log itself is damaged, or a file that it cannot tell again.
    """
    folder = Folder(Path(path).resolve())
    if not folder.path.is_dir():
        raise InputError(f"No brain at {folder.path}: check the path.")
    done = []
    done += _accept_lost_end(folder.path)
    try:
        folder.manifest()
    except DamagedError:
        _rewrite_manifest(folder)
        done.append("The manifest was written anew from the log.")
    with Brain.open(path) as brain:
        ledger = _ledger_of(brain)
        broken = [name for name in ledger.files if not ledger.sound(name)]
        lost = [name for name in broken if not name.startswith("snapshot-")]
        if lost:
            raise DamagedError(f"{folder.path / lost[0]} is damaged, and nothing else tells what it held: restore it.")
        problems = ledger.log.verify()
        if problems:
            raise DamagedError(f"{folder.path / LOG} is damaged: restore the folder from a copy. ({problems[0]})")
        if broken or done:
            with brain._change():
                ledger = _ledger_of(brain)
                brain._knowledge = ledger.recover(brain.seq, snapshots=False)
                ledger.snapshot(brain._knowledge, brain.seq, alone=True)
            done.append("The snapshot was made anew from the log.")
    return done


def _accept_lost_end(path: Path) -> list[str]:
    mark = Mark(path)
    try:
        with EventLog.open(path / LOG, readonly=True):
            return []
    except DamagedError:
        committed = mark.read()
        mark.remove()
    with EventLog.open(path / LOG, readonly=True) as log:
        lost = committed - log.last
    return [f"The loss of the last {lost} event(s) was accepted: they were damaged."]


def _rewrite_manifest(folder: Folder) -> None:
    """The manifest that the log and the files in the folder give."""
    with EventLog.open(folder.path / LOG, readonly=True) as log:
        timeline = Timeline(log.read(kinds=(CREATED, ADOPTED)), log.last)
        bodies = {event.kind: event.body or {} for event in timeline.rare}
        referred = _referred(log)
    if CREATED not in bodies:
        raise DamagedError(f"{folder.path / LOG} does not begin with the event that creates a brain. A learner made"
                           f" durable "
                           "needs no repair: remove its manifest.json and open it.")
    fingerprint = bodies.get(ADOPTED, {}).get("fingerprint")
    files: dict[str, FileRecord] = {}
    if fingerprint is not None:
        files |= _bundle_files(folder.path, fingerprint)
    for name, entry in referred.items():
        folder.read(name, entry)
        files[name] = entry
    about = {"device": bodies[CREATED]["device"], "fingerprint": fingerprint, "snapshots": []}
    (folder.path / "manifest.json").unlink(missing_ok=True)
    Folder(folder.path).write(about, {}, files)


def _referred(log: EventLog) -> dict[str, FileRecord]:
    """The files of other devices' contributions that the log refers to."""
    entries = [entry for event in log.read(kinds=RARE) for entry in (event.body or {}).get("slots", ())]
    return {entry["file"]: {"sha256": entry["sha256"], "bytes": entry["bytes"]} for entry in entries if "file" in entry}


def _bundle_files(path: Path, fingerprint: str) -> dict[str, FileRecord]:
    folder = path / f"bundle-{fingerprint[:16]}"
    try:
        contents = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    except OSError as error:
        raise DamagedError(f"{folder} cannot be read: restore it from a copy. ({error})") from error
    if Bundle.from_files(contents).fingerprint != fingerprint:
        raise DamagedError(f"{folder} holds another backbone than the log names: restore it from a copy.")
    return {f"{folder.name}/{name}": entry_of(content) for name, content in contents.items()}


