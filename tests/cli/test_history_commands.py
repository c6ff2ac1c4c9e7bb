"""A brain's past at the terminal: what happened, going back, single examples, and brains as files."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from terminal import Terminal

from engram.brain import Brain
from engram.cli.history import _moment

X = np.eye(4)


@pytest.fixture
def engram(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """In a folder with a brain that eve taught two cats and ann a dog, and with files of vectors."""
    monkeypatch.chdir(tmp_path)
    with Brain.create("b") as brain:
        brain.learn(X[:2], "cat", teacher="eve")
        brain.learn(X[2:3], "dog", teacher="ann")
    np.save("new.npy", X[3:] + 0.1)
    return Terminal(capsys)


def counts(engram: Terminal, brain: str = "b") -> dict[str, int]:
    return {entry["label"]: entry["examples"] for entry in engram.answers("info", brain)["labels"]}


def test_the_history_tells_who_taught_what_newest_first(engram: Terminal) -> None:
    engram.says("teach", "b", "new.npy", "--label", "owl", "--teacher", "eve")
    entries = engram.answers("history", "b")
    assert [(e["kind"], e["teacher"], e["labels"]) for e in entries] == [
        ("taught", "eve", [{"label": "owl", "examples": 1}]),
        ("taught", "ann", [{"label": "dog", "examples": 1}]),
        ("taught", "eve", [{"label": "cat", "examples": 2}]),
    ]
    assert [e["seq"] for e in engram.answers("history", "b", "--before", entries[1]["first"])] == [entries[2]["seq"]]
    shown = engram.says("history", "b", "--limit", "1")
    assert "owl (1)" in shown
    assert f"--before {entries[0]['first']}" in shown


def test_one_goes_back_and_forth_by_number_and_by_time(engram: Terminal) -> None:
    with Brain.open("b", readonly=True) as brain:
        then, digest = brain.seq, brain.digest()
    between = datetime.now(UTC)
    engram.says("teach", "b", "new.npy", "--label", "owl")
    assert engram.answers("rollback", "b", "--to", then)["digest"] == digest
    assert [entry["undone"] for entry in engram.answers("history", "b")][:2] == [False, True]
    said = engram.says("rollback", "b", "--to", then + 2)
    assert "4 examples (+1)" in said
    suggested = said.partition("engram ")[2].split()
    engram.says(*suggested)
    assert "owl" not in counts(engram)
    assert engram.answers("rollback", "b", "--to", between.isoformat())["to"] == then
    assert "was created after" in engram.refuses("rollback", "b", "--to", "2h")
    assert "numbered 1 to" in engram.refuses("rollback", "b", "--to", "999")
    assert "neither an event number nor a time" in engram.refuses("rollback", "b", "--to", "soon", code=2)


def test_changes_are_undone_one_after_the_other_but_a_forget_is_not(engram: Terminal) -> None:
    engram.says("rename", "b", "cat", "felis")
    assert "cat is called felis" in engram.says("undo", "b")
    assert engram.answers("undo", "b")["undone"]["labels"] == [{"label": "dog", "examples": 1}]
    assert counts(engram) == {"cat": 2}
    engram.says("forget", "b", "--id", engram.answers("examples", "b")[0]["id"])
    assert "forgotten for good" in engram.refuses("undo", "b")
    assert counts(engram) == {"cat": 1}


def test_two_moments_are_compared(engram: Terminal) -> None:
    first = engram.answers("history", "b")[-1]["seq"]
    engram.says("forget", "b", "--label", "dog")
    engram.says("teach", "b", "new.npy", "--label", "owl")
    now = engram.answers("info", "b")["seq"]
    assert engram.answers("diff", "b", now - 1)["labels"] == [{"label": "owl", "before": 0, "after": 1}]
    assert "no label gained" in engram.says("diff", "b", now, now)
    assert "forgotten for good" in engram.refuses("diff", "b", first)
    assert "+1" in engram.says("diff", "b", now - 1, now)


def test_single_examples_are_listed_corrected_and_forgotten(engram: Terminal) -> None:
    listed = engram.answers("examples", "b", "--label", "cat")
    assert [(one["label"], one["teacher"]) for one in listed] == [("cat", "eve")] * 2
    engram.says("relabel", "b", listed[0]["id"], "--label", "dog")
    assert counts(engram) == {"cat": 1, "dog": 2}
    assert "no example 99" in engram.refuses("relabel", "b", 99, "--label", "dog")
    assert engram.answers("forget", "b", "--id", listed[0]["id"])["forgotten"] == 1
    assert f"--after {listed[1]['id']}" in engram.says("examples", "b", "--limit", "1")
    assert engram.answers("forget", "b", "--teacher", "eve")["labels"] == ["dog"]
    assert "no examples taught by 'eve'" in engram.refuses("forget", "b", "--teacher", "eve")
    engram.refuses("forget", "b", "--teacher", "ann", "--label", "dog", code=2)


def test_a_brain_goes_through_a_file_to_the_same_digest(engram: Terminal) -> None:
    digest = engram.answers("info", "b")["digest"]
    assert engram.answers("export", "b", "b.jsonl")["whole"]
    assert engram.answers("import", "c", "b.jsonl") == {
        "taught": 3, "known": 0, "forgotten": 0, "labels": ["cat", "dog"], "digest": digest, "same": True
    }
    assert "3 skipped: taught before" in engram.says("import", "c", "b.jsonl")
    engram.says("forget", "c", "--label", "cat")
    assert "2 skipped: forgotten in this brain" in engram.says("import", "c", "b.jsonl")
    lines = engram.says("export", "b", "-").splitlines()
    assert [json.loads(line).get("label") for line in lines] == [None, "cat", "cat", "dog"]
    engram.refuses("export", "b", "-", "--json", code=2)


def test_a_brain_is_copied_while_it_is_taught_and_a_fork_of_it_learns_beside_it(engram: Terminal) -> None:
    with Brain.open("b") as server:
        server.learn(X[3:], "owl")
        assert engram.answers("copy", "b", "same")["digest"] == server.digest()
        forked = engram.answers("copy", "b", "other", "--fork")
        assert forked["device"] != server.device
        assert "exists already" in engram.refuses("copy", "b", "same")
    engram.says("teach", "other", "new.npy", "--label", "fox")
    engram.says("teach", "b", "new.npy", "--label", "fox")
    engram.says("meld", "b", "other")
    assert counts(engram)["fox"] == 2
    assert counts(engram, "same") == {"cat": 2, "dog": 1, "owl": 1}


def test_a_file_that_is_no_export_leaves_no_brain_behind(engram: Terminal) -> None:
    Path("x.jsonl").write_text("{}\n")
    assert "Line 1" in engram.refuses("import", "c", "x.jsonl")
    assert not Path("c").exists()


def test_the_log_is_proven(engram: Terminal) -> None:
    said = engram.says("prove", "b", "--log", "--out", "proof")
    assert "3 examples are added up" in said
    assert "exactly the state" in said
    engram.refuses("prove", "b", "--log", "new.npy", code=2)


def test_a_sound_brain_is_verified_and_a_broken_one_told_and_repaired(engram: Terminal) -> None:
    with Brain.open("b") as brain:
        brain.save()
    assert "No problems found" in engram.says("verify", "b")
    snapshot = next(Path("b").glob("snapshot-*"))
    snapshot.write_bytes(snapshot.read_bytes()[:-1] + b"!")
    command = [sys.executable, "-c", "from engram.cli import main; main()", "verify", "b", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert snapshot.name in json.loads(done.stdout)["problems"][0]
    assert engram.answers("repair", "b")["done"]
    assert engram.answers("verify", "b") == {"sound": True, "problems": []}
    assert "Nothing needed repair" in engram.says("repair", "b")


def test_beside_a_writing_program_one_reads_but_does_not_write(engram: Terminal) -> None:
    rng = np.random.default_rng(0)
    np.save("far.npy", np.eye(6)[4:5])
    with Brain.create("n") as server:
        for axis, label in zip(np.eye(6), ("a", "b", "c"), strict=False):
            server.learn(axis + rng.normal(0, 0.05, (30, 6)), label)
        for command in ("info", "history", "unknowns", "examples", "verify"):
            engram.says(command, "n")
        assert counts(engram, "n") == {"a": 30, "b": 30, "c": 30}
        answer = engram.answers("predict", "n", "far.npy")
        assert not answer["answers"][0]["known"]
        assert "being written to by process" in answer["inbox"]
        assert "being written to by process" in engram.refuses("teach", "n", "far.npy", "--label", "d")
        assert "being written to by process" in engram.refuses("undo", "n")
    assert engram.answers("predict", "n", "far.npy")["inbox"] is None
    assert len(engram.answers("unknowns", "n")) == 1


@pytest.mark.parametrize(("text", "ago"), [
    ("10m", timedelta(minutes=10)), ("2h", timedelta(hours=2)), ("3 d ago", timedelta(days=3)),
    ("yesterday", timedelta(days=1)),
])
def test_a_time_may_be_said_as_so_long_ago(text: str, ago: timedelta) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert _moment(text, now) == now - ago


def test_a_time_without_a_zone_is_the_local_one() -> None:
    assert _moment("2026-03-01T12:00") == datetime(2026, 3, 1, 12).astimezone()
    assert _moment("2026-03-01T12:00+02:00") == datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_a_brain_keeps_within_the_budget_it_is_made_with(engram: Terminal) -> None:
    np.save("rows.npy", np.random.default_rng(0).uniform(-1, 1, (300, 4)))
    engram.says("teach", "small", "rows.npy", "--label", "x", "--memory-budget", "0.001")
    assert len(engram.answers("examples", "small", "--limit", "1000")) <= 125
    assert counts(engram, "small") == {"x": 300}
    assert "memory budget" in engram.refuses("teach", "small", "rows.npy", "--label", "x", "--memory-budget", "9")
