"""A program that asks about a table with its columns exchanged is told for every row why there is no answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engram.cli import app


def test_every_row_of_exchanged_columns_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taught, asked, brain = tmp_path / "taught.csv", tmp_path / "asked.csv", tmp_path / "b.brain"
    rows = [(6 + i / 50, -2 + i / 70, "hot") for i in range(10)]
    rows += [(-2 + i / 60, 6 + i / 40, "busy") for i in range(10)]
    taught.write_text("temp,load,label\n" + "".join(f"{t},{load},{name}\n" for t, load, name in rows))
    asked.write_text("load,temp,label\n" + "".join(f"{load},{t},{name}\n" for t, load, name in rows))
    assert app.run(["teach", str(brain), str(taught)]) == 0
    capsys.readouterr()
    assert app.run(["predict", str(brain), str(asked), "--no-remember", "--json"]) != 0
    said = json.loads(capsys.readouterr().out)
    assert said["right"] == 0
    assert [answer["known"] for answer in said["answers"]] == [False] * 20
    assert all("'load', 'temp'" in answer["refused"] for answer in said["answers"])
