"""The brains of one server: opened beside it, watched, and closed when it stops.

Its shelf is a folder: the brains in it are served with those that were named, and new ones are made there. So whatever
was made over HTTP is there again when the server is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from engram.brain import Brain
from engram.brain.multimodal import MultimodalBrain
from engram.files import making_folder
from engram.learner import EngramError, InputError
from engram.server.multimodal import ServedThings, create_member, multimodal_in, with_members
from engram.server.problems import Refusal
from engram.server.request_log import RequestLog
from engram.server.served_brain import ServedBrain
from engram.server.wire import NAME_PATTERN

_FOLLOWED_EVERY = 0.1  # seconds
_LOOKED_AT_EVERY = 10  # times that
_NAME = NAME_PATTERN.strip("^$")


class Shelf:
    """Brains by name.

    Args:
        folders: name -> folder, of those that are served wherever they lie.
        home: the folder of the others, and of new ones.
        follower: read only.
        log: told what happens to the brains.
        commits_of: gives what is called with the seconds of every commit to a brain.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        home: Path,
        *,
        follower: bool,
        log: RequestLog,
        commits_of: Callable[[str], Callable[[float], None]] | None = None,
    ) -> None:
        self.home, self.follower = home, follower
        self._log = log
        self._commits_of = commits_of
        self._brains = {name: self._new(name, path) for name, path in with_shelf(folders, home).items()}
        self._things = {name: self._several(name, path) for name, path in multimodal_in(folders, home).items()}
        self._making = Lock()
        self._stopped = Event()
        self._watcher: Thread | None = None

    def __iter__(self) -> Iterator[ServedBrain]:
        return iter(list(self._brains.values()))

    def __getitem__(self, name: str) -> ServedBrain:
        """Raises Refusal where there is no such brain."""
        found = self._brains.get(name)
        if found is None:
            raise Refusal("not-found", f"There is no brain {name!r} here; GET /v1/brains lists them.")
        return found

    @property
    def multimodal(self) -> list[ServedThings]:
        """The brains of several modalities; their single brains are among the others."""
        return list(self._things.values())

    def things(self, name: str) -> ServedThings:
        """Raises Refusal where there is no such brain of several modalities."""
        found = self._things.get(name)
        if found is None:
            raise Refusal("not-found", f"There is no brain of several modalities {name!r} here; GET /v1/multimodal"
                                       " lists them.")
        return found

    @property
    def ready(self) -> bool:
        """Whether every brain is open."""
        return all(brain.ready for brain in self)

    def open(self) -> None:
        """Open all of them, in threads; returns at once."""
        opener = ThreadPoolExecutor(4, thread_name_prefix="engram-open")
        for brain in self:
            opener.submit(self._open, brain)
        opener.shutdown(wait=False)
        self._watcher = Thread(target=self._watch, name="engram-watch", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Close all of them; what cannot be closed is logged."""
        self._stopped.set()
        if self._watcher is not None:
            self._watcher.join()
        for brain in self:
            try:
                brain.close()
                self._log.write("closed", brain=brain.name)
            except (EngramError, OSError) as error:
                self._log.write("not closed", "error", brain=brain.name, message=str(error))

    def create(self, name: str, options: Mapping[str, Any]) -> ServedBrain:
        """Make a new brain.

        Raises:
            Refusal: the name is taken, or this server only follows.
            InputError, OSError: it cannot be made so, or there.
        """
        with self._making:
            path = self._free(name)
            with making_folder(path) as fresh:  # half a brain would hold its name, and never open
                Brain.create(fresh, **options).close()
            made = self._added(name, path)
        return made

    def create_things(self, name: str) -> ServedThings:
        """Make a brain of several modalities. Raises as `create`."""
        with self._making:
            path = self._free(name)
            with making_folder(path) as fresh:
                MultimodalBrain.create(fresh).close()
            made = self._things[name] = self._several(name, path)
        self._log.write("created", brain=name)
        return made

    def _free(self, name: str) -> Path:
        """Where a new brain of this name is made. Raises Refusal where none can be."""
        self._check_writes()
        path = self.home / name
        if name in self._brains or name in self._things or path.exists():
            raise Refusal("conflict", f"The name {name!r} is taken by a brain or another file.")
        return path

    def _check_writes(self) -> None:
        if self.follower:
            raise Refusal("read-only", "This server is read-only (--follow): create the brain in the process that"
                                       " it follows.")

    def _added(self, name: str, path: Path) -> ServedBrain:
        made = self._new(name, path)
        made.open()
        self._brains[name] = made
        self._log.write("created", brain=name)
        return made

    def _make_member(self, name: str, path: Path) -> None:
        """Make and serve the brain of one modality."""
        self._check_writes()
        with self._making:
            if name not in self._brains:
                create_member(path)
                self._added(name, path)

    def _several(self, name: str, path: Path) -> ServedThings:
        return ServedThings(name, path, lambda one: self._brains.get(one), self._make_member)

    def _new(self, name: str, path: Path) -> ServedBrain:
        on_sync = self._commits_of(name) if self._commits_of else None
        return ServedBrain(name, path, follower=self.follower, on_sync=on_sync)

    def _open(self, brain: ServedBrain) -> None:
        brain.open()
        if brain.ready:
            self._log.write("opened", brain=brain.name, seq=brain.seq, examples=brain.examples)
        else:
            self._log.write("not opened", "error", brain=brain.name, message=brain.problem)

    def _watch(self) -> None:
        turn = 0
        while not self._stopped.wait(_FOLLOWED_EVERY):
            turn += 1
            for brain in self:
                try:
                    if turn % _LOOKED_AT_EVERY == 0 and brain.replaced():
                        brain.swap()
                        self._log.write("swapped", brain=brain.name, seq=brain.seq)
                    elif brain.follower and brain.ready:
                        brain.follow()
                except (EngramError, OSError, Refusal) as error:
                    if turn % _LOOKED_AT_EVERY == 0:
                        self._log.write("not followed", "error", brain=brain.name, message=str(error))


def with_shelf(folders: Mapping[str, Path], shelf: Path) -> dict[str, Path]:
    """Those folders, and the brains on a shelf that have other names than they and lie elsewhere.

    A folder's name without an ending .brain is the brain's; one that cannot be part of a URL is passed over. In place
    of a brain of several modalities stand the brains of each.
    """
    known = {path.resolve() for path in folders.values()}
    found = {
        manifest.parent.name.removesuffix(".brain"): manifest.parent
        for manifest in sorted(shelf.glob("*/manifest.json")) if manifest.parent.resolve() not in known
    }
    whole = {name: path for name, path in found.items() if re.fullmatch(_NAME, name)} | dict(folders)
    return with_members(whole | multimodal_in(folders, shelf))


def named(folders: Iterable[str]) -> dict[str, Path]:
    """Names for brains given as folders (an ending .brain is left out), or as NAME=FOLDER.

    Raises:
        InputError: a name that cannot be part of a URL, or is given twice.

    >>> named(["brains/flowers.brain", "test=/srv/two"])
    {'flowers': PosixPath('brains/flowers.brain'), 'test': PosixPath('/srv/two')}
    """
    found: dict[str, Path] = {}
    for given in folders:
        before, equals, after = given.partition("=")
        path = Path(after if equals else before)
        name = before if equals else path.resolve().name.removesuffix(".brain")
        if not re.fullmatch(_NAME, name):
            raise InputError(
                f"{name!r} cannot be a brain's name in a URL (letters, digits, - and _): serve it as NAME={path}."
            )
        if name in found:
            raise InputError(f"Two brains are called {name!r}: serve one as NAME=FOLDER.")
        found[name] = path
    return found
