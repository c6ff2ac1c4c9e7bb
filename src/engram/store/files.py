"""Every change that Engram makes to the files of a brain, but those of its database: written, synced, renamed, removed.

The order write, sync, rename, sync of the folder is the one that survives power loss (Pillai et al., "All File Systems
Are Not Created Equal", OSDI 2014). All of it is done by the few calls of `os` in this module, so that a test can record
them, make them fail, or cut the power between any two.
"""

from __future__ import annotations

import os
from pathlib import Path

TEMPORARY = ".engram-tmp"
_WRITING = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)


def write_atomically(target: Path, content: bytes) -> None:
    """The content under a temporary name, synced, then renamed: what was there before, or all of the new.

    The name itself lasts through a power cut only once the folder is synced: `sync_folder`.

    Raises:
        OSError: the disk refused; what was there before is still there. It names the target.
    """
    try:
        _write_and_rename(target, content)
    except OSError as error:
        if error.filename is None:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error  # the name in between would only puzzle


def _write_and_rename(target: Path, content: bytes) -> None:
    temporary = target.with_name(target.name + TEMPORARY)
    handle = os.open(temporary, _WRITING | os.O_TRUNC, 0o644)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(temporary, target)


def make_folder(path: Path) -> None:
    """The folder and those above it, where they are not there, each durable in the one above."""
    if not path.is_dir():
        make_folder(path.parent)
        os.makedirs(path, exist_ok=True)
        sync_folder(path.parent)


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


def overwrite(path: Path, content: bytes) -> None:
    """A small content in place, at the start of the file, not synced: it survives the end of the program only.

    Raises:
        OSError: the disk refused.
    """
    handle = os.open(path, _WRITING, 0o644)
    try:
        os.write(handle, content)
    finally:
        os.close(handle)
