"""A served brain notices that its folder, or only its log, is another one, and goes over to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from engram.brain import Brain
from engram.learner import EngramError
from engram.server.served_brain import ServedBrain

pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere open files can be neither moved nor removed")

ROWS = [[1.0, 0.1], [0.0, 1.0]]


@pytest.mark.parametrize("what", ["folder", "log"])
def test_what_was_put_in_its_place_is_served(tmp_path: Path, what: str) -> None:
    with Brain.create(tmp_path / "brain") as brain:
        brain.learn(ROWS, ["right", "up"])
        brain.save(tmp_path / "backup")
    served = ServedBrain("brain", tmp_path / "brain")
    served.open()
    served.change(lambda brain: brain.learn(ROWS[0], "right"))
    assert not served.replaced()
    if what == "folder":
        (tmp_path / "brain").rename(tmp_path / "old")
        shutil.copytree(tmp_path / "backup", tmp_path / "brain")
    else:
        for file in (tmp_path / "brain").glob("log.*"):
            file.unlink()
        for file in (tmp_path / "backup").glob("log.*"):
            shutil.copy(file, tmp_path / "brain")
    with pytest.raises(EngramError, match="moved, removed or replaced"):
        served.change(lambda brain: brain.learn(ROWS[0], "right"))
    assert served.replaced()
    served.swap()
    assert not served.replaced()
    assert served.counts == {"right": 1, "up": 1}
    served.change(lambda brain: brain.learn(ROWS[1], "up"))
    assert served.counts == {"right": 1, "up": 2}
    served.close()
