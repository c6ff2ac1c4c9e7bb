"""The files of a log, and how it shows that they are not those that were written: replaced, cut off, or shortened.

SQLite opens its files by their paths and then holds them. Where the folder is moved, removed or exchanged, or another
SQLite library in this process unlinks the write-ahead log, it goes on writing into files that have no name, and says
nothing: `Held` remembers which files are open.

It also takes a damaged frame of the write-ahead log for the end of it, and drops what follows without a word: log.mark,
beside the log, says how far that has come. The mark is written after each commit and not synced: it lasts through the
death of the program, and after a power cut it may be old, never new. An unreadable mark says nothing and is written
anew.
"""

from __future__ import annotations

import hashlib
import os
import struct
from contextlib import suppress
from pathlib import Path

from engram.files import overwrite, remove

NAME = "log.mark"
_BYTES = 24

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


class Mark:
    """The mark in a brain's folder.

    >>> import tempfile
    >>> mark = Mark(Path(tempfile.mkdtemp()))
    >>> mark.read()
    0
    >>> mark.write(12)
    >>> mark.read()
    12
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file: Identity | None = None  # the one that belongs to the log; unknown before `renew`

    def read(self) -> int:
        """The number of the last event that was committed, as far as the mark says; 0 where it says nothing."""
        try:
            packed = self.path.read_bytes() if self.path.is_file() and self.path.stat().st_size == _BYTES else b""
        except OSError:
            return 0
        if len(packed) != _BYTES or _with_checksum(packed[:8]) != packed:
            return 0
        return int(struct.unpack("<q", packed[:8])[0])

    def write(self, seq: int) -> None:
        """A mark that cannot be written does no harm: the old one says less, but nothing wrong. Another folder's mark,
        where one was put in the place of this folder, is left alone.
        """
        with suppress(OSError):
            overwrite(self.path, _with_checksum(struct.pack("<q", seq)), only=self._file)

    def renew(self, seq: int) -> None:
        """As `write`, where what is there may be anything."""
        with suppress(OSError):
            if self.read() != seq and self.path.is_file():
                remove(self.path)
        self._file = None
        self.write(seq)
        with suppress(OSError):
            self._file = identity(self.path)

    def remove(self) -> None:
        """Accept the log as it is, after its end was lost."""
        remove(self.path)


def _with_checksum(number: bytes) -> bytes:
    return number + hashlib.blake2b(number, digest_size=_BYTES - 8).digest()
