"""Durable: any learner that can save, made to survive anything, by one log and now and then a snapshot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from engram.inputs.vectors import as_array
from engram.learner import (
    Consolidation,
    DamagedError,
    Digests,
    EngramError,
    InputError,
    Label,
    LabelError,
    Learner,
    MeldError,
    Predictions,
    Saves,
)
from engram.packing import pack
from engram.store import database
from engram.store.event import Draft, Event, Transaction
from engram.store.event_log import EventLog
from engram.store.folder import Folder, short_hash
from engram.store.group_commit import GroupCommit

Apply = Callable[[Any], Any]
"""What a call does to the learner; returns what the call returns."""

Rebuild = Callable[[dict[str, npt.NDArray[Any]]], Any]
"""Makes a learner out of its saved state, where its class's `from_state` needs more than that."""


class Durable:
    """A learner whose every change is on the disk when the call returns; made by `create` and `open`.

    It speaks whatever protocols its learner speaks, but `Saves`: it is saved at all times. Many threads may teach it;
    they share the disk's syncs. Where the disk fails, the learner is again what it was before the call.
    """

    exact: bool
    boundaries: bool

    def __init__(
        self, kind: type[Any], folder: Folder, log: EventLog, snapshot_every: int, rebuild: Rebuild | None = None
    ) -> None:
        self._kind = kind
        self._made: Rebuild = rebuild or kind.from_state
        self._folder = folder
        self._log = log
        self._every = snapshot_every
        self._lock = RLock()
        self._group: GroupCommit[tuple[Apply, Draft], Any] = GroupCommit(self._together)
        self._failed: Exception | None = None
        self._learner: Any = None
        self._seq = self._saved = 0
        self._snapshots: list[dict[str, Any]] = []
        self._rebuild()

    @staticmethod
    def create(
        path: str | os.PathLike[str], learner: Any, *, snapshot_every: int = 10_000, vfs: str | None = None,
        rebuild: Rebuild | None = None,
    ) -> Durable:
        """Make a learner durable, with all it knows already, in a new folder.

        Args:
            learner: speaks `Learner` and `Saves`.
            snapshot_every: events after which a snapshot is written.
            vfs: as in `EventLog.open`.
            rebuild: as in `open`.

        Raises:
            InputError: it cannot be saved, or there is a log in the folder already.
            OSError: the disk refused.
        """
        if not isinstance(learner, Learner) or not isinstance(learner, Saves):
            raise InputError(f"{type(learner).__name__} cannot be made durable: it has no state() and from_state().")
        folder, state = Folder(Path(path).absolute()), learner.state()
        try:
            (rebuild or type(learner).from_state)(state)
        except InputError as error:
            raise InputError(f"{type(learner).__name__} could not be opened again: {error} With Durable, pass rebuild="
                             "..., a function that makes the learner out of its saved state.") from error
        with EventLog.create(folder.path / database.NAME, vfs=vfs) as log:
            log.commit([Transaction([Draft(kind="adopted", content=pack(state))])])
        made = Durable.open(path, type(learner), snapshot_every=snapshot_every, vfs=vfs, rebuild=rebuild)
        with suppress(OSError):  # the log holds it all
            made.snapshot()
        return made

    @staticmethod
    def open(
        path: str | os.PathLike[str], kind: type[Any], *, snapshot_every: int = 10_000, vfs: str | None = None,
        rebuild: Rebuild | None = None,
    ) -> Durable:
        """Open what `create` made: the newest sound snapshot, and what came after it.

        Args:
            kind: the learner's class.
            rebuild: makes the learner out of its saved state, where `kind.from_state` needs more than that: for a
                strategy on a network of your own, `lambda state: Naive.from_state(state, network=MyNetwork())`.

        Raises:
            InputError: there is nothing.
            DamagedError: the log is damaged where it is needed, or another learner's.
        """
        folder = Folder(Path(path).absolute())
        log = EventLog.open(folder.path / database.NAME, vfs=vfs)
        try:
            speaking: type[Durable] = _speaking(kind)
            return speaking(kind, folder, log, snapshot_every, rebuild)
        except BaseException:
            log.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write a snapshot where there is anything new, and let go of the files."""
        with self._lock:
            try:
                if self._seq > self._saved and self._failed is None and not self._log.moved:
                    with suppress(OSError):  # the log holds it all
                        self.snapshot()
            finally:
                self._log.close()

    @property
    def learner(self) -> Any:
        """The learner inside, to be read only: a change made to it directly is not durable."""
        return self._learner

    @property
    def log(self) -> EventLog:
        """The log of every change."""
        return self._log

    # The three verbs

    def learn(self, inputs: Any, targets: Any) -> None:
        """As the learner's; durable when it returns."""
        rows, labels, draft = _draft("learned", inputs, targets)
        self._change(lambda learner: learner.learn(rows, labels), draft)

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """As the learner's; never waits for the disk."""
        answers: Predictions = self._learner.predict(inputs, among)
        return answers

    def consolidate(self) -> Consolidation:
        """As the learner's; durable when it returns."""
        done: Consolidation = self._change(lambda learner: learner.consolidate(), Draft(kind="consolidated"))
        return done

    def snapshot(self) -> None:
        """Save time at the next opening; the two newest snapshots are kept.

        Raises:
            OSError: the disk refused; nothing is lost.
        """
        with self._lock:
            self._log.check_place()
            packed = pack(self._learner.state())
            name = f"snapshot-{self._seq:08d}-{short_hash(packed)}.safetensors"
            older = [entry for entry in self._snapshots if entry["file"] != name][:1]
            kept = {entry["file"]: entry["entry"] for entry in older}
            snapshots = [{"file": name, "seq": self._seq}, *({k: e[k] for k in ("file", "seq")} for e in older)]
            self._folder.seen = None
            self._folder.write({"learner": self._kind.__name__, "snapshots": snapshots}, {name: packed}, kept)
            self._snapshots, self._saved = _listed(self._folder), self._seq

    def verify(self, progress: Callable[[int, int], None] | None = None) -> list[str]:
        """Read the whole log and learn it all anew; what is wrong, in words."""
        with self._lock:
            problems = self._log.verify(progress)
            if not problems and isinstance(self._learner, Digests):
                anew, _ = self._replayed(None, 0)
                if anew.digest() != self._learner.digest():
                    problems.append("What the log says and what the learner knows differ.")
            return problems

    # How a change becomes durable

    def _change(self, apply: Apply, draft: Draft) -> Any:
        with self._group.announced():
            return self._group.commit((apply, draft))

    def _together(self, items: Sequence[tuple[Apply, Draft]]) -> list[Any]:
        """Each call in turn, then one commit for all that succeeded; if that fails, back to what is on the disk."""
        with self._lock:
            self._log.acquire()
            if self._failed is not None:  # the disk may be well again
                self._rebuild()
                self._failed = None
            results: list[Any] = []
            drafts = []
            for apply, draft in items:
                try:
                    results.append(apply(self._learner))
                    drafts.append(draft)
                except Exception as error:
                    results.append(error)
            try:
                self._log.commit([Transaction(drafts)] if drafts else [], after=self._seq)
            except Exception:
                self._recover()
                raise
            self._seq += len(drafts)
            if self._seq - self._saved >= self._every:
                with suppress(OSError):  # tried again after the next change
                    self.snapshot()
            return results

    def _recover(self) -> None:
        try:
            self._rebuild()
        except (EngramError, OSError) as error:
            self._failed = error  # memory is not what the log says: nothing more is learned until it is read anew

    def _rebuild(self) -> None:
        """From the newest sound snapshot and the log after it; without any, from the log alone."""
        self._log.check_place()
        listed = _listed(self._folder)
        for place, entry in enumerate(listed):
            try:
                learner = self._made(load(self._folder.read(entry["file"], entry["entry"])))
            except (DamagedError, SafetensorError):
                continue
            if entry["seq"] > self._log.last:
                raise DamagedError(f"{self._log.path} ends before its snapshot: restore the folder from a copy.")
            self._snapshots, self._saved = listed[place:], entry["seq"]
            break
        else:
            learner, self._snapshots, self._saved = None, [], 0
        self._learner, self._seq = self._replayed(learner, self._saved)
        self.exact, self.boundaries = self._learner.exact, self._learner.boundaries

    def _replayed(self, learner: Any, after: int) -> tuple[Any, int]:
        last = after
        for event in self._log.read(after):
            try:
                learner = _repeat(self._made, learner, event)
            except (KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
                raise DamagedError(f"Event {event.seq} of the log cannot be repeated: {error}") from error
            last = event.seq
        if learner is None:
            raise DamagedError(f"{self._log.path} holds no learner.")
        return learner, last


class _Forgetting(Durable):
    def forget(self, inputs: Any, targets: Any) -> None:
        """As the learner's; durable when it returns. The log still holds what was taught, and that it was forgotten."""
        rows, labels, draft = _draft("forgot", inputs, targets)
        self._change(lambda learner: learner.forget(rows, labels), draft)


class _Melding(Durable):
    def meld(self, other: Any) -> None:
        """As the learner's; durable when it returns."""
        melded = other.learner if isinstance(other, Durable) else other
        if not isinstance(melded, self._kind):
            raise MeldError(f"{self._kind.__name__} cannot meld with {type(melded).__name__}.")
        state = melded.state()
        self._change(lambda learner: learner.meld(melded), Draft(kind="melded", content=pack(state)))


class _Digesting(Durable):
    def digest(self) -> str:
        """As the learner's."""
        digest: str = self._learner.digest()
        return digest


class _Bounding(Durable):
    @property
    def memory_bytes(self) -> int:
        """As the learner's; the log on the disk is not counted."""
        held: int = self._learner.memory_bytes
        return held

    @property
    def memory_limit(self) -> int | None:
        limit: int | None = getattr(self._learner, "memory_limit", None)
        return limit


class _Rebuilding(Durable):
    def rebuild(self) -> None:
        """As the learner's: what is derived from its memory, which stays as it is."""
        self._learner.rebuild()


def _speaking(kind: type[Any]) -> type[Durable]:
    """Durable, with the protocols that a learner of this class speaks."""
    spoken = {"forget": _Forgetting, "meld": _Melding, "digest": _Digesting, "memory_bytes": _Bounding,
              "rebuild": _Rebuilding}
    bases = tuple(part for name, part in spoken.items() if hasattr(kind, name))
    return type(f"Durable{kind.__name__}", bases or (Durable,), {})


def _draft(kind: str, inputs: Any, targets: Any) -> tuple[npt.NDArray[Any], Any, Draft]:
    """What is given, in the form in which the log keeps it and repeats it; and that as an event.

    Raises:
        InputError: inputs that are no array of numbers.
        LabelError: labels that are no JSON.
    """
    try:
        rows = np.array(as_array(inputs), order="C")
        content = pack({"inputs": rows})
    except (ValueError, TypeError, KeyError, SafetensorError) as error:
        raise InputError(f"Inputs are arrays of numbers, one row for each example. ({error})") from error
    labels = targets.tolist() if isinstance(targets, np.ndarray | np.generic) else targets
    if isinstance(labels, Iterable) and not isinstance(labels, str):
        labels = [label.item() if isinstance(label, np.generic) else label for label in labels]
    try:
        json.dumps(labels)
    except (TypeError, ValueError, RecursionError) as error:
        raise LabelError(f"A label is a text or a whole number. ({error})") from error
    return rows, labels, Draft(kind=kind, content=content, body={"targets": labels})


def _repeat(made: Rebuild, learner: Any, event: Event) -> Any:
    arrays = load(event.content) if event.content is not None else {}
    if event.kind == "adopted":
        return made(arrays)
    if event.kind == "consolidated":
        learner.consolidate()
    elif event.kind == "melded":
        learner.meld(made(arrays))
    elif event.kind in ("learned", "forgot"):
        body: Mapping[str, Any] = event.body or {}
        (learner.learn if event.kind == "learned" else learner.forget)(arrays["inputs"], body["targets"])
    else:
        raise ValueError(f"a learner does not {event.kind!r}")
    return learner


def _listed(folder: Folder) -> list[dict[str, Any]]:
    """The snapshots that the manifest names, newest first; none where it is missing or damaged: there is the log."""
    try:
        manifest = folder.manifest()
        return [{**entry, "entry": manifest["files"][entry["file"]]} for entry in manifest["snapshots"]]
    except (EngramError, KeyError, TypeError):
        return []


