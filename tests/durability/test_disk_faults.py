"""A full or broken disk, a flipped bit: a clear error, or the right brain all the same; never a wrong one."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from disk_faults import Right, break_into, calls_of, every_fault, flip, flips
from stories import DurableStory, Expected, FolderStory, LogStory, Story, close, small_log_files

STORIES = {"durable": lambda: DurableStory(10, 4), "log": lambda: LogStory(10), "folder": lambda: FolderStory(4)}


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as path:
        yield Path(path)


def faults(story: Story, root: Path, most: int | None = None) -> tuple[int, list[str]]:
    """Every call of a life refused in turn, in every way: how many were tried, and what was wrong."""
    with small_log_files():
        tried = list(every_fault(calls_of(story, root / "counted")))
        tried = tried if most is None else random.Random(0).sample(tried, min(most, len(tried)))
        expected = Expected(story)
        found = [(fault, break_into(story, expected, root / "broken", fault)) for fault in tried]
    return len(tried), [f"{fault}: {wrong}" for fault, wrong in found if wrong]


def flipped(story: Story, root: Path, each: int) -> tuple[int, list[str]]:
    """A bit turned at many places of every file, of a closed folder and of one whose program was killed."""
    living = story.create(root / "living")
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


@pytest.mark.skipif(os.name != "posix", reason="the recorded file system is that of POSIX")
@pytest.mark.parametrize("name", STORIES)
def test_a_disk_that_refuses_any_call_leaves_what_was_there_and_says_so(name: str, root: Path) -> None:
    tried, wrong = faults(STORIES[name](), root, most=60)
    assert wrong == []
    assert tried == 60


@pytest.mark.parametrize("name", STORIES)
def test_a_flipped_bit_is_an_error_or_no_harm(name: str, root: Path) -> None:
    tried, wrong = flipped(STORIES[name](), root, each=10)
    assert wrong == []
    assert tried >= 20
