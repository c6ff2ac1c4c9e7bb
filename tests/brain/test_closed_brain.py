"""A closed brain answers, and refuses what would be lost; after errors of the disk reading and learning go on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engram.brain import Brain
from engram.heads.fast import FastHead
from engram.learner import EngramError
from engram.store import event_log
from engram.store.durable import Durable
from engram.store.event_log import EventLog

ROWS = [[1.0, 0.1], [0.0, 1.0]]

CHANGES: dict[str, Callable[[Brain], Any]] = {
    "learn": lambda brain: brain.learn(ROWS[0], "left"),
    "forget": lambda brain: brain.forget(label="up"),
    "rename": lambda brain: brain.rename("up", "down"),
    "relabel": lambda brain: brain.relabel([5], "up"),
    "consolidate": lambda brain: brain.consolidate(),
    "meld": lambda brain: brain.meld(Brain()),
    "fork": lambda brain: brain.fork(),
    "undo": lambda brain: brain.undo(),
    "rollback": lambda brain: brain.rollback(1),
    "name": lambda brain: brain.name(1, "left"),
    "remember": lambda brain: brain.predict(ROWS, remember=True),
    "keep the inbox": lambda brain: brain.keep_unknowns(),
    "save": lambda brain: brain.save(),
    "history": lambda brain: brain.history(),
    "examples": lambda brain: brain.examples(),
    "thumbnail": lambda brain: brain.thumbnail(4),
    "export": lambda brain: brain.export(os.devnull),
    "refresh": lambda brain: brain.refresh(),
}


@pytest.fixture
def closed(tmp_path: Path) -> Brain:
    with Brain.create(tmp_path / "brain") as brain:
        brain.learn(ROWS, ["right", "up"])
    return brain


@pytest.mark.parametrize("what", CHANGES)
def test_a_closed_brain_refuses(what: str, closed: Brain, tmp_path: Path) -> None:
    before = closed.digest()
    with pytest.raises(EngramError, match=r"closed.*Brain\.open\("):
        CHANGES[what](closed)
    closed.close()
    assert closed.digest() == before == Brain.open(tmp_path / "brain").digest()


def test_a_closed_brain_answers_and_can_be_melded_into_another(closed: Brain) -> None:
    assert closed.predict(ROWS).best == ["right", "up"]
    assert closed.counts() == {"right": 1, "up": 1}
    other = Brain()
    other.meld(closed)
    assert other.digest() == closed.digest()


def test_a_brain_in_memory_has_nothing_to_close() -> None:
    with Brain() as brain:
        brain.learn(ROWS, ["right", "up"])
    brain.learn(ROWS[0], "left")
    assert brain.labels == ("right", "up", "left")


def test_a_closed_durable_learner_refuses(tmp_path: Path) -> None:
    with Durable.create(tmp_path / "durable", FastHead()) as durable:
        durable.learn(ROWS, ["right", "up"])
    with pytest.raises(EngramError, match="closed"):
        durable.learn(ROWS, ["right", "up"])
    assert durable.learner.counts == {"right": 1, "up": 1}


class Disk:
    """Fails whatever the log asks of it while it is broken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken = False
        for module, name in ((event_log, "apply"), (event_log, "connect"), (EventLog, "_rows")):
            call = getattr(module, name)
            monkeypatch.setattr(module, name, self._failing(call))

    def _failing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **more: self._or_fail(call, *given, **more)

    def _or_fail(self, call: Callable[..., Any], *given: Any, **more: Any) -> Any:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return call(*given, **more)


def test_reading_goes_on_after_two_errors_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    brain = Brain.create(tmp_path / "brain")
    brain.learn(ROWS, ["right", "up"])
    disk.broken = True
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            brain.learn(ROWS[0], "left")
    disk.broken = False
    assert [entry.kind for entry in brain.history()] == ["taught"]
    assert len(brain.examples()) == 2
    assert brain.counts() == {"right": 1, "up": 1}
    brain.learn(ROWS[0], "left")
    brain.close()
    assert Brain.open(tmp_path / "brain").counts() == {"right": 1, "up": 1, "left": 1}


def test_a_durable_learner_learns_again_once_the_disk_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    durable = Durable.create(tmp_path / "durable", FastHead())
    durable.learn(ROWS, ["right", "up"])
    disk.broken = True
    with pytest.raises(OSError, match="Input/output error"):
        durable.learn(ROWS, ["left", "left"])
    disk.broken = False
    durable.learn(ROWS[:1], ["up"])
    assert durable.learner.counts == {"right": 1, "up": 2}
