"""Every change that Engram makes to files, but those of SQLite: written, synced, renamed, removed.

The order write, sync, rename, sync of the folder is the one that survives power loss (Pillai et al., "All File Systems
Are Not Created Equal", OSDI 2014). All of it is done by the few calls of `os` in this module, so that a test can record
them, make them fail, or cut the power between any two.

A new file is readable by its owner alone (mode 0600, folders 0700), unless it is made to be given away (`public`).
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".engram-tmp"
READER_PATIENCE = 10.0
"""Seconds that a named pipe is waited on for its reader."""

_STALE = 3600.0  # seconds after which a temporary file is one that a killed program left
_BINARY = getattr(os, "O_BINARY", 0)
_WRITING = os.O_WRONLY | os.O_CREAT | _BINARY
_NEW = _WRITING | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)


def write_atomically(target: str | os.PathLike[str], content: bytes, *, public: bool = False) -> None:
    """Replace a file's content: what was there before, or all of the new. See `writing`.

    The name itself lasts through a power cut only once the folder is synced: `sync_folder`.

    Raises:
        OSError: the disk refused; what was there before is still there. It names the target.
    """
    with _descriptor(target, public) as handle:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]


@contextmanager
def writing(target: str | os.PathLike[str], *, public: bool = False) -> Iterator[BinaryIO]:
    """A file to be written in the block, which takes the target's place when the block ends without an error.

    A symbolic link stays, and what it points to is replaced. A file that was there keeps its mode and its owner. What
    is no regular file (a named pipe, a device, an open descriptor such as /dev/stdout) is written to as it is; a pipe
    that nobody reads is waited on for READER_PATIENCE seconds. Other hard links to the file keep the old content.

    Args:
        target: where to.
        public: a new file gets the mode that the umask allows; else 0600.

    Raises:
        OSError: the disk refused; what was there before is still there. It names the target.
    """
    with _descriptor(target, public) as handle, open(handle, "wb", closefd=False) as out:
        yield out


@contextmanager
def _descriptor(target: str | os.PathLike[str], public: bool) -> Iterator[int]:
    try:
        opened = _written_directly(os.fspath(target))
        if opened is None:
            with _replacing(Path(os.path.realpath(target)), public) as handle:
                yield handle
            return
        try:
            yield opened
        finally:
            os.close(opened)
    except OSError as error:
        if error.filename is None or not str(error.filename).endswith(TEMPORARY):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(target)) from error  # the name in between would puzzle


@contextmanager
def _replacing(real: Path, public: bool) -> Iterator[int]:
    """A descriptor of a file beside the real one, which takes its place at the end."""
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(real))
    _remove_stale(real.parent)
    temporary = real.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    before = real.stat() if real.exists() else None
    if before is not None and not os.access(real, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(real))
    handle = os.open(temporary, _NEW, 0o666 if public and before is None else 0o600)
    try:
        try:
            yield handle
            if before is not None:
                _keep_rights(handle, before)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, real)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _keep_rights(handle: int, before: os.stat_result) -> None:
    if not hasattr(os, "fchown"):  # not POSIX
        return
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        with suppress(PermissionError):  # only root gives a file away
            os.fchown(handle, before.st_uid, before.st_gid)
    os.fchmod(handle, stat.S_IMODE(before.st_mode))


def _written_directly(target: str) -> int | None:
    """A descriptor of what is to be written to as it is; None for a regular file, or where there is nothing yet."""
    own = _own_descriptor(target)
    if own is not None:
        return os.dup(own)
    try:
        kind = os.stat(target).st_mode
    except OSError:
        return None
    if stat.S_ISREG(kind):
        return None
    return _opened_pipe(target) if stat.S_ISFIFO(kind) else os.open(target, os.O_WRONLY | _BINARY)


def _opened_pipe(target: str) -> int:
    """Raises OSError where nobody comes to read."""
    until = time.monotonic() + READER_PATIENCE
    while True:
        try:
            handle = os.open(target, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() >= until:
                raise OSError(errno.ENXIO, "nobody reads this pipe: start its reader first", target) from error
            time.sleep(0.02)
            continue
        os.set_blocking(handle, True)
        return handle


def _own_descriptor(target: str) -> int | None:
    """The number that a path such as /dev/stdout or /dev/fd/3 stands for in this process."""
    for _ in range(40):  # links to links
        folder, name = os.path.split(os.path.abspath(target))
        if name.isdecimal() and os.path.realpath(folder) in (f"/proc/{os.getpid()}/fd", "/dev/fd"):
            return int(name)
        if not os.path.islink(target):
            return None
        target = os.path.join(folder, os.readlink(target))
    return None


def _remove_stale(folder: Path) -> None:
    """Remove the files that a killed program left half written: they may hold what is forgotten meanwhile.

    A folder stays: hours may pass before what fills it writes its first file.
    """
    for entry in folder.glob(f".*{TEMPORARY}"):
        with suppress(OSError):
            found = entry.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_mtime < time.time() - _STALE:
                os.unlink(entry)


def put_in_place(finished: Path, target: Path) -> None:
    """Give a finished file the target's name; a link there stays, and a file that was there keeps its mode.

    Raises:
        OSError: the disk refused; what was there before is still there.
    """
    real = Path(os.path.realpath(target))
    if real.exists():
        os.chmod(finished, stat.S_IMODE(real.stat().st_mode))
    os.replace(finished, real)


def create(path: Path) -> None:
    """An empty file that only its owner may read, where there is none. Raises OSError where the disk refuses."""
    with suppress(FileExistsError):
        os.close(os.open(path, _NEW, 0o600))


def make_folder(path: Path) -> None:
    """The folder and those above it, where they are not there, for their owner alone; each durable in the one above."""
    if not path.is_dir():
        make_folder(path.parent)
        os.makedirs(path, 0o700, exist_ok=True)
        sync_folder(path.parent)


@contextmanager
def making_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A new folder to be filled in the block, which gets its name when the block ends without an error.

    Args:
        target: where to. A symbolic link stays, and the folder it points to is the one meant.
        replace: a folder of that name gives way, and its mode is kept; else whoever was first stays.

    Raises:
        OSError: the disk refused; what was there before is still there.
    """
    target = Path(os.path.realpath(target))
    make_folder(target.parent)
    fresh = target.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    os.makedirs(fresh, 0o700)
    try:
        yield fresh
        sync_folder(fresh)
        if replace and target.exists():
            _exchange(fresh, target)
        else:
            _give_name(fresh, target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _give_name(fresh: Path, target: Path) -> None:
    try:
        os.rename(fresh, target)
    except OSError:
        if not target.is_dir():  # else another program was first
            raise


def _exchange(fresh: Path, target: Path) -> None:
    os.chmod(fresh, stat.S_IMODE(target.stat().st_mode))
    old = target.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    os.rename(target, old)
    try:
        os.rename(fresh, target)
    except OSError:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: creations, renames and removals."""
    if os.name != "posix":  # elsewhere a folder cannot be opened, and a rename is synced by the system
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """A file, or a folder of files. What is not there is no error.

    Raises:
        OSError: the disk refused.
    """
    if path.is_dir() and not path.is_symlink():
        for file in path.iterdir():
            remove(file)
        os.rmdir(path)
    elif path.exists() or path.is_symlink():
        os.unlink(path)


def overwrite(path: Path, content: bytes, *, only: tuple[int, int] | None = None) -> None:
    """A small content in place, at the start of the file, not synced: it survives the end of the program only.

    Args:
        only: device and inode of the file that is meant; another one under its name is left alone.

    Raises:
        OSError: the disk refused.
    """
    handle = os.open(path, _WRITING if only is None else _WRITING & ~os.O_CREAT, 0o600)
    try:
        found = os.fstat(handle)
        if only in (None, (found.st_dev, found.st_ino)):
            os.write(handle, content)
    finally:
        os.close(handle)
