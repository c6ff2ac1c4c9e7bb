"""A disk that refuses the n-th call, full or broken, once or from then on; and bits that flipped meanwhile."""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorded_disk import Journal, recording
from stories import Expected, Story, close, fresh

from engram.learner import EngramError

MOST_IN_DOUBT = 3


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and when.

    Attributes:
        call: which call of the disk, from 0.
        number: of the error: ENOSPC or EIO.
        lasting: whether all calls after it fail too.
    """

    call: int
    number: int
    lasting: bool

    def __str__(self) -> str:
        return f"{errno.errorcode[self.number]} at call {self.call}{' and after' if self.lasting else ''}"


class Refusing:
    """Counts the calls, and refuses as the fault says."""

    def __init__(self, fault: Fault | None) -> None:
        self.fault = fault
        self.calls = 0

    def __call__(self, what: str, path: str) -> None:
        call, self.calls = self.calls, self.calls + 1
        fault = self.fault
        full = fault is not None and fault.number == errno.ENOSPC
        if fault is None or (full and what in ("sync", "sync folder", "remove", "remove folder")):
            return  # a full disk still syncs and removes
        if call == fault.call or (fault.lasting and call > fault.call):
            raise OSError(fault.number, os.strerror(fault.number), path)


def calls_of(story: Story, root: Path) -> int:
    """How many calls a whole life takes."""
    with recording(fresh(root)) as journal:
        journal.before = counting = Refusing(None)
        _live(story, root / "brain", journal)
    return counting.calls


def every_fault(calls: int) -> Iterator[Fault]:
    for call, number, lasting in itertools.product(range(calls), (errno.ENOSPC, errno.EIO), (False, True)):
        yield Fault(call, number, lasting)


def break_into(story: Story, expected: Expected, root: Path, fault: Fault) -> str:
    """Live the story with the fault in it; what was wrong, nothing where every step was either acknowledged and there
    after all, or refused with a clear error.
    """
    with recording(fresh(root)) as journal:
        journal.before = Refusing(fault)
        wrong, done, refused = _live(story, root / "brain", journal, expected)
    if wrong:
        return wrong
    return _reopened(story, expected, root / "brain", done, refused)


def _live(
    story: Story, folder: Path, journal: Journal, expected: Expected | None = None
) -> tuple[str, list[int] | None, list[int]]:
    """What was wrong; the steps that were acknowledged, None where there was never anything; those refused."""
    try:
        living = story.create(folder)
    except (EngramError, OSError):
        return "", None, []
    done: list[int] = []
    refused: list[int] = []
    for i, step in enumerate(story.steps):
        try:
            step(living)
            done.append(i)
        except (EngramError, OSError):
            refused.append(i)
        if expected is not None and refused and refused[-1] == i:
            try:
                if story.live_digest(living) not in (None, expected.after(tuple(done))):
                    return f"step {i} was refused, and yet it left a trace", done, refused
            except (EngramError, OSError):
                continue  # what cannot be read says so
    journal.before = lambda what, path: None  # whoever comes to look brings a disk that works
    with suppress(EngramError, OSError):
        close(living)
    return "", done, refused


def _reopened(story: Story, expected: Expected, folder: Path, done: list[int] | None, refused: list[int]) -> str:
    """A refused commit may have reached the disk whole all the same: it is in doubt, as after any failed sync."""
    try:
        living = story.open(folder)
    except (EngramError, OSError) as error:
        return "" if not done else f"acknowledged, and yet it cannot be opened: {error}"
    try:
        try:
            digest = story.digest(living)
            doubtful = refused[:MOST_IN_DOUBT]
            for count in range(len(doubtful) + 1):
                for turned_up in itertools.combinations(doubtful, count):
                    if digest == _known(expected, sorted([*(done or ()), *turned_up])):
                        return story.go_on(living)
            return "what is found is neither with nor without what was refused"
        finally:
            close(living)
    except (EngramError, OSError) as error:
        return f"acknowledged, and yet it cannot be read: {error}"


def _known(expected: Expected, steps: list[int]) -> str | None:
    try:
        return expected.after(tuple(steps))
    except EngramError:  # no life has these steps: one builds on another that was refused
        return None


def flips(folder: Path, most: int, seed: int = 0) -> Iterator[tuple[Path, int, int]]:
    """File, place and bit: up to `most` of each file of a folder, most of them where something is written."""
    rng = random.Random(seed)
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size):
        content = file.read_bytes()
        used = [place for place, byte in enumerate(content) if byte]
        places = set(rng.sample(used, min(len(used), most))) | {rng.randrange(len(content)) for _ in range(most // 8)}
        for place in sorted(rng.sample(sorted(places), min(most, len(places)))):
            yield file, place, 1 << rng.randrange(8)


@dataclass(frozen=True)
class Right:
    """What a story knows at its end, and all that can be asked of it."""

    digest: str | None
    everything: str

    @classmethod
    def of(cls, story: Story, living: Any) -> Right:
        return cls(story.live_digest(living), story.everything(living))


def flip(story: Story, right: Right, folder: Path, file: Path, place: int, bit: int) -> str:
    """Open a folder with one bit turned; what was wrong, nothing where it is refused, or right all the same."""
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    content = bytearray(kept[file])
    content[place] ^= bit
    file.write_bytes(content)
    try:
        living = story.open(folder)
        try:
            if story.live_digest(living) != right.digest:
                return "a wrong brain was opened"
            return "" if story.everything(living) == right.everything else "a wrong answer was given"
        finally:
            close(living)
    except (EngramError, OSError):
        return ""
    finally:
        for path in [path for path in folder.rglob("*") if path.is_file() and path not in kept]:
            path.unlink()
        for path, content_before in kept.items():
            if not path.exists() or path.read_bytes() != content_before:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content_before)
