"""`engram audit` finds the wrong label, tells how to correct it, and `engram why` shows what an answer rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from terminal import Terminal

from engram.brain import Brain


def directions() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.repeat(rng.normal(size=(3, 40)), 12, axis=0) + 0.7 * rng.normal(size=(36, 40))


@pytest.fixture
def engram(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """In a folder with a brain that eve taught ants, bees and cows, one bee (15.csv) as a cow, one cow twice."""
    monkeypatch.chdir(tmp_path)
    labels = ["ant"] * 12 + ["bee"] * 12 + ["cow"] * 12
    labels[15] = "cow"
    with Brain.create("b") as brain:
        brain.learn_examples(directions(), labels, teacher="eve", sources=[f"{i}.csv" for i in range(36)])
        brain.learn(directions()[30:31], "cow")
    np.save("new.npy", directions()[3:5] + 0.1)
    return Terminal(capsys)


def test_the_wrong_label_is_listed_first_and_the_suggested_command_corrects_it(engram: Terminal) -> None:
    shown = engram.says("audit", "b")
    line = next(line for line in shown.splitlines() if "15.csv" in line)
    assert line.split()[1:3] == ["cow", "bee"]
    assert "eve" in line
    assert "of 37 examples would get another label" in shown
    suggested = shown.rpartition("Correct one: engram ")[2].partition(".")[0]
    engram.says(*suggested.replace("ID", line.split()[0]).replace("LABEL", "bee").split())
    assert "15.csv" not in engram.says("audit", "b").partition("Labels that need more examples")[0]


def test_the_document_of_an_audit_has_all_that_is_shown(engram: Terminal) -> None:
    found = engram.answers("audit", "b", "--limit", "1")
    assert found["examined"] == 37
    assert [(one["label"], one["other"], one["source"]) for one in found["suspects"]] == [("cow", "bee", "15.csv")]
    assert found["suspects"][0]["margin"] > 0
    assert [[one["source"] for one in group["examples"]] for group in found["duplicates"]] == [["30.csv", None]]
    assert {need["label"] for need in found["needs"]} == {"ant", "bee", "cow"}


def test_more_than_the_limit_is_counted(engram: Terminal) -> None:
    with Brain.open("b") as brain:
        brain.learn(directions()[:3], "bee")
    assert "; --limit shows more:" in engram.says("audit", "b", "--limit", "1")


def test_nothing_taught_is_nothing_to_audit(engram: Terminal) -> None:
    Brain.create("empty").close()
    assert "none can be checked" in engram.says("audit", "empty")
    assert engram.answers("audit", "empty")["examined"] == 0
    assert "call learn first" in engram.refuses("why", "empty", "new.npy")


def test_why_names_the_nearest_label_of_what_is_refused_without_a_share(engram: Terminal) -> None:
    np.save("strange.npy", np.full((1, np.load("new.npy").shape[1]), 0.9))
    shown = engram.says("why", "b", "strange.npy")
    assert "Nothing I know (the nearest label, " in shown
    assert "was refused)" in shown
    assert "%" not in shown.splitlines()[0]


def test_why_shows_the_nearest_examples_and_the_shares(engram: Terminal) -> None:
    shown = engram.says("why", "b", "new.npy", "--nearest", "2")
    assert "new.npy:1: ant (ant " in shown
    assert "3.csv" in shown
    first, second = engram.answers("why", "b", "new.npy", "--nearest", "2")
    assert (first["label"], first["input"]) == ("ant", "new.npy:1")
    assert len(first["nearest"]) == 2
    assert (first["nearest"][0]["source"], second["nearest"][0]["source"]) == ("3.csv", "4.csv")
    assert sum(one["share"] for one in first["shares"]) == pytest.approx(1.0)
