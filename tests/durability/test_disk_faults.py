"""A full or broken disk, a flipped bit: a clear error, or the right brain all the same; never a wrong one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from brain_story import BrainStory, frequent_snapshots
from stories import DurableStory, FolderStory, LogStory
from trials import flipped, refused

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the recorded file system is that of POSIX")
STORIES = {
    "brain": lambda: BrainStory(9), "durable": lambda: DurableStory(10, 4), "log": lambda: LogStory(10),
    "folder": lambda: FolderStory(7),
}  # fmt: skip


@pytest.fixture
def root() -> Iterator[Path]:
    quick = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with frequent_snapshots(), tempfile.TemporaryDirectory(dir=quick) as path:
        yield Path(path)


@pytest.mark.parametrize("name", STORIES)
def test_a_disk_that_refuses_any_call_leaves_what_was_there_and_says_so(name: str, root: Path) -> None:
    tried, wrong = refused(STORIES[name](), root, most=50)
    assert wrong == []
    assert tried == 50


@pytest.mark.parametrize("name", STORIES)
def test_a_flipped_bit_is_an_error_or_no_harm(name: str, root: Path) -> None:
    tried, wrong = flipped(STORIES[name](), root, each=8)
    assert wrong == []
    assert tried >= 16
