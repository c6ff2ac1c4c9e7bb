"""Everything that a brain's folder asks of the disk, in one ordered journal: SQLite's calls and those of engram.files.

A file system of SQLite's (an apsw VFS) passes each call on to the real one and notes it; `engram.files` sees an `os`
that does the same. The same two places are where a fault is injected: the n-th call fails instead of being done.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from engram import files

VFS = "engram-recorded"


@dataclass(frozen=True)
class Operation:
    """One change asked of the disk.

    Attributes:
        what: create, write, truncate, sync, rename, remove, folder, sync folder, remove folder; or acknowledged.
        path: of what is named, relative to the root; for `acknowledged`, nothing.
        file: which file, whatever it is called; 0 where it is about names only.
        offset, content: of a write; `offset` is also the size of a truncation, and the number of a step.
        target: of a rename.
        number: its place in the journal.
    """

    what: str
    path: str = ""
    file: int = 0
    offset: int = 0
    content: bytes = b""
    target: str = ""
    number: int = 0


@dataclass
class Journal:
    """The operations under a root folder, as they happen.

    Attributes:
        before: called before each operation that may fail; what it raises is what the disk says.
    """

    root: Path
    operations: list[Operation] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda what, path: None
    _files: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def name(self, path: str | os.PathLike[str]) -> str | None:
        """The path relative to the root; None where it is not below it, or never matters."""
        absolute = os.path.abspath(path)
        inside = absolute == str(self.root) or absolute.startswith(f"{self.root}{os.sep}")
        if not inside or absolute.endswith(("-shm", "writer.lock", "/.lock")):
            return None
        return os.path.relpath(absolute, self.root)

    def note(self, what: str, path: str = "", file: int = 0, **parts: Any) -> None:
        self.operations.append(Operation(what, path, file, **parts, number=len(self.operations)))

    def opened(self, name: str, is_new: bool) -> int:
        """The number of the file that is called so now."""
        if is_new or name not in self._files:
            self._count += 1
            self._files[name] = self._count
            self.note("create", name, self._count)
        return self._files[name]

    def renamed(self, source: str, target: str) -> None:
        self._files[target] = self._files.pop(source)
        self.note("rename", source, self._files[target], target=target)

    def removed(self, name: str) -> None:
        self.note("remove", name, self._files.pop(name, 0))

    def acknowledged(self, step: int) -> None:
        self.note("acknowledged", offset=step)


class RecordedFile(apsw.VFSFile):
    """A file of SQLite's."""

    def __init__(self, base: str, filename: Any, flags: list[int], journal: Journal, name: str, file: int) -> None:
        super().__init__(base, filename, flags)
        self._journal, self._name, self._file = journal, name, file
        # SQLite syncs the folder with a journal's first sync (os_unix.c: UNIXFILE_DIRSYNC), as strace shows.
        self._sync_folder = bool(flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL))

    def xWrite(self, data: bytes, offset: int) -> None:
        _ask(self._journal, "write", self._name)
        super().xWrite(data, offset)
        self._journal.note("write", self._name, self._file, offset=offset, content=bytes(data))

    def xTruncate(self, newsize: int) -> None:
        _ask(self._journal, "truncate", self._name)
        super().xTruncate(newsize)
        self._journal.note("truncate", self._name, self._file, offset=newsize)

    def xSync(self, flags: int) -> None:
        _ask(self._journal, "sync", self._name)
        super().xSync(flags)
        self._journal.note("sync", self._name, self._file)
        if self._sync_folder:
            self._sync_folder = False
            self._journal.note("sync folder", os.path.dirname(self._name) or ".")


