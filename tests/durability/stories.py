"""The lives that are cut short and broken into: what is taught step by step, and what must be known after each.

A story is made of steps. Each is acknowledged when it returns. The digest of what is known after any choice of steps
is that of a twin in memory which lived through exactly those.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engram.heads.fast import FastHead
from engram.learner import EngramError
from engram.store import database
from engram.store.durable import Durable
from engram.store.event import TAUGHT, Draft, Transaction
from engram.store.event_log import EventLog
from engram.store.folder import Folder, short_hash

WIDTH = 8
Step = Callable[[Any], None]


class Story(Protocol):
    """A story that can be lived on any disk.

    Attributes:
        steps: what is done, one after another, to what `create` made.
        made_by_first_step: whether there is nothing to open before that.
    """

    steps: Sequence[Step]
    made_by_first_step: bool

    def create(self, folder: Path) -> Any: ...
    def open(self, folder: Path) -> Any: ...
    def digest(self, living: Any) -> str: ...
    def live_digest(self, living: Any) -> str | None: ...
    def everything(self, living: Any) -> str: ...
    def twin(self, done: tuple[int, ...]) -> str: ...
    def go_on(self, living: Any) -> str: ...
    def forgotten(self, done: tuple[int, ...]) -> list[bytes]: ...


def features(seed: int, count: int) -> Any:
    return np.random.default_rng(seed).uniform(-1, 1, (count, WIDTH))


class _Whole:
    """What all can be asked of it is in its digest."""

    def digest(self, living: Any) -> str:
        raise NotImplementedError

    def everything(self, living: Any) -> str:
        return self.digest(living)

    def forgotten(self, done: tuple[int, ...]) -> list[bytes]:
        return []


class DurableStory(_Whole):
    """A durable fast head, with a snapshot now and then."""

    made_by_first_step = False

    def __init__(self, length: int = 60, snapshot_every: int = 7) -> None:
        self._every = snapshot_every
        self.steps = [self._step(i) for i in range(length)]

    def _step(self, i: int) -> Step:
        if i % 9 == 4:
            return lambda learner: learner.forget(features(i - 1, 2), [f"c{(i - 1) % 3}"] * 2)
        if i % 9 == 7:
            return lambda learner: learner.consolidate()
        if i % 9 == 8:
            def meld(learner: Any) -> None:
                other = FastHead()
                other.learn(features(i, 3), ["other"] * 3)
                learner.meld(other)
            return meld
        return lambda learner: learner.learn(features(i, 2), [f"c{i % 3}"] * 2)

    def create(self, folder: Path) -> Durable:
        return Durable.create(folder, FastHead(), snapshot_every=self._every)

    def open(self, folder: Path) -> Durable:
        return Durable.open(folder, FastHead, snapshot_every=self._every)

    def digest(self, living: Durable) -> str:
        events = list(living.log.read())  # all of it is whole, not only what follows the snapshot
        assert len(events) == living.log.last
        return self.live_digest(living)

    def live_digest(self, living: Durable) -> str:
        return str(living.learner.digest())

    def twin(self, done: tuple[int, ...]) -> str:
        head = FastHead()
        for i in done:
            self.steps[i](head)
        return head.digest()

    def go_on(self, living: Durable) -> str:
        before = living.learner.digest()
        living.learn(features(999, 1), ["more"])
        living.forget(features(999, 1), ["more"])
        return "" if living.learner.digest() == before else "going on leads elsewhere"


class LogStory(_Whole):
    """The bare log, with erasing: what was erased must be gone, and all else be there."""

    made_by_first_step = False

    def __init__(self, length: int = 40) -> None:
        self.steps = [self._step(i) for i in range(length)]

    def _step(self, i: int) -> Step:
        if i % 8 == 6:
            return self._erase
        contents = [hashlib.sha256(b"%d %d" % (i, j)).digest() * (41 if i % 5 == 1 else 1) for j in range(1 + i % 3)]
        drafts = [Draft(kind=TAUGHT, label="x", content=c, body={"step": i}, thumbnail=b"picture") for c in contents]
        return lambda log: log.commit([Transaction(drafts)])

    @staticmethod
    def _erase(log: EventLog) -> None:
        present = [event.seq for event in log.read() if not event.gone]
        if present:
            log.commit([Transaction(erase=present[:1])])
            with suppress(OSError):  # what is erased is so from the commit on; the rest is done again when opened
                log.finish_erasing()

    def create(self, folder: Path) -> EventLog:
        return EventLog.create(folder / database.NAME)

    def open(self, folder: Path) -> EventLog:
        return EventLog.open(folder / database.NAME)

    def digest(self, living: EventLog) -> str:
        return _digest([(event.content, event.gone) for event in living.read()])

    def live_digest(self, living: EventLog) -> str:
        return self.digest(living)

    def twin(self, done: tuple[int, ...]) -> str:
        held = _Held()
        for i in done:
            self.steps[i](held)
        return _digest([(draft.content, False) if draft else (None, True) for draft in held.drafts])

    def forgotten(self, done: tuple[int, ...]) -> list[bytes]:
        held = _Held()
        for i in done:
            self.steps[i](held)
        return [content[:32] for content in held.erased]

    def go_on(self, living: EventLog) -> str:
        before, last = self.digest(living), living.last
        living.commit([Transaction([Draft(kind=TAUGHT, content=b"more")])])
        problems = living.verify()
        same = _digest([(e.content, e.gone) for e in living.read(0, last)]) == before
        return "" if not problems and same and not living.erasing else f"going on leads elsewhere: {problems}"


class _Held:
    """The twin of a log."""

    def __init__(self) -> None:
        self.drafts: list[Draft | None] = []
        self.erased: list[bytes] = []

    def read(self) -> list[Any]:
        class Seen:
            def __init__(self, seq: int, gone: bool) -> None:
                self.seq, self.gone = seq, gone

        return [Seen(i, draft is None) for i, draft in enumerate(self.drafts, 1)]

    def commit(self, changes: list[Transaction]) -> None:
        for change in changes:
            self.drafts.extend(change.events)
            for seq in change.erase:
                draft, self.drafts[seq - 1] = self.drafts[seq - 1], None
                if draft is not None and draft.content is not None:
                    self.erased.append(draft.content)

    def finish_erasing(self) -> None: ...


def _digest(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()


class FolderStory(_Whole):
    """A folder of files with no log to fall back on: each step saves another content."""

    made_by_first_step = True

    def __init__(self, length: int = 8) -> None:
        self.steps = [self._step(i) for i in range(length)]

    def _step(self, i: int) -> Step:
        content = hashlib.sha256(b"%d" % i).digest() * 60

        def save(folder: Any) -> None:
            name = f"snapshot-{short_hash(content)}.safetensors"
            network = hashlib.sha256(b"network %d" % (i // 3)).digest() * 40
            inner = f"bundle-{hashlib.sha256(network).hexdigest()[:16]}/network.bin"
            folder.write({"step": i}, {name: content, inner: network}, {})

        return save

    def create(self, folder: Path) -> Folder:
        return Folder(folder)

    def open(self, folder: Path) -> Folder:
        opened = Folder(folder)
        opened.manifest()
        return opened

    def digest(self, living: Folder) -> str:
        if not living.path.exists() or not (living.path / "manifest.json").exists():
            return "nothing"
        manifest = living.manifest()
        return _digest([(name, living.read(name, entry)) for name, entry in sorted(manifest["files"].items())])

    def live_digest(self, living: Folder) -> None:
        """It is the disk itself: what was refused after the last rename is in doubt there."""

    def twin(self, done: tuple[int, ...]) -> str:
        held: dict[str, bytes] = {}

        class Kept:
            def write(self, about: Any, files: dict[str, bytes], kept: Any) -> None:
                held.clear()
                held.update(files)

        for i in done:
            self.steps[i](Kept())
        return _digest(sorted(held.items())) if held else "nothing"

    def go_on(self, living: Folder) -> str:
        self.steps[0](living)
        return "" if self.digest(living) == self.twin((0,)) else "going on leads elsewhere"


@contextmanager
def small_log_files() -> Any:
    """A write-ahead log that is moved into the database every few commits, so that a short story has it all."""
    usual = database.CHECKPOINT_PAGES
    database.CHECKPOINT_PAGES = 6
    try:
        yield
    finally:
        database.CHECKPOINT_PAGES = usual


class Expected:
    """The digests that a story's twin has, each worked out once."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self.after = lru_cache(maxsize=None)(story.twin)
        self.forgotten = lru_cache(maxsize=None)(story.forgotten)


