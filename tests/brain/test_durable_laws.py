"""A brain in a folder keeps every law that one in memory keeps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engram.brain import Brain
from engram.checks import Check, learner_checks

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # many commits: without a disk's waits

LAWS = learner_checks(counts=(30, 256))  # in memory, as `test_brain_laws` asks it, it passes those between them too


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.mark.parametrize("check", LAWS, ids=str)
def test_a_durable_brain_keeps(check: Check, place: Path) -> None:
    hold(check, place, None)


@pytest.mark.parametrize("check", [check for check in LAWS if "forgotten" not in check.name], ids=str)
def test_a_durable_brain_behind_a_gate_keeps(check: Check, place: Path) -> None:
    hold(check, place, 0.3)


def hold(check: Check, place: Path, gate: float | None) -> None:
    """Check brains in folders, each of which then opens as it was left."""
    made: list[Brain] = []

    def make() -> Brain:
        made.append(Brain.create(place / str(len(made)), gate=gate))
        return made[-1]

    check(make)
    for number, brain in enumerate(made):
        digest = brain.digest()
        brain.close()
        with Brain.open(place / str(number), readonly=True) as again:
            assert again.digest() == digest