class RecordedSystem(apsw.VFS):
    """The system's files for SQLite, noted; the default one while it is registered."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._base = journal, "unix"
        super().__init__(VFS, self._base, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        relative = None if path is None else self._journal.name(path)
        if relative is None:
            return apsw.VFSFile(self._base, name, flags)
        is_new = not os.path.exists(path)
        if is_new and flags[0] & apsw.SQLITE_OPEN_CREATE:
            _ask(self._journal, "create", relative)
        probe = apsw.VFSFile(self._base, name, list(flags))  # what cannot be opened makes no file
        probe.xClose()
        return RecordedFile(self._base, name, flags, self._journal, relative, self._journal.opened(relative, is_new))

    def xDelete(self, filename: str, syncdir: bool) -> None:
        relative = self._journal.name(filename)
        if relative is not None:
            _ask(self._journal, "remove", relative)
        super().xDelete(filename, syncdir)
        if relative is not None:
            self._journal.removed(relative)
            if syncdir:
                self._journal.note("sync folder", os.path.dirname(relative) or ".")


def _ask(journal: Journal, what: str, name: str) -> None:
    """SQLite's way of saying what the disk said."""
    try:
        journal.before(what, name)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise apsw.FullError("injected") from None
        refused = apsw.IOError("injected")
        codes = {"write": apsw.SQLITE_IOERR_WRITE, "sync": apsw.SQLITE_IOERR_FSYNC,
                 "truncate": apsw.SQLITE_IOERR_TRUNCATE, "remove": apsw.SQLITE_IOERR_DELETE}
        refused.extendedresult = codes.get(what, apsw.SQLITE_IOERR)
        raise refused from None


class RecordedOs:
    """`os` for `engram.files`: the calls that change the disk are noted."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._handles: dict[int, tuple[str, int, int]] = {}  # descriptor -> name, file, place; file 0 is a folder

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        name = self._journal.name(path)
        is_new = not os.path.exists(path)
        changes = is_new or flags & os.O_TRUNC
        if name is not None and changes:
            self._journal.before("create", name)
        handle = os.open(path, flags, mode)
        if name is not None:
            file = 0 if os.path.isdir(path) else self._journal.opened(name, is_new)
            if file and not is_new and flags & os.O_TRUNC:
                self._journal.note("truncate", name, file)
            self._handles[handle] = (name, file, 0)
        return handle

    def write(self, handle: int, content: Any) -> int:
        if handle not in self._handles:
            return os.write(handle, content)
        name, file, place = self._handles[handle]
        self._journal.before("write", name)
        done = os.write(handle, content)
        self._journal.note("write", name, file, offset=place, content=bytes(content[:done]))
        self._handles[handle] = (name, file, place + done)
        return done

    def fsync(self, handle: int) -> None:
        if handle in self._handles:
            name, file, _ = self._handles[handle]
            self._journal.before("sync" if file else "sync folder", name)
            os.fsync(handle)
            self._journal.note("sync" if file else "sync folder", name, file)
        else:
            os.fsync(handle)

    def close(self, handle: int) -> None:
        self._handles.pop(handle, None)
        os.close(handle)

    def replace(self, source: Any, target: Any) -> None:
        names = self._journal.name(source), self._journal.name(target)
        if names[0] is not None and names[1] is not None:
            self._journal.before("rename", names[1])
            os.replace(source, target)
            self._journal.renamed(names[0], names[1])
        else:
            os.replace(source, target)

    def unlink(self, path: Any) -> None:
        self._change("remove", path, os.unlink)

    def makedirs(self, path: Any, mode: int = 0o777, exist_ok: bool = False) -> None:
        self._change("folder", path, lambda p: os.makedirs(p, mode, exist_ok))

    def rmdir(self, path: Any) -> None:
        self._change("remove folder", path, os.rmdir)

    def _change(self, what: str, path: Any, change: Callable[[Any], None]) -> None:
        name = self._journal.name(path)
        if name is not None:
            self._journal.before(what, name)
        change(path)
        if name is not None:
            if what == "remove":
                self._journal.removed(name)
            else:
                self._journal.note(what, name)


@contextmanager
def recording(root: Path) -> Iterator[Journal]:
    """Note all that happens below a folder, by SQLite and by `engram.files`, until the end of the block."""
    journal = Journal(root.absolute())
    system = RecordedSystem(journal)
    real = files.os
    files.os = RecordedOs(journal)  # type: ignore[assignment]
    try:
        yield journal
    finally:
        files.os = real  # type: ignore[assignment]
        system.unregister()
