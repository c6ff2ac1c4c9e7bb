"""Files of one kind in a folder, with a label for each where it holds a folder per class."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from engram.inputs.endings import kind_of, other_kind
from engram.learner import InputError
from engram.printable import from_file_name

SYSTEM = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
"""What systems and archives leave in folders. It is passed over in silence, as are names that start with a dot."""


class PassedOver(NamedTuple):
    """A file that was left out, and why."""

    path: Path
    why: str


class Files(NamedTuple):
    """What a folder holds.

    Attributes:
        paths: the files of the kind, in sorted order.
        labels: for each the name of its class's folder, or None where they lie in the folder itself.
        passed_over: every other file in it that is not hidden.
    """

    paths: list[Path]
    labels: list[str] | None
    passed_over: list[PassedOver]


class _Walk:
    """Through folders, for files with some endings; notes what is passed over."""

    def __init__(self, suffixes: Collection[str], one: str) -> None:
        self.suffixes, self.one = suffixes, one
        self.passed_over: list[PassedOver] = []

    def listing(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """The files of the kind right in a folder, and the folders in it."""
        try:
            entries = sorted(e for e in folder.iterdir() if not e.name.startswith(".") and e.name not in SYSTEM)
        except OSError as error:
            raise InputError(f"Cannot read {folder}: {error.strerror or error}.") from error
        folders = [e for e in entries if e.is_dir()]
        files = [e for e in entries if e.suffix.lower() in self.suffixes and e.is_file()]
        for entry in sorted({*entries}.difference(files, folders)):
            named = entry.suffix.lower() in self.suffixes
            self.passed_over.append(PassedOver(entry, "no regular file" if named else other_kind(entry, self.one)))
        return files, folders

    def below(self, folder: Path, seen: set[Path]) -> Iterator[Path]:
        """The files of the kind in a folder, however deep."""
        real = folder.resolve()
        if real in seen:
            return
        seen.add(real)
        files, folders = self.listing(folder)
        yield from files
        for inner in folders:
            yield from self.below(inner, seen)


def survey(folder: str | os.PathLike[str], suffixes: Collection[str], one: str) -> Files:
    """The files with these endings in a folder, in sorted order, with labels where it holds a folder per class.

    A label is the name of the folder right below `folder`, however deep a file lies in it (bytes of the name that
    are not UTF-8 as `\\xe9`). Hidden files and folders, and `SYSTEM`, are ignored; so are links that lead back.

    Args:
        suffixes: endings in small letters, such as ".png".
        one: what such a file is called, such as "picture".

    Raises:
        InputError: no such folder, no such files, a class without any, or files beside class folders.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"No folder at {root}.")
    endings = "/".join(sorted(suffixes))
    walk = _Walk(suffixes, one)
    files, folders = walk.listing(root)
    top = root.resolve()
    folders = [f for f in folders if f.resolve() != top and f.resolve() not in top.parents]
    if files and folders:
        raise InputError(
            f"{root} holds {one}s ({files[0].name}) beside folders ({folders[0].name}): move the {one}s "
            "into a folder named by their class, or the folders elsewhere."
        )
    if files:
        return Files(files, None, walk.passed_over)
    paths: list[Path] = []
    labels: list[str] = []
    for kind in folders:
        found = list(walk.below(kind, {top}))
        if not found:
            raise InputError(f"No {one}s in {kind}: remove the folder, or add {endings} files to it."
                             f"{_held_instead(kind)}")
        paths += found
        labels += [from_file_name(kind.name)] * len(found)
    if not paths:
        raise InputError(f"No {one}s in {root}: expected {endings} files, or a folder of them per class."
                         f"{_held_instead(root)}")
    return Files(paths, labels, walk.passed_over)


def _held_instead(folder: Path) -> str:
    """What a folder holds that is of another kind than was looked for, and the call that teaches it."""
    held: dict[str, list[Path]] = {}
    for file in visible(folder):
        if (kind := kind_of(file)) is not None:
            held.setdefault(kind, []).append(file)
    if not held:
        return ""
    told = [f"{len(some)} {kind}{'s' * (len(some) != 1)} ({min(some).name})" for kind, some in held.items()]
    command = shlex.join(["engram", "teach", "NEW.brain", str(folder), "--label", folder.resolve().name or "LABEL"])
    return (f" It holds {' and '.join(told)}, which need a brain of their own: {command}, or "
            f"Brain().learn(Path({str(folder)!r}), LABEL).")


def visible(folder: Path) -> Iterator[Path]:
    """All files in a folder, however deep, that are not hidden."""
    for file in folder.rglob("*"):
        names = file.relative_to(folder).parts
        if not any(name.startswith(".") or name in SYSTEM for name in names) and file.is_file():
            yield file


def count(folder: Path, suffixes: Collection[str]) -> int:
    """How many files with one of these endings a folder holds, however deep, that are not hidden."""
    return sum(file.suffix.lower() in suffixes for file in visible(folder))
