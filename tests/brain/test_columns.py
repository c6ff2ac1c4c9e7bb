"""Columns that have names are never taken by place: the names are kept with the brain, and others are refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.recfunctions import unstructured_to_structured

from engram import Brain, meld
from engram.cli import app
from engram.features.backbones.bundle import Bundle
from engram.inputs.examples import read_table
from engram.inputs.tables import Table
from engram.learner import InputError, LabelError, MeldError

NAMES = ("temp", "load")
ROWS = np.array([[6.0, -2.0], [6.5, -2.5], [-2.0, 6.0], [-2.5, 6.5]])
LABELS = ["hot", "hot", "busy", "busy"]


def csv(path: Path, names: tuple[str, ...] = NAMES, *, labels: bool = True, rows: np.ndarray = ROWS) -> Path:
    """The rows as a file, their columns in the order of the names."""
    lines = [",".join([*names, *(["label"] if labels else [])])]
    for row, label in zip(rows, LABELS, strict=True):
        cells = [str(row[NAMES.index(name)]) if name in NAMES else "0" for name in names]
        lines.append(",".join([*cells, *([label] if labels else [])]))
    path.write_text("\n".join(lines) + "\n")
    return path


def frame(names: tuple[str, ...] = NAMES, kind: str = "pandas"):  # type: ignore[no-untyped-def]
    columns = {name: ROWS[:, NAMES.index(name)] for name in names}
    if kind == "structured":
        return unstructured_to_structured(np.stack(list(columns.values()), axis=1), names=list(names))
    if kind == "table":
        return Table(np.stack(list(columns.values()), axis=1), names)
    return pytest.importorskip("pandas").DataFrame(columns)


KINDS = ("pandas", "structured", "table", "csv")


def given(kind: str, names: tuple[str, ...], folder: Path):  # type: ignore[no-untyped-def]
    return csv(folder / f"{'-'.join(names)}.csv", names) if kind == "csv" else frame(names, kind)


@pytest.mark.parametrize("asked", KINDS)
@pytest.mark.parametrize("taught", KINDS)
def test_another_order_is_refused_however_it_comes(taught: str, asked: str, tmp_path: Path) -> None:
    brain = Brain()
    brain.learn(given(taught, NAMES, tmp_path), LABELS)
    assert brain.columns == NAMES
    assert brain.predict(given(asked, NAMES, tmp_path)).best == LABELS
    before, swapped = brain.digest(), given(asked, NAMES[::-1], tmp_path)
    for use in (brain.predict, lambda rows: brain.learn(rows, LABELS), brain.forget, brain.holds, brain.quantised):
        with pytest.raises(InputError, match=r"come as 'load', 'temp', .* taught 'temp', 'load'.*frame\[list"):
            use(swapped)
    with pytest.raises(InputError, match=r"missing: 'load'; unexpected: 'humidity'"):
        brain.predict(given(asked, ("temp", "humidity"), tmp_path) if asked == "csv" else
                      Table(ROWS, ("temp", "humidity")))
    assert brain.digest() == before
    assert brain.predict(ROWS).best == LABELS  # without names, by place


def test_the_names_last(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "b") as brain:
        brain.learn(ROWS, LABELS)
        assert brain.columns is None
        brain.learn(frame(kind="table"), LABELS)  # names that come later count from then on
        assert [entry.kind for entry in brain.history()] == ["taught", "taught"]
        brain.undo()
        assert sum(brain.counts().values()) == 4
    with Brain.open(tmp_path / "b") as opened:
        assert opened.columns == tuple(opened.info()["columns"]) == NAMES
        opened.save(tmp_path / "copy")
        assert Brain.from_state(opened.state()).columns == NAMES
    assert Brain.open(tmp_path / "copy", readonly=True).columns == NAMES
    in_memory = Brain()
    in_memory.learn(frame(kind="table"), LABELS)
    in_memory.save(tmp_path / "saved")
    in_memory.learn(ROWS, LABELS)
    in_memory.save(tmp_path / "saved")
    assert Brain.open(tmp_path / "saved", readonly=True).columns == NAMES


def test_a_follower_learns_the_names(tmp_path: Path) -> None:
    with Brain.create(tmp_path / "b") as brain, Brain.open(tmp_path / "b", readonly=True) as follower:
        brain.learn(ROWS, LABELS)
        follower.refresh()
        brain.learn(frame(kind="table"), LABELS)
        assert follower.refresh()
        assert follower.columns == NAMES


def test_brains_with_other_columns_do_not_meld() -> None:
    one, other, plain = Brain(), Brain(), Brain()
    one.learn(frame(kind="table"), LABELS)
    other.learn(frame(NAMES[::-1], "table"), LABELS)
    plain.learn(ROWS, LABELS)
    with pytest.raises(MeldError, match="'temp', 'load'; 'load', 'temp'"):
        meld(one, other)
    assert meld(plain, one).columns == NAMES


def test_a_bundle_without_names_takes_them_from_the_first_table(tmp_path: Path) -> None:
    brain = Brain(Bundle.of_vectors(2))
    brain.learn(csv(tmp_path / "t.csv"))
    assert brain.columns == NAMES


def test_files_learned_together_agree_on_their_columns(tmp_path: Path) -> None:
    csv(tmp_path / "a.csv")
    csv(tmp_path / "b.csv", NAMES[::-1])
    with pytest.raises(InputError, match=r"b\.csv: The columns come as 'load', 'temp'"):
        Brain().learn([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_a_frame_may_hold_the_labels() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"temp": ROWS[:, 0], "Label": LABELS, "load": ROWS[:, 1]})
    brain = Brain()
    brain.learn(table)
    assert brain.columns == NAMES
    assert brain.predict(table).best == LABELS
    counted = Brain()
    counted.learn(pandas.DataFrame(ROWS), pandas.Series(LABELS))  # its columns are counted, not named
    assert counted.columns is None
    with pytest.raises(InputError, match="column 'load'"):
        Brain().learn(pandas.DataFrame({"temp": [1.0, 2.0], "load": ["high", 3.0]}), "a")
    with pytest.raises(InputError, match="More than one column is called 'x'"):
        Brain().learn(pandas.DataFrame(ROWS, columns=["x", "x"]), "a")


def test_measurements_are_no_labels(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("temp,load,label\n1,2,3.5\n2,3,4.5\n")
    brain = Brain()
    brain.learn({"temp": [1.0, 2.0], "load": [2.0, 3.0]}, ["a", "b"])
    with pytest.raises(LabelError, match=r"The column 'label' holds numbers with fractions, such as 3\.5"):
        brain.learn(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("temp,load,label\n1,2,3\n2,3,v1.5\n")
    assert read_table(tmp_path / "t.csv").labels == ["3", "v1.5"]


def test_names_and_values_are_as_many(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("temp,load,label\n1,2,3,hot\n")
    with pytest.raises(InputError, match="names"):
        Brain().learn(tmp_path / "t.csv")
    with pytest.raises(InputError, match="3 names for 2 columns"):
        Table(ROWS, ("a", "b", "c"))


def test_an_export_carries_names_and_ranges(tmp_path: Path) -> None:
    far = Table(ROWS * [1e-4, 1e4], NAMES)
    with Brain.create(tmp_path / "a") as brain:
        brain.learn(far, LABELS)
        brain.export(tmp_path / "a.jsonl")
        digest = brain.digest()
    with Brain.create(tmp_path / "b") as again:
        again.import_events(tmp_path / "a.jsonl")
        assert again.digest() == digest
        assert again.columns == NAMES
        assert again.predict(far).best == LABELS
    with Brain.create(tmp_path / "c") as swapped:
        swapped.learn(Table(ROWS * [1e-4, 1e4], NAMES[::-1]), LABELS)
        with pytest.raises(InputError, match="the columns 'temp', 'load', but this brain was taught 'load', 'temp'"):
            swapped.import_events(tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    for bad in ({"columns": ["temp"]}, {"columns": [1, 2]}, {"readings": 3}, {"readings": {"width": 2}}):
        with pytest.raises(InputError):
            Brain().import_events(io.StringIO("\n".join([json.dumps(json.loads(lines[0]) | bad), *lines[1:]])))


def test_the_terminal_refuses_columns_in_another_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    csv(Path("taught.csv"))
    csv(Path("asked.csv"), NAMES[::-1])
    assert app.run(["teach", "both", "taught.csv", "asked.csv"]) == 1
    assert not Path("both").exists()
    assert app.run(["teach", "b", "taught.csv"]) == 0
    assert app.run(["info", "b"]) == 0
    assert "columns      'temp', 'load'" in capsys.readouterr().out.replace("temp, load", "'temp', 'load'")
    for line in (["predict", "b", "asked.csv"], ["teach", "b", "asked.csv"], ["forget", "b", "--example", "asked.csv"]):
        assert app.run(line) == 1
        assert "put them into that order" in capsys.readouterr().err
    assert app.run(["predict", "b", "taught.csv"]) == 0
    assert "4 of 4 answers agree with the labels" in capsys.readouterr().out


@pytest.mark.parametrize(("content", "hint"), [
    ("1,2\n3,\n", "row 2, column 2: the value is missing: fill in missing values"),
    ("1,2\nNA,2\n", "row 2, column 1: the value is missing"),
    ("temp,load,state\n1,2,hot\n3,4,cold\n", "that is what some rows say in column 'state'. If the column holds the"
     " labels, name it"),
    ("temp,load,label\n1,2,hot\n3,4x,hot\n", "row 2, column 'load': '4x' is not a number"),
])
def test_a_table_that_cannot_be_read_says_how_to_mend_it(tmp_path: Path, content: str, hint: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises((InputError, LabelError), match=hint):
        Brain().learn(tmp_path / "t.csv", "hot")


def test_a_frame_with_its_labels_in_another_column_says_how_to_name_them() -> None:
    frame = pytest.importorskip("pandas").DataFrame({"temp": [1.0, 2.0], "state": ["hot", "cold"]})
    with pytest.raises(LabelError, match=r"column 'state'. If the column holds the labels, name it: brain.learn"):
        Brain().learn(frame, "hot")
    with pytest.raises(LabelError, match=r"Column 'state' holds text; if it holds the labels: brain.learn\(table, 'st"):
        Brain().learn(frame)
    brain = Brain()
    brain.learn(frame, "state")
    assert (brain.columns, brain.counts()) == (("temp",), {"hot": 1, "cold": 1})
