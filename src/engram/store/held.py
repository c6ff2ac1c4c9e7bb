"""Which files a log holds open, so that another file under the same name is noticed.

SQLite opens its files by their paths and then holds them. Where the folder is moved, removed or exchanged, or another
SQLite library in this process unlinks the write-ahead log, it goes on writing into files that have no name, and says
nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

Identity = tuple[int, int]
"""Device and inode of a file."""


def identity(path: Path) -> Identity | None:
    """Of the file under this name; None where there is none. Raises OSError where that cannot be told."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (found.st_dev, found.st_ino)


class Held:
    """The files of a log, as they were when it was opened.

    Only their names are looked at: opening and closing one of them here would let go of SQLite's locks on it.

    Args:
        path: of the database, which is open already.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = identity(path)
        self._beside = {
            file: found
            for ending in ("-wal", "-shm")
            if (found := identity(file := path.with_name(path.name + ending))) is not None
        }

    @property
    def moved(self) -> bool:
        """Whether the database is not under its name any more: moved, removed, or another one."""
        return identity(self.path) != self._database

    @property
    def cut_off(self) -> bool:
        """Whether the database is there, but not the write-ahead log that belongs to it."""
        return any(identity(file) != found for file, found in self._beside.items()) and not self.moved

    def whole(self, later: Held) -> bool:
        """Whether what was there when this was made is there in `later` too."""
        return self._beside.keys() <= later._beside.keys()
