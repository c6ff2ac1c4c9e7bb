"""A brain's folder as one zip file: taken away, or taken in to be melded.

What goes out is sent while it is read: no named file holds a copy of it, and none outlasts its client. An export ends
before its end where something was forgotten or renamed meanwhile, where the client reads too slowly, and where the
brain was replaced; the client finds the connection cut, or bytes missing, and asks again.

What comes in is unpacked with nothing believed: only names that a brain's files can have, no links, and no more bytes
than were allowed, whatever the zip says of itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import stat
import tempfile
import time
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import IO, Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from engram.brain import Brain
from engram.learner import EngramError, InputError, MeldError
from engram.server.bodies import media_type
from engram.server.forms import read_form
from engram.server.problems import Refusal
from engram.server.scratch import Scratch
from engram.server.served_brain import ServedBrain
from engram.server.workers import Workers

PORTION = 2**18
"""Bytes that are read, and sent, at once."""

AT_ONCE = 4
"""Exports under way; more are told to come back."""

_SLOWEST = 50_000  # bytes a second that a client has to read, on the whole
FILE_NAME = re.compile(
    r"manifest\.json|log\.sqlite(-wal)?|((snapshot|slot)-|bundle-[0-9a-f]{16}/)[A-Za-z0-9._-]{1,120}"
)
"""What the files of a brain are called that make it up."""

_IDLE = re.compile(r"\.lock|writer\.lock|log\.mark|log\.sqlite-shm")  # lie in a folder, and say nothing of the brain
_FILES = 10_000
_SWELLING, _SMALL = 50, 2**26  # times its own size a zip may unpack to; and bytes that any may
_MANIFEST = 2**24  # bytes
_SPOOLED = 2**20  # bytes kept in memory; more lie on disk
_PORTION = 2**20


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


async def received(request: Request, limit: int) -> tuple[IO[bytes], Mapping[str, Any]]:
    """A zip that was sent, as a file that vanishes when it is closed; and the other fields.

    Raises:
        Refusal: there is none, or it is too large.
    """
    file: IO[bytes] = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115 - whoever takes it closes it
    try:
        if media_type(request) == "application/zip":
            async for part in request.stream():
                file.write(part)
            return file, dict(request.query_params)
        form = await read_form(request, max_files=1, max_fields=8, max_part_size=4096)
        sent = form.get("brain")
        if not isinstance(sent, UploadFile):
            raise Refusal("invalid", "Send the zip as the file 'brain'.", faults=[("brain", "missing")])
        await asyncio.to_thread(shutil.copyfileobj, sent.file, file, _PORTION)
        await form.close()
        return file, {name: value for name, value in form.multi_items() if isinstance(value, str)}
    except BaseException:
        file.close()
        raise


@contextmanager
def unpacked(file: IO[bytes], scratch: Scratch, limit: int, fingerprint: str | None = None) -> Iterator[Path]:
    """The folder in a zip, while it is used.

    Args:
        scratch: where to unpack.
        limit: bytes that all files may have together.
        fingerprint: of the backbone it has to stand on, looked at before anything of the backbone is loaded.

    Raises:
        InputError: not a zip, or not one of a brain's folder.
        MeldError: it stands on another backbone.
    """
    with scratch.folder() as made:
        folder = made / "brain"
        folder.mkdir()
        limit = min(limit, _SMALL + _SWELLING * file.seek(0, os.SEEK_END))
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                _unpack(archive, folder, limit)
            if (folder / "manifest.json").stat().st_size > _MANIFEST:
                raise InputError("This is not the zip of a brain: its manifest is too large.")
            manifest = json.loads((folder / "manifest.json").read_bytes())
            stands_on = manifest.get("fingerprint")
        except InputError:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
                AttributeError) as error:
            raise InputError(f"This is not the zip of a brain: {type(error).__name__}.") from error
        if fingerprint is not None and stands_on not in (None, fingerprint):
            raise MeldError("That brain uses another backbone: the features of the two cannot be compared.")
        yield folder


def _unpack(archive: zipfile.ZipFile, folder: Path, limit: int) -> None:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    tops = {entry.filename.partition("/")[0] for entry in entries}
    inside = len(tops) == 1 and "manifest.json" not in tops  # the folder itself was zipped, not what is in it
    if len(entries) > _FILES:
        raise InputError(f"This is not the zip of a brain: it has {len(entries)} files.")
    for entry in entries:
        name = entry.filename.partition("/")[2] if inside else entry.filename
        if _IDLE.fullmatch(name):
            continue
        plain = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)
        if not FILE_NAME.fullmatch(name) or ".." in name or not plain:
            raise InputError(f"{entry.filename[:80]!r} is not a file of a brain: nothing was unpacked.")
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        limit -= _copy(archive, entry, target, limit)


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, limit: int) -> int:
    """The number of bytes in the file."""
    written = 0
    with archive.open(entry) as source, target.open("xb") as out:
        while part := source.read(_PORTION):
            written += len(part)
            if written > limit:
                raise InputError("This zip is too large after decompression.")
            out.write(part)
    return written
