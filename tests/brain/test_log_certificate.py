"""The certificate of a log: whoever adds its examples up finds the digest; whatever is altered, it fails."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram.brain import Brain
from engram.brain.certificate import prove_log
from engram.learner import InputError

X = np.random.default_rng(0).uniform(-1, 1, (20, 3))


def verified(folder: Path) -> bool:
    """Run the script as anybody would, in an isolated Python that cannot import what is around here."""
    command = [sys.executable, "-I", str(folder / "verify_certificate.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ("FAIL" in done.stdout or "Error" in done.stderr) == (done.returncode != 0)
    return done.returncode == 0


def taught(folder: Path) -> Brain:
    """A brain with all that makes labels differ from those that were taught."""
    brain = Brain.create(folder)
    brain.learn(X[:4], "cat")
    brain.learn(X[4:8], "dog")
    brain.relabel([brain.examples("cat")[0].id], "dog")
    brain.rename("cat", "felis")
    brain.forget(ids=[brain.examples("dog")[-1].id])
    brain.learn(X[8:10], "owl")
    brain.undo()
    return brain


def test_the_remaining_examples_add_up_to_the_digest(tmp_path: Path) -> None:
    with taught(tmp_path / "b") as brain:
        said = prove_log(brain, tmp_path / "c")
        assert said["sums"][0]["digest"] == brain.digest()
        assert said["sums"][0]["of"] == ["log"]
        rows = np.load(tmp_path / "c" / "examples.npy")
        order = [3, 4, 5, 6, 7]
        assert len(rows) == 7
        np.testing.assert_array_equal(rows[order[0]], brain.quantised(X[3])[0])
    assert verified(tmp_path / "c")


def test_what_was_melded_in_is_a_sum_beside_the_examples(tmp_path: Path) -> None:
    other = Brain()
    other.learn(X[15:], "fox")
    with taught(tmp_path / "b") as brain:
        brain.meld(other)
        said = prove_log(brain, tmp_path / "c")
    assert said["sums"][0]["of"] == ["log", "rest"]
    assert sum(said["states"]["rest"]["counts"]) == 5
    assert verified(tmp_path / "c")


def test_a_brain_saved_from_memory_has_no_examples_to_show(tmp_path: Path) -> None:
    memory = Brain()
    memory.learn(X[:3], "cat")
    memory.save(tmp_path / "b")
    with Brain.open(tmp_path / "b", readonly=True) as brain:
        assert prove_log(brain, tmp_path / "c")["log"]["examples"] == 0
    assert verified(tmp_path / "c")
    with pytest.raises(InputError, match="in memory"):
        prove_log(memory, tmp_path / "d")


def altered_row(folder: Path, said: dict[str, Any]) -> None:
    rows = np.load(folder / "examples.npy")
    rows[2, 1] += 1
    np.save(folder / "examples.npy", rows)


def altered_label(folder: Path, said: dict[str, Any]) -> None:
    places = np.load(folder / "labels.npy")
    places[0] = 1 - places[0]
    np.save(folder / "labels.npy", places)


def one_less(folder: Path, said: dict[str, Any]) -> None:
    for name in ("examples.npy", "labels.npy"):
        np.save(folder / name, np.load(folder / name)[1:])
    said["log"]["examples"] -= 1


def swapped_names(folder: Path, said: dict[str, Any]) -> None:
    said["log"]["labels"].reverse()


@pytest.mark.parametrize("alter", [altered_row, altered_label, one_less, swapped_names])
def test_whatever_is_altered_shows_even_with_new_checksums(
    tmp_path: Path, alter: Callable[[Path, dict[str, Any]], None]
) -> None:
    with taught(tmp_path / "b") as brain:
        said = json.loads(json.dumps(prove_log(brain, tmp_path / "c")))
    folder = tmp_path / "c"
    alter(folder, said)
    for name in said["log"]["files"]:
        said["log"]["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    rest = {key: value for key, value in said.items() if key != "sha256"}
    said["sha256"] = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    (folder / "certificate.json").write_text(json.dumps(said))
    assert not verified(folder)
