"""Simulated power cuts: every state in which the disk may legally be found after each operation of a journal.

What was synced is there. Of what was not, anything may be: each write present, absent or torn between sectors of 512
bytes, in any subset; each name made, changed or removed since its folder was synced there or not. All subsets are too
many; taken are all prefixes, each single one missing, each single one alone, the last one torn, and random subsets
(the approach of ALICE: Pillai et al., OSDI 2014, and of SQLite's own crash tests, https://sqlite.org/testing.html).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from recorded_disk import Operation

SECTOR = 512
LATEST = 14  # of what is pending, the latest so many are left out one by one

CONTENT = ("write", "truncate")
NAMES = ("create", "rename", "remove", "folder", "remove folder")


@dataclass
class Disk:
    """A disk: what is in each file, by number, and what each name stands for (0: a folder)."""

    files: dict[int, bytearray] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)

    def copy(self) -> Disk:
        return Disk({file: bytearray(content) for file, content in self.files.items()}, dict(self.names))

    def apply(self, operation: Operation) -> None:
        if operation.what == "write":
            content = self.files.setdefault(operation.file, bytearray())
            end = operation.offset + len(operation.content)
            content.extend(bytes(max(0, operation.offset - len(content))))
            content[operation.offset : end] = operation.content
        elif operation.what == "truncate":
            content = self.files.setdefault(operation.file, bytearray())
            content.extend(bytes(max(0, operation.offset - len(content))))
            del content[operation.offset :]
        elif operation.what == "create":
            self.names[operation.path] = operation.file
        elif operation.what == "rename":
            self.names.pop(operation.path, None)
            self.names[operation.target] = operation.file
        elif operation.what == "folder":
            self.names[operation.path] = 0
        elif operation.what in ("remove", "remove folder"):
            self.names.pop(operation.path, None)

    def write(self, root: Path) -> None:
        """Make it real below a folder."""
        for name, file in sorted(self.names.items()):
            path = root / name
            if any(part != "." and self.names.get(part) != 0 for part in _parents(name)):
                continue  # in a folder whose own name did not last
            if file:
                path.write_bytes(self.files.get(file, b""))
            else:
                path.mkdir(exist_ok=True)


def _parents(name: str) -> Iterator[str]:
    while name := os.path.dirname(name):
        yield name


@dataclass(frozen=True)
class Cut:
    """A state in which the disk may be found.

    Attributes:
        settled: how many of `Cuts.settled` have lasted.
        kept: what of the rest was there all the same.
        acknowledged: the last step that was acknowledged before; None where none was.
        at: after how many operations the power was cut.
        how: what became of what was pending.
    """

    settled: int
    kept: tuple[Operation, ...]
    acknowledged: int | None
    at: int
    how: str


class Cuts:
    """Every state after every operation, each different one once for each acknowledgement it must honour.

    Args:
        randoms: random subsets after each operation.

    Attributes:
        cuts: the states.
        settled: the operations in the order in which syncs made them last.
    """

    def __init__(self, operations: Sequence[Operation], randoms: int, seed: int = 0) -> None:
        rng = random.Random(seed)
        self.cuts: list[Cut] = []
        self.settled: list[Operation] = []
        pending: list[Operation] = []
        acknowledged: int | None = None
        lasting, seen = 0, set()
        for at, operation in enumerate(operations, 1):
            if operation.what == "acknowledged":
                acknowledged = operation.offset
            elif operation.what in ("sync", "sync folder"):
                settled = [one for one in pending if _settles(operation, one)]
                pending = [one for one in pending if not _settles(operation, one)]
                self.settled.extend(settled)
                lasting ^= _print(settled)
            else:
                pending.append(operation)
            for how, kept in _choices(pending, randoms, rng):
                key = (lasting ^ _print(kept), acknowledged)
                if key not in seen:
                    seen.add(key)
                    self.cuts.append(Cut(len(self.settled), tuple(kept), acknowledged, at, how))

    def disks(self, cuts: Sequence[Cut]) -> Iterator[tuple[Cut, Disk]]:
        """The disk of each of some cuts, in order."""
        lasting, done = Disk(), 0
        for cut in sorted(cuts, key=lambda cut: cut.at):
            for operation in self.settled[done : cut.settled]:
                lasting.apply(operation)
            done = cut.settled
            disk = lasting.copy()
            for operation in cut.kept:
                disk.apply(operation)
            yield cut, disk


def _settles(sync: Operation, one: Operation) -> bool:
    if sync.what == "sync":
        return one.what in CONTENT and one.file == sync.file
    return one.what in NAMES and _folder(one) == sync.path


def _print(operations: Sequence[Operation]) -> int:
    """Tells sets of operations apart."""
    total = 0
    for one in operations:
        total ^= hash((one.number, one.offset, len(one.content)))
    return total


def _folder(operation: Operation) -> str:
    return os.path.dirname(operation.path) or "."


def _choices(
    pending: list[Operation], randoms: int, rng: random.Random
) -> Iterator[tuple[str, list[Operation]]]:
    count = len(pending)
    yield "all of it", pending
    yield "nothing of it", []
    for i in range(max(0, count - LATEST), count):
        yield f"the first {i}", pending[:i]
        yield f"all but the one {count - i} before the end", pending[:i] + pending[i + 1 :]
        yield f"only the one {count - i} before the end", [pending[i]]
    for i in range(max(0, count - 3), count):
        for torn in _torn(pending[i], rng):
            yield f"the one {count - i} before the end torn", [*pending[:i], torn, *pending[i + 1 :]]
            yield f"the one {count - i} before the end torn, the rest lost", [*pending[:i], torn]
    for _ in range(randoms if count > 1 else 0):
        kept = [operation for operation in pending if rng.random() < 0.5]
        torn_too = [part for one in kept for part in (rng.sample(_torn(one, rng) or [one], 1))]
        yield "a random part of it", torn_too if rng.random() < 0.5 else kept


def _torn(operation: Operation, rng: random.Random) -> list[Operation]:
    """A write of which only some sectors arrived: the first, the last, or any."""
    if operation.what != "write" or operation.offset // SECTOR == (operation.offset + len(operation.content)) // SECTOR:
        return []
    cuts = range(SECTOR - operation.offset % SECTOR, len(operation.content), SECTOR)
    if not cuts:
        return []
    cut = rng.choice(cuts)
    head, tail = operation.content[:cut], operation.content[cut:]
    return [
        replace(operation, content=head), replace(operation, offset=operation.offset + cut, content=tail),
    ]
