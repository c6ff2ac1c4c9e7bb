"""The trials: a story lived on a recorded disk whose power is cut everywhere, on one that refuses, on one that rots;
and what weakens the store, to show that the trials would find it.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from disk_faults import Right, break_into, calls_of, every_fault, flip, flips
from power_cut import Cuts
from recorded_disk import recording
from stories import Expected, Story, close, fresh, judge, live, small_log_files

from engram import files
from engram.store import database


@dataclass
class Verdict:
    """What became of a story: the states of the disk that were looked at, all that there are, and those gone wrong."""

    states: int = 0
    legal: int = 0
    wrong: int = 0
    examples: tuple[str, ...] = ()


def power_cuts(
    story: Story,
    root: Path,
    randoms: int = 6,
    most: int | None = None,
    weakened: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Verdict:
    """Live the story once, then cut the power everywhere.

    Args:
        most: states to look at, chosen at random; None for all.
        weakened: what makes the store sync less, while the story is lived.
    """
    with small_log_files(), recording(fresh(root / "lived")) as recorded, weakened():
        live(story, root / "lived" / "brain", recorded.acknowledged)
    journal = Cuts(recorded.operations, randoms)
    cuts = journal.cuts if most is None else random.Random(0).sample(journal.cuts, min(most, len(journal.cuts)))
    expected, verdict, why = Expected(story), Verdict(legal=len(journal.cuts)), Counter[str]()
    for number, (cut, disk) in enumerate(journal.disks(cuts)):
        disk.write(fresh(root / "found"))
        wrong = judge(story, expected, root / "found" / "brain", cut.acknowledged, go_on=number % 4 == 0)
        verdict.states += 1
        if wrong:
            verdict.wrong += 1
            why[f"{wrong} (after {cut.at} operations, {cut.acknowledged} acknowledged, {cut.how})"] += 1
    verdict.examples = tuple(text for text, _ in why.most_common(5))
    return verdict


@contextmanager
def synced_less() -> Iterator[None]:
    """synchronous=NORMAL: a commit does not wait for the disk."""
    usual = database._prepare_writing
    database._prepare_writing = lambda connection, _: usual(connection, "NORMAL")
    try:
        yield
    finally:
        database._prepare_writing = usual


@contextmanager
def folders_not_synced() -> Iterator[None]:
    usual = files.sync_folder
    modules = [m for m in _users() if getattr(m, "sync_folder", None) is usual]
    for module in modules:
        module.sync_folder = lambda path: None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.sync_folder = usual  # type: ignore[attr-defined]


@contextmanager
def files_not_synced() -> Iterator[None]:
    recorded = files.os

    class Careless:
        def __getattr__(self, name: str) -> object:
            return getattr(recorded, name)

        def fsync(self, handle: int) -> None:
            if os.path.isdir(f"/proc/self/fd/{handle}"):
                recorded.fsync(handle)

    files.os = Careless()  # type: ignore[assignment]
    try:
        yield
    finally:
        files.os = recorded  # type: ignore[assignment]


def _users() -> list[object]:
    from engram.store import event_log, folder

    return [files, folder, event_log]


def refused(story: Story, root: Path, most: int | None = None) -> tuple[int, list[str]]:
    """Every call of a life refused in turn, in every way: how many were tried, and what was wrong."""
    with small_log_files():
        tried = list(every_fault(calls_of(story, root / "counted")))
        tried = tried if most is None else random.Random(0).sample(tried, min(most, len(tried)))
        expected = Expected(story)
        found = [(fault, break_into(story, expected, root / "broken", fault)) for fault in tried]
    return len(tried), [f"{fault}: {wrong}" for fault, wrong in found if wrong]


def flipped(story: Story, root: Path, each: int) -> tuple[int, list[str]]:
    """A bit turned at many places of every file, of a closed folder and of one whose program was killed."""
    living = story.create(fresh(root) / "living")
    for step in story.steps:
        step(living)
    right = Right.of(story, living)
    shutil.copytree(root / "living", root / "killed")
    close(living)
    tried, wrong = 0, []
    for folder in (root / "living", root / "killed"):
        for file, place, bit in list(flips(folder, each)):
            tried += 1
            said = flip(story, right, folder, file, place, bit)
            if said:
                wrong.append(f"{folder.name}/{file.relative_to(folder)}, byte {place}, bit {bit}: {said}")
    return tried, wrong
