"""Temporary folders, which end with the server: also with one that was killed, since the next one sweeps.

What lies in them may be forgotten meanwhile, so nothing lies there longer than it is used.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

_PREFIX = "engram-scratch-"
_LOCK = "lock"


class Scratch:
    """One server's temporary folders, in one that only its owner may read.

    Args:
        place: where to make it; None for the system's temporary folder.
    """

    def __init__(self, place: Path | None = None) -> None:
        self._place = place or Path(tempfile.gettempdir())
        self._made: Path | None = None
        self._held = -1
        self._making = Lock()

    def sweep(self) -> None:
        """Remove what servers left that run no more."""
        for left in self._place.glob(f"{_PREFIX}*"):
            with suppress(OSError):
                handle = _locked(left)
                if handle >= 0:
                    shutil.rmtree(left, ignore_errors=True)
                    os.close(handle)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new folder while it is used."""
        made = Path(tempfile.mkdtemp(dir=self._whole()))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def close(self) -> None:
        """Remove all of them."""
        with self._making:
            if self._made is not None:
                shutil.rmtree(self._made, ignore_errors=True)
                os.close(self._held)
                self._made = None

    def _whole(self) -> Path:
        with self._making:
            if self._made is None or not self._made.is_dir():
                self._made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._place))
                (self._made / _LOCK).touch(0o600)
                self._held = _locked(self._made)
            return self._made


def _locked(folder: Path) -> int:
    """A file descriptor that holds the folder as long as this process runs; -1 where another one holds it."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system: what another server left cannot be told from what it uses
        return -1
    if folder.stat().st_uid != os.getuid():
        return -1
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return -1
    return handle
