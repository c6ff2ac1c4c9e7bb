"""A brain's folder: written so that a crash at any moment leaves the old brain or the new one, and read with care.

Every file but the manifest gets a name of its own, with its SHA-256 in it, and is never written to again. The manifest
names the files that make up the brain; putting it in place, by one atomic rename, is the moment of saving. Files that
no manifest names any longer are swept away afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engram.files import make_folder, remove, sync_folder, write_atomically
from engram.learner import DamagedError, EngramError, InputError

FORMAT = "engram-brain"
VERSION = 2
MANIFEST = "manifest.json"
MANIFEST_LIMIT = 2**28

_NAME = re.compile(r"(snapshot|slot|unknowns|bundle-[0-9a-f]{16}/)[A-Za-z0-9._-]*")
_OURS = re.compile(r"(snapshot|slot|unknowns)-.*\.safetensors|bundle-[0-9a-f]{16}|.*\.engram-tmp")


FileRecord = Mapping[str, Any]
"""What the manifest says of a file: its SHA-256 and its length."""


class Folder:
    """A brain's folder on disk.

    Attributes:
        path: where it is.
        seen: the manifest that was last read or written through this object, as bytes; None before.
        entries: the files that belong to the brain, as last read or written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.seen: bytes | None = None
        self.entries: dict[str, FileRecord] = {}

    def write(self, about: Mapping[str, Any], files: Mapping[str, bytes], kept: Mapping[str, FileRecord]) -> None:
        """Save: all the files, then the manifest.

        Args:
            about: what the manifest says beside the files: JSON values.
            files: name in the folder -> content; a name must tell its content apart from any other's.
            kept: files that were saved before and stay as they are.

        Raises:
            EngramError: another program has saved to the folder since this one read it.
            InputError: the folder's manifest.json is not a brain's.
            OSError: the disk refused; the brain that was there is still there.
        """
        make_folder(self.path)
        with exclusive(self.path):
            self._check_ours()
            self.check_unchanged()
            entries: dict[str, FileRecord] = dict(kept)
            for name, content in sorted(files.items()):
                entries[name] = entry_of(content)
                if not self._holds(name, entries[name]):
                    make_folder((self.path / name).parent)
                    write_atomically(self.path / name, content)
            manifest = _packed({**about, "format": FORMAT, "version": VERSION, "files": entries})
            for folder in {(self.path / name).parent for name in files} | {self.path}:
                sync_folder(folder)
            write_atomically(self.path / MANIFEST, manifest)
            self.seen, self.entries = manifest, entries  # what is there, whether or not it can be made to last now
            sync_folder(self.path)
            sync_folder(self.path.resolve().parent)
            self.sweep()

    def check_unchanged(self) -> None:
        """Raises EngramError where another program has saved to the folder since this one read it."""
        if self.changed():
            raise EngramError(
                f"{self.path} was changed by another program since it was opened: open it again, or save elsewhere."
            )

    def changed(self) -> bool:
        """Whether the manifest is another one than that last read or written through this object."""
        return self.seen is not None and self._manifest_bytes() not in (None, self.seen)

    def has(self, name: str, entry: FileRecord) -> bool:
        """Whether a file of that name and length is there; its content is not looked at."""
        file = self.path / name
        return file.is_file() and file.stat().st_size == entry["bytes"]

    def manifest(self) -> dict[str, Any]:
        """The manifest, checked.

        Raises:
            InputError: there is no such folder.
            DamagedError: there is no brain in it, or a damaged one, or one of a later version.
        """
        if not self.path.is_dir():
            raise InputError(f"No brain at {self.path}: teach one first, or check the path.")
        packed = self._manifest_bytes()
        if packed is None:
            raise DamagedError(f"{self.path} holds no {MANIFEST}: it is not a brain, or was never completely saved.")
        try:
            manifest = json.loads(packed)
            if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
                raise DamagedError(f"{self.path / MANIFEST} does not describe a brain.")
            if not isinstance(manifest.get("version"), int) or manifest["version"] > VERSION:
                raise DamagedError(
                    f"{self.path} was written by a later version of Engram (format {manifest.get('version')}, this one "
                    f"reads up to {VERSION}): update Engram to open it."
                )
            whole = _packed({k: v for k, v in manifest.items() if k != "checksum"}) == packed
            if not whole or not all(_NAME.fullmatch(name) and ".." not in name for name in manifest["files"]):
                raise DamagedError(f"{self.path / MANIFEST} was altered: its checksum does not fit.")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedError(
                f"{self.path / MANIFEST} cannot be read: restore the folder from a copy. ({error})"
            ) from error
        self.seen = packed
        return manifest

    def read(self, name: str, entry: FileRecord) -> bytes:
        """A file that the manifest names.

        Raises:
            DamagedError: it is missing, or not what was saved.
        """
        try:
            whole = self.has(name, entry)  # also keeps pipes, devices and files of any size from being read
            content = (self.path / name).read_bytes() if whole else b""
        except OSError as error:
            raise DamagedError(f"{self.path / name} cannot be read: {error.strerror or error}.") from error
        if not whole or hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise DamagedError(f"{self.path / name} is missing, altered or cut short: restore the folder from a copy.")
        return content

    def _holds(self, name: str, entry: FileRecord) -> bool:
        try:
            self.read(name, entry)
        except DamagedError:
            return False
        return True

    def _manifest_bytes(self) -> bytes | None:
        file = self.path / MANIFEST
        try:
            if file.exists() and not file.is_file():
                raise DamagedError(f"{file} is not a file.")
            with file.open("rb") as opened:
                content = opened.read(MANIFEST_LIMIT + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedError(f"{file} cannot be read: {error.strerror or error}.") from error
        if len(content) > MANIFEST_LIMIT:
            raise DamagedError(f"{file} is too long to describe a brain.")
        return content

    def _check_ours(self) -> None:
        packed = None if self.seen is not None else self._manifest_bytes()
        if packed is not None and f'"format": "{FORMAT}"'.encode() not in packed:
            raise InputError(f"{self.path / MANIFEST} belongs to something else, or is damaged: save elsewhere, or "
                             "remove it. (A learner made durable needs no manifest to open: its log holds everything.)")

    def strays(self) -> list[str]:
        """The files and folders that a brain wrote and that its manifest does not name any more."""
        keep = {name.split("/")[0] for name in self.entries}
        return [e.name for e in self.path.iterdir() if e.name not in keep and _OURS.fullmatch(e.name)]

    def sweep(self) -> None:
        """Remove what the manifest no longer names, for good: it may hold what was forgotten. What cannot be removed
        does no harm to what is there.
        """
        with suppress(OSError):
            strays = self.strays()
            for name in strays:
                remove(self.path / name)
            if strays:
                sync_folder(self.path)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the folder against other programs on this machine that would save to it."""
    try:
        import fcntl
    except ImportError:  # no advisory locks on this system: the manifest check still finds lost updates
        yield
        return
    handle = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def entry_of(content: bytes) -> FileRecord:
    """What the manifest says of a file of this content."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def short_hash(content: bytes) -> str:
    """What tells a file's content apart, in its name."""
    return hashlib.sha256(content).hexdigest()[:12]


def _packed(manifest: Mapping[str, Any]) -> bytes:
    """Canonical JSON with a checksum over the rest: any altered byte shows."""
    text = json.dumps(manifest, sort_keys=True, indent=1)
    checked = {**manifest, "checksum": hashlib.sha256(text.encode()).hexdigest()}
    return json.dumps(checked, sort_keys=True, indent=1).encode() + b"\n"
