"""What a brain, and what is made of one, leaves on the disk is readable by its owner alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engram.brain import Brain
from engram.brain.certificate import prove_forgotten, prove_log
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.heads import make
from engram.heads.fast import FastHead
from engram.lab.evaluation.evaluate import evaluate
from engram.lab.streams import class_incremental, from_arrays
from engram.locations import cached
from engram.server.tokens import add_token, remove_token
from engram.store.durable import Durable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")

ROWS = np.random.default_rng(0).normal(size=(12, 4))
LABELS = ["a", "b"] * 6


@pytest.fixture(autouse=True)
def _usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    return [
        f"{path.relative_to(folder)} {stat.S_IMODE(path.stat().st_mode):04o}"
        for path in folder.rglob("*")
        if path.stat().st_mode & 0o077
    ]


def test_a_brain_and_all_that_is_made_of_it(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "here" / "brain") as brain:
        brain.learn(ROWS, LABELS, teacher="ada")
        other = Brain()
        other.learn(-ROWS, LABELS)
        brain.meld(other)
        brain.predict(-2 * ROWS[:3], remember=True)
        brain.save()
        assert (tmp_path / "here" / "brain" / "log.sqlite-wal").exists()
        assert open_to_others(tmp_path) == []
        brain.forget(ROWS[0], "a")
        brain.save(tmp_path / "copy")
        brain.export(tmp_path / "events.jsonl")
        prove_log(brain, tmp_path / "log certificate")
        prove_forgotten(brain, tmp_path / "certificate", examples=ROWS[:1], labels="a", keep=tmp_path / "gone.npy")
    assert open_to_others(tmp_path) == []


def test_what_else_holds_what_was_taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    Durable.create(tmp_path / "durable", FastHead()).close()
    data = from_arrays(ROWS, np.array(LABELS))
    evaluate(make("nearest_class_mean"), class_incremental(data), out=tmp_path / "evaluation")
    Bundle.measure(VectorBackbone(4), ROWS, LABELS).save(tmp_path / "bundles" / "mine")
    cached("trained/thing", lambda folder: (folder / "sub").mkdir(mode=0o700))
    add_token(tmp_path / "tokens.json", "ada", "teach")
    remove_token(tmp_path / "tokens.json", "ada")
    assert open_to_others(tmp_path) == []


def test_an_export_keeps_what_its_target_is(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "brain") as brain:
        brain.learn(ROWS, LABELS)
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    for target in ("link", "/dev/null"):
        command = [sys.executable, "-m", "engram", "export", str(tmp_path / "brain"), target]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text().count("\n") == 13
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
