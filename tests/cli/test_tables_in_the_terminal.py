"""Tables in the terminal: numbers as answers, and the same rows taught again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from terminal import Terminal

ROWS = "1,2,a\n1,2,a\n3,4,b\n5,6,b\n"


@pytest.fixture
def engram(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(capsys)


def test_rows_that_are_held_are_skipped_as_often_as_they_are(engram: Terminal) -> None:
    Path("t.csv").write_text(f"temp,load,label\n{ROWS}")
    first = engram.answers("teach", "b", "t.csv")
    again = engram.answers("teach", "b", "t.csv")
    assert (first["taught"], again["taught"], again["skipped"]) == (4, 0, 4)
    assert again["digest"] == first["digest"]
    Path("t.csv").write_text(f"temp,load,label\n{ROWS}7,8,b\n1,2,a\n")
    more = engram.answers("teach", "b", "t.csv")
    assert (more["taught"], more["skipped"]) == (2, 4)


def test_a_column_of_numbers_is_answered_with_intervals(engram: Terminal) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 2)).round(3)
    lines = [f"{x},{y},{100 + 3 * x - y:.2f}" for x, y in rows]
    Path("sold.csv").write_text("\n".join(["x,y,price", *lines[:30]]))
    Path("new.csv").write_text("\n".join(["x,y,price", *lines[30:], "90,90,1"]))
    taught = engram.answers("teach", "b", "sold.csv", "--label", "price")
    assert taught["numbers"]["names"] == ["price"]
    assert engram.answers("teach", "b", "sold.csv")["skipped"] == 30
    found = engram.answers("predict", "b", "new.csv")
    assert [answer["known"] for answer in found["answers"]][-1] is False
    assert found["off_by"] < 1.0
    low, high = found["answers"][0]["intervals"][0]
    assert low < found["answers"][0]["values"][0] < high
    said = engram.says("predict", "b", "new.csv")
    assert "price (90% within)" in said
    assert "of its numbers lie in their intervals" in said
    assert "price, off by" in engram.says("info", "b")
    assert "5% of the inputs that are like those taught" in engram.says("alpha", "b", "5%")
    assert "unknown accepted" not in engram.says("alpha", "b")
    engram.says("forget", "b", "--example", "sold.csv")
    assert engram.answers("info", "b")["examples"] == 0


def test_a_number_that_is_missing_is_named_by_file_row_and_column(engram: Terminal) -> None:
    Path("sold.csv").write_text("x,price\n1,2.5\n2,3.5\n")
    Path("more.csv").write_text("x,price\n3,4.5\n4,\n")
    assert "more.csv: row 2, column 'price': the number is missing" in engram.refuses(
        "teach", "b", "sold.csv", "more.csv", "--label", "price", "--numbers")
    Path("empty.csv").write_text("")
    assert "the file is empty" in engram.refuses("teach", "b", "empty.csv")


def test_a_single_number_claims_neither_an_error_nor_intervals(engram: Terminal) -> None:
    Path("sold.csv").write_text("x,price\n1,2.5\n")
    assert "off by" not in engram.says("teach", "b", "sold.csv", "--label", "price")
    assert "intervals" not in engram.says("predict", "b", "sold.csv")


def test_a_column_whose_name_is_mistyped_is_not_taken_for_a_label(engram: Terminal) -> None:
    Path("t.csv").write_text("temp,load,price\n1,2,3\n4,5,6\n")
    assert "--label price" in engram.refuses("teach", "b", "t.csv", "--label", "prise")
    assert not Path("b").exists()
    Path("u.csv").write_text("temp,load\n1,2\n3,4\n")
    assert engram.answers("teach", "b", "u.csv", "--label", "idle")["labels"] == ["idle"]


def test_answers_are_compared_with_the_column_that_label_names(engram: Terminal) -> None:
    Path("t.csv").write_text(f"temp,load,grade\n{ROWS}")
    engram.says("teach", "b", "t.csv", "--label", "grade")
    assert engram.answers("predict", "b", "t.csv", "--label", "grade")["right"] == 4
    assert "--label grade" in engram.refuses("predict", "b", "t.csv")
    assert "No column is called 'grode'" in engram.refuses("predict", "b", "t.csv", "--label", "grode", code=2)
