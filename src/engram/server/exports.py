"""A brain to take away, sent while it is read: no named file holds a copy of it, and none outlasts its client.

An export ends before its end where something was forgotten or renamed meanwhile, where the client reads too slowly, and
where the brain was replaced; the client finds the connection cut, or bytes missing, and asks again.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from threading import Lock
from typing import IO

from engram.brain import Brain
from engram.learner import EngramError
from engram.server.parcels import FILE_NAME
from engram.server.problems import Refusal
from engram.server.scratch import Scratch
from engram.server.served_brain import ServedBrain
from engram.server.workers import Workers

PORTION = 2**18
"""Bytes that are read, and sent, at once."""

AT_ONCE = 4
"""Exports under way; more are told to come back."""

_SLOWEST = 50_000  # bytes a second that a client has to read, on the whole


class Exports:
    """The exports of one server.

    Args:
        workers: reads the brains.
        scratch: holds a brain's folder while it is packed.
        patience: seconds that a client may lose before it has to keep up.
    """

    def __init__(self, workers: Workers, scratch: Scratch, patience: float) -> None:
        self._workers, self._scratch, self._patience = workers, scratch, patience
        self._under_way = 0

    async def begin(self, served: ServedBrain, *, whole: bool) -> Export:
        """One export, read to where it can be sent.

        Args:
            whole: the brain's folder as a zip; else its events as JSON lines.

        Raises:
            Refusal: too many are under way, or the brain is not open.
            InputError, EngramError, OSError: it cannot be read.
        """
        if self._under_way >= AT_ONCE:
            raise Refusal("too-many-requests", f"{AT_ONCE} exports are running: try again later.",
                          headers={"Retry-After": "5"})
        self._under_way += 1
        try:
            return await self._workers.export(lambda: self._zipped(served) if whole else Export(served, self._patience))
        finally:
            self._under_way -= 1

    async def parts(self, export: Export) -> AsyncIterator[bytes]:
        """What is to be sent. Raises EngramError, OSError where it ends too soon."""
        self._under_way += 1
        try:
            while part := await self._workers.export(export.read):
                yield part
        finally:
            self._under_way -= 1
            self._workers.export_later(export.close)

    def _zipped(self, served: ServedBrain) -> Export:
        file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - without a name: it ends with whoever holds it
        try:
            with served.using() as brain, self._scratch.folder() as folder:
                export = Export(served, self._patience, file)
                brain.save(folder / "brain")
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                    for path in sorted((folder / "brain").rglob("*")):
                        name = path.relative_to(folder / "brain").as_posix()
                        if path.is_file() and FILE_NAME.fullmatch(name):
                            with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as target:
                                shutil.copyfileobj(source, target, PORTION)
            export.length = file.tell()
            file.seek(0)
            return export
        except BaseException:
            file.close()
            raise


class Export:
    """One export; safe for threads.

    Args:
        served: the brain.
        patience: as for `Exports`.
        file: what is sent; None for the brain's events.

    Attributes:
        length: bytes of all of it, where that is known.
    """

    def __init__(self, served: ServedBrain, patience: float, file: IO[bytes] | None = None) -> None:
        self._served, self._patience, self._file = served, patience, file
        self.length: int | None = None
        self._turn = Lock()
        self._began, self._sent = time.monotonic(), 0
        with served.using() as brain:
            self._brain, self._edicts = brain, brain.edicts
            self._lines: Iterator[str] = iter(()) if file is not None else iter(brain.export_lines())

    def read(self) -> bytes:
        """The next part; empty at the end.

        Raises:
            EngramError: it has to end here.
        """
        with self._turn, self._served.using() as brain:
            self._check(brain)
            part = self._file.read(PORTION) if self._file is not None else self._next_lines()
            self._sent += len(part)
            return part

    def close(self) -> None:
        """Let go of what it holds."""
        with self._turn, suppress(OSError):
            if self._file is not None:
                self._file.close()

    def _check(self, brain: Brain) -> None:
        if brain is not self._brain or brain.edicts != self._edicts:
            raise EngramError("Something was forgotten or renamed during the export: export again.")
        if time.monotonic() > self._began + self._patience + self._sent / _SLOWEST:
            raise EngramError("The client read the export too slowly.")

    def _next_lines(self) -> bytes:
        found, size = [], 0
        for line in self._lines:
            found.append(line.encode())
            size += len(found[-1])
            if size >= PORTION:
                break
        return b"".join(found)
