"""One writer at a time: a lock on a file that the system lets go when the program ends, however it ends."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from engram.learner import EngramError

NAME = "writer.lock"


class WriterLock:
    """The right to write to a brain's folder, held by one program on this machine.

    Where the system has no advisory locks (`fcntl`), holding it is always granted, and SQLite's own locks and the
    check of the last event's number keep two writers apart.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        return self._handle is not None

    def acquire(self) -> None:
        """Take the lock; taken already, nothing happens.

        Raises:
            EngramError: another program holds it.
            OSError: the file cannot be made.
        """
        if self._handle is not None:
            return
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(handle)
        except BlockingIOError:
            owner = os.read(handle, 20).decode("ascii", "replace").strip()
            os.close(handle)
            raise EngramError(
                f"{self.path.parent} is being written to by process {owner or '(unknown)'}: close that one, teach "
                "through its server, or open the brain for reading only: Brain.open(FOLDER, readonly=True)."
            ) from None
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        with suppress(OSError):  # who holds it is good to know, and no more than that
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _lock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
