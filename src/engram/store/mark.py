"""log.mark: how far the log has come, beside the log, so that a log that lost its end is noticed.

SQLite takes a damaged frame of the write-ahead log for the end of it, and drops what follows without a word. The
mark is written after each commit and not synced: it lasts through the death of the program, and after a power cut it
may be old, never new. An unreadable mark says nothing and is written anew.
"""

from __future__ import annotations

import hashlib
import struct
from contextlib import suppress
from pathlib import Path

from engram.files import overwrite, remove
from engram.store.held import Identity, identity

NAME = "log.mark"
_BYTES = 24


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
