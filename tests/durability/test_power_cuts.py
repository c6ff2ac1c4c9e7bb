"""Power cuts lose nothing that was acknowledged; and the same trial finds the losses of a store that syncs less."""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from power_cut import Cuts
from recorded_disk import recording
from stories import DurableStory, Expected, FolderStory, LogStory, Story, fresh, judge, live, small_log_files

from engram.store import database, files


@dataclass
class Verdict:
    """What became of a story in all states of the disk."""

    states: int = 0
    wrong: int = 0
    examples: tuple[str, ...] = ()


def trial(
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
    expected, verdict, why = Expected(story), Verdict(), Counter[str]()
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


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as path:
        yield Path(path)


STORIES = {"durable": lambda: DurableStory(14, 5), "log": lambda: LogStory(13), "folder": lambda: FolderStory(4)}


@pytest.mark.skipif(os.name != "posix", reason="the recorded file system is that of POSIX")
@pytest.mark.parametrize("name", STORIES)
def test_no_power_cut_loses_what_was_acknowledged(name: str, root: Path) -> None:
    verdict = trial(STORIES[name](), root, randoms=2, most=100)
    assert verdict.examples == ()
    assert verdict.states >= 80


@pytest.mark.skipif(os.name != "posix", reason="the recorded file system is that of POSIX")
@pytest.mark.parametrize(
    ("name", "weakened"),
    [("durable", synced_less), ("log", synced_less), ("folder", folders_not_synced), ("folder", files_not_synced)],
)
def test_a_store_that_syncs_less_is_found_out(
    name: str, weakened: Callable[[], AbstractContextManager[object]], root: Path
) -> None:
    verdict = trial(STORIES[name](), root, randoms=2, most=100, weakened=weakened)
    assert verdict.wrong > 0