def live(story: Story, folder: Path, acknowledged: Callable[[int], None]) -> None:
    """The whole story, each step acknowledged; step 0 is that there is something at all."""
    living = story.create(folder)
    acknowledged(0)
    for i, step in enumerate(story.steps, 1):
        step(living)
        acknowledged(i)
    close(living)


def close(living: Any) -> None:
    if hasattr(living, "close"):
        living.close()


def judge(story: Story, expected: Expected, folder: Path, acknowledged: int | None, go_on: bool) -> str:
    """What is wrong with what is found in a folder after a power cut; nothing where all acknowledged steps are there,
    and of the one under way everything or nothing.

    Args:
        acknowledged: the last step that was, 0 for the making of it; None where even that was not.
        go_on: teach what is found something more, too.
    """
    done = acknowledged or 0
    for file in (path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        if any(trace in content for trace in expected.forgotten(tuple(range(done)))):
            return f"kept: what was forgotten is still in {file.name}"
    allowed = {expected.after(tuple(range(n))) for n in {done, min(done + 1, len(story.steps))}}
    try:
        living = story.open(folder)
    except (EngramError, OSError) as error:
        return "" if acknowledged is None or (done == 0 and story.made_by_first_step) else f"corrupt: {error}"
    try:
        try:
            if story.digest(living) not in allowed:
                return "lost: what was found is not what was acknowledged"
            return story.go_on(living) if go_on else ""
        finally:
            close(living)
    except (EngramError, OSError) as error:
        return f"corrupt: {error}"


def fresh(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
