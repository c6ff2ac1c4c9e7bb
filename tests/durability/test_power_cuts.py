"""Power cuts lose nothing that was acknowledged; and the same trial finds the losses of a store that syncs less."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from brain_story import BrainStory, frequent_snapshots
from stories import DurableStory, FolderStory, LogStory
from trials import files_not_synced, folders_not_synced, power_cuts, synced_less

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the recorded file system is that of POSIX")
STORIES = {
    "brain": lambda: BrainStory(14), "durable": lambda: DurableStory(14, 5), "log": lambda: LogStory(13),
    "folder": lambda: FolderStory(7),
}  # fmt: skip


@pytest.fixture
def root() -> Iterator[Path]:
    quick = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with frequent_snapshots(), tempfile.TemporaryDirectory(dir=quick) as path:
        yield Path(path)


@pytest.mark.parametrize("name", STORIES)
def test_no_power_cut_loses_what_was_acknowledged(name: str, root: Path) -> None:
    verdict = power_cuts(STORIES[name](), root, randoms=2, most=100)
    assert verdict.examples == ()
    assert verdict.states >= 80


@pytest.mark.parametrize(
    ("name", "weakened"),
    [
        ("brain", synced_less), ("brain", folders_not_synced), ("log", synced_less), ("folder", folders_not_synced),
        ("folder", files_not_synced),
    ],
)
def test_a_store_that_syncs_less_is_found_out(
    name: str, weakened: Callable[[], AbstractContextManager[object]], root: Path
) -> None:
    verdict = power_cuts(STORIES[name](), root, randoms=2, most=100, weakened=weakened)
    assert verdict.wrong > 0
