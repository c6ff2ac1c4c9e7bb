"""A brain's folder as one zip file, taken in to be melded.

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
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from engram.learner import InputError, MeldError
from engram.server.bodies import media_type
from engram.server.forms import read_form
from engram.server.problems import Refusal
from engram.server.scratch import Scratch

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
