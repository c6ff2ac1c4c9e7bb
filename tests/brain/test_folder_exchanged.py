"""A brain whose folder is moved, removed or exchanged loses nothing that it acknowledged, and spoils nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from engram.brain import Brain
from engram.brain.folder_ledger import FolderLedger
from engram.brain.repair import verify
from engram.heads.fast import FastHead
from engram.learner import EngramError
from engram.store.durable import Durable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere open files can be neither moved nor removed")

ROWS = [[1.0, 0.1], [0.0, 1.0]]


def exchanged(folder: Path, backup: Path) -> None:
    """The backup takes the folder's place."""
    folder.rename(folder.with_name("old"))
    shutil.copytree(backup, folder)


@pytest.fixture
def brain(tmp_path: Path) -> Brain:
    """One whose backup lies beside it, and that learned something since."""
    brain = Brain.create(tmp_path / "brain")
    brain.learn(ROWS, ["right", "up"])
    brain.save(tmp_path / "backup")
    brain.learn([0.9, 0.0], "right")
    return brain


def test_a_restored_backup_stays_sound_and_what_was_acknowledged_is_in_the_old_folder(
    brain: Brain, tmp_path: Path
) -> None:
    exchanged(tmp_path / "brain", tmp_path / "backup")
    for change in (lambda: brain.learn(ROWS[1], "up"), lambda: brain.forget(label="up"), brain.save, brain.undo):
        with pytest.raises(EngramError, match="moved, removed or replaced"):
            change()
    assert brain.predict(ROWS).best == ["right", "up"]
    brain.close()
    for place, counts in (("brain", {"right": 1, "up": 1}), ("old", {"right": 2, "up": 1})):
        assert verify(tmp_path / place) == []
        with Brain.open(tmp_path / place) as found:
            assert found.counts() == counts
            found.learn(ROWS[0], "right")


def test_nor_is_a_file_put_beside_the_log(brain: Brain, tmp_path: Path) -> None:
    exchanged(tmp_path / "brain", tmp_path / "backup")
    ledger = brain._ledger
    assert isinstance(ledger, FolderLedger)
    with pytest.raises(EngramError, match="moved, removed or replaced"):
        ledger.keep({"slot-1-2.safetensors": b"of the old one"})
    brain.close()
    assert verify(tmp_path / "brain") == []


def test_what_is_exchanged_during_a_change_is_not_taken_up(brain: Brain, tmp_path: Path) -> None:
    Brain.create(tmp_path / "other").close()
    ledger = brain._ledger
    assert isinstance(ledger, FolderLedger)
    assert ledger.log._writer is not None
    ledger.log._writer.set_commit_hook(lambda: bool(exchanged(tmp_path / "brain", tmp_path / "backup")))
    with pytest.raises(OSError, match="while it was written to"):
        brain.learn(ROWS[1], "up")
    for _ in range(2):
        with pytest.raises(EngramError, match="moved, removed or replaced"):
            brain.learn(ROWS[1], "up")
    assert brain.counts() == {"right": 2, "up": 1}
    brain.close()
    assert verify(tmp_path / "brain") == []


def test_a_brain_that_has_not_written_yet_goes_on_from_what_is_there(brain: Brain, tmp_path: Path) -> None:
    brain.close()
    opened, follower = Brain.open(tmp_path / "brain"), Brain.open(tmp_path / "brain", readonly=True)
    exchanged(tmp_path / "brain", tmp_path / "backup")
    opened.learn(ROWS[1], "up")
    assert follower.refresh()
    assert opened.counts() == follower.counts() == {"right": 1, "up": 2}
    opened.close()
    follower.close()
    assert Brain.open(tmp_path / "brain").counts() == {"right": 1, "up": 2}


def test_another_brain_in_its_place_is_not_taken_for_it(brain: Brain, tmp_path: Path) -> None:
    brain.close()
    Brain.create(tmp_path / "other").close()
    opened = Brain.open(tmp_path / "brain")
    exchanged(tmp_path / "brain", tmp_path / "other")
    with pytest.raises(EngramError, match="another brain"):
        opened.learn(ROWS[1], "up")
    assert opened.counts() == {"right": 2, "up": 1}


def test_a_brain_goes_on_after_another_library_looked_at_its_log(brain: Brain, tmp_path: Path) -> None:
    follower = Brain.open(tmp_path / "backup", readonly=True)
    for i in range(3):
        look = sqlite3.connect(tmp_path / "brain" / "log.sqlite")
        look.execute("SELECT count(*) FROM events").fetchone()
        look.close()
        brain.learn([0.1 * i, 0.9], "up")
        assert len(brain.history()) == 3 + i
    shutil.copytree(tmp_path / "brain", tmp_path / "crashed")
    assert verify(tmp_path / "crashed") == []
    assert Brain.open(tmp_path / "crashed").digest() == brain.digest()
    follower.close()
    brain.close()


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_durable_learner_refuses_too(tmp_path: Path, when: str) -> None:
    durable = Durable.create(tmp_path / "durable", FastHead())
    durable.learn(ROWS, ["right", "up"])
    with Durable.create(tmp_path / "other", FastHead()) as other:
        other.learn(ROWS[0], ["left"])
        other.snapshot()
    if when == "during":
        assert durable.log._writer is not None
        durable.log._writer.set_commit_hook(lambda: bool(exchanged(tmp_path / "durable", tmp_path / "other")))
        with pytest.raises(OSError, match="while it was written to"):
            durable.learn(ROWS, ["right", "up"])
    else:
        exchanged(tmp_path / "durable", tmp_path / "other")
    for _ in range(2):
        with pytest.raises(EngramError, match="moved, removed or replaced"):
            durable.learn(ROWS, ["right", "up"])
    assert "left" not in durable.learner.counts
    durable.close()
    with Durable.open(tmp_path / "durable", FastHead) as found:
        assert found.learner.counts == {"left": 1}
