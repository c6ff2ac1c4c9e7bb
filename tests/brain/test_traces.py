"""What keeps forgotten content in the files for a while is said, and once it can go it goes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from engram.brain import Brain
from engram.brain.folder_ledger import FolderLedger
from engram.brain.repair import verify
from engram.learner import TracesError
from engram.store import event_log
from engram.store.event_log import EventLog
from engram.store.folder import Folder

POINTS = np.random.default_rng(0).normal(size=(30, 64))
SECRET = POINTS[9]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(event_log, "READERS_MS", 10)
    with Brain.create(tmp_path / "brain") as brain:
        brain.learn(POINTS[:9], "other", teacher="ann")
        brain.learn(SECRET, "secret", teacher="eve")
        brain.save()
    return tmp_path / "brain"


@contextmanager
def foreign_reader(log: Path) -> Iterator[None]:
    """Another program, with Python's own SQLite, in the midst of reading."""
    program = """
import sqlite3, sys
log = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True, isolation_level=None)
log.execute("BEGIN"); log.execute("SELECT count(*) FROM events").fetchone()
print("reading", flush=True); sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program, str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdin is not None
        assert reader.stdout.readline() == "reading\n"
        yield
        reader.stdin.close()
        reader.wait()


def holding(folder: Path) -> list[str]:
    """The files in which the secret example can be found, whole or in part."""
    unit = Brain()
    unit.learn(POINTS[:1], "x")
    parts = [unit.quantised(SECRET[None]).astype(kind).tobytes()[:48] for kind in ("<i2", "<f8", "<i8")]
    return [file.name for file in folder.rglob("*") if file.is_file() and any(p in file.read_bytes() for p in parts)]


FORGETS: dict[str, Callable[[Brain], None]] = {
    "a label": lambda brain: brain.forget(label="secret"),
    "an example": lambda brain: brain.forget(SECRET),
    "a teacher": lambda brain: brain.forget(teacher="eve"),
    "a meld that brings it": lambda brain: [brain.meld(forgetful()), None][1],
}


def forgetful() -> Brain:
    other = Brain(device="other")
    other.learn(SECRET + 1, "secret")
    other.forget(label="secret")
    return other


@pytest.mark.parametrize("name", FORGETS)
def test_a_forget_beside_a_program_that_reads_the_log_says_that_traces_remain(folder: Path, name: str) -> None:
    with Brain.open(folder) as brain:
        with foreign_reader(folder / "log.sqlite"):
            with pytest.raises(TracesError, match="another program reads the log"):
                FORGETS[name](brain)
            assert not any(brain.holds(SECRET))
            brain.learn(POINTS[10], "other")
            assert holding(folder)
            assert brain.traces() == ["log.sqlite"]
            assert "Traces of what was forgotten remain in log.sqlite" in verify(folder)[0]
        brain.learn(POINTS[11], "other")
        assert (brain.traces(), holding(folder)) == ([], [])
    assert verify(folder) == []


def test_traces_that_a_reader_kept_go_when_the_brain_is_opened_again(folder: Path) -> None:
    with foreign_reader(folder / "log.sqlite"), Brain.open(folder) as brain, pytest.raises(TracesError):
        brain.forget(label="secret")
    assert holding(folder)
    with Brain.open(folder) as brain:
        assert (brain.traces(), holding(folder)) == ([], [])


STAGES = [(FolderLedger, "snapshot"), (FolderLedger, "_write"), (Folder, "sweep"), (EventLog, "finish_erasing"),
          (FolderLedger, "check_swept")]


@pytest.mark.skipif(os.name != "posix", reason="fork is POSIX")
@pytest.mark.parametrize(("kind", "call"), STAGES)
def test_a_forget_that_a_crash_cut_short_is_finished_when_the_brain_is_opened(
    folder: Path, kind: type, call: str
) -> None:
    child = os.fork()
    if not child:
        brain = Brain.open(folder)
        brain.learn(POINTS[12], "other")  # holds the folder
        setattr(kind, call, lambda *_, **__: os._exit(9))
        brain.forget(label="secret")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    never = Brain()
    never.learn(np.concatenate([POINTS[:9], POINTS[12:13]]), "other")
    with Brain.open(folder, readonly=True) as reader:
        assert "secret" not in reader.labels
        assert reader.digest() == never.digest()
    with Brain.open(folder) as brain:
        assert brain.digest() == never.digest()
        assert (brain.traces(), holding(folder)) == ([], [])
        with Brain.open(folder) as other:  # opening it takes nobody the right to write
            other.learn(POINTS[13], "other")
    assert verify(folder) == []


@pytest.mark.skipif(os.name != "posix", reason="fork is POSIX")
@pytest.mark.parametrize("name", ["a label", "an example", "a teacher"])
def test_what_was_forgotten_just_before_a_crash_is_not_known_from_an_earlier_snapshot(folder: Path, name: str) -> None:
    child = os.fork()
    if not child:
        brain = Brain.open(folder)
        FolderLedger.snapshot = lambda *_, **__: os._exit(9)  # type: ignore[method-assign]
        FORGETS[name](brain)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    never = Brain()
    never.learn(POINTS[:9], "other")
    for readonly in (True, False):
        with Brain.open(folder, readonly=readonly) as brain:
            assert brain.digest() == never.digest()


def test_a_reader_does_not_finish_it_and_verify_says_what_remains(folder: Path) -> None:
    child = os.fork()
    if not child:
        FolderLedger.snapshot = lambda *_, **__: os._exit(9)  # type: ignore[method-assign]
        Brain.open(folder).forget(label="secret")
        os._exit(0)
    os.waitpid(child, 0)
    problems = verify(folder)
    assert any("snapshot-" in problem for problem in problems)
    assert any("log.sqlite" in problem for problem in problems)
    Brain.open(folder).close()
    assert (verify(folder), holding(folder)) == ([], [])
