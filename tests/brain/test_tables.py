"""A table goes in as it is: numbers, categories, dates, truth values and missing ones, its labels in any column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engram import Brain
from engram.cli import app
from engram.extras import EXTRAS
from engram.inputs.encoding import encoded
from engram.learner import ColumnsError, InputError, LabelError, RangeWarning

COUNT = 60


def machine() -> Any:
    """Two states that a category and the temperature tell apart, beside what tells nothing."""
    pandas = pytest.importorskip("pandas")
    rng, side = np.random.default_rng(0), np.arange(COUNT) % 2
    return pandas.DataFrame({
        "temp": 20 + 3 * side + rng.normal(size=COUNT),
        "colour": pandas.Categorical(np.where(rng.random(COUNT) < 0.8, np.where(side, "red", "blue"), "green")),
        "on": np.arange(COUNT) % 3 == 0,
        "start": pandas.date_range("2026-03-01", periods=COUNT, freq="6h"),
        "load": np.where(rng.random(COUNT) < 0.1, np.nan, rng.normal(size=COUNT)),
        "state": np.where(side, "busy", "idle"),
    })


def test_a_frame_goes_in_as_it_is(tmp_path: Path) -> None:
    table = machine()
    with Brain.create(tmp_path / "b") as brain:
        brain.learn(table, "state")
        assert brain.counts() == {"idle": 30, "busy": 30}
        assert brain.columns is not None
        assert brain.columns[:6] == ("temp", "colour=blue", "colour=green", "colour=red", "on",
                                     "start (days since 2026-03-01)")
        assert brain.columns[6] == "load"
        assert brain.columns[7].startswith("load missing (as ")
    with Brain.open(tmp_path / "b") as opened:
        asked = table.drop(columns="state")
        right = np.mean(np.array(opened.predict(asked).best) == table["state"])
        assert right > 0.95
        one_by_one = [opened.predict(asked.iloc[[i]]).best[0] for i in range(0, COUNT, 7)]
        assert one_by_one == opened.predict(asked).best[::7]
        digest = opened.digest()
        opened.learn(asked.head(3), ["idle", "busy", "idle"])
        opened.forget(asked.head(3), ["idle", "busy", "idle"])
        assert opened.digest() == digest


def test_other_columns_and_another_order_are_refused() -> None:
    table, brain = machine(), Brain()
    brain.learn(table, "state")
    asked = table.drop(columns="state")
    with pytest.raises(ColumnsError, match=r"unexpected: 'state'\. Leave out .* --label state"):
        brain.predict(table)
    with pytest.raises(ColumnsError, match="missing: 'colour'"):
        brain.predict(asked.drop(columns="colour"))
    with pytest.raises(ColumnsError, match=r"come as 'load', .* frame\[\['temp', 'colour', 'on', 'start', 'load'\]\]"):
        brain.predict(asked[asked.columns[::-1]])


def test_a_new_category_is_answered_and_not_learned() -> None:
    table, brain = machine(), Brain()
    brain.learn(table, "state")
    strange = table.head(2).assign(colour=["red", "pink"])
    before = brain.digest()
    with pytest.raises(InputError, match="Row 2, column 'colour': 'pink' is a category that this brain does not know"):
        brain.learn(strange, "state")
    assert brain.digest() == before
    assert len(brain.predict(strange.drop(columns="state"))) == 2


def test_a_value_missing_where_none_was_makes_its_row_unknown_and_is_not_learned() -> None:
    table, brain = machine(), Brain()
    brain.learn(table, "state")
    gap = table.drop(columns="state").head(3).assign(temp=[20.0, np.nan, 21.0])
    with pytest.warns(RangeWarning, match="known of 1 rows. Row 2, column 'temp': the value is missing"):
        answers = brain.predict(gap, remember=True)
    assert answers.known.tolist() == [True, False, True]
    assert not len(brain.unknowns)
    for refused in (lambda: brain.learn(gap, "idle"), lambda: brain.forget(gap), lambda: brain.why(gap)):
        with pytest.raises(InputError, match="Row 2, column 'temp': the value is missing"):
            refused()
    with pytest.raises(LabelError, match="Row 1 has no label in column 'state'"):
        brain.learn(table.head(1).assign(state=[None]), "state")
    words = [f"text {place}" for place in range(COUNT)] + ["more"] * 10
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InputError, match=r"Column 'words' holds \d+ different texts"):
        Brain().learn(pandas.DataFrame({"words": [*words, *map(str, words), *(f"t{i}" for i in range(9))]}), "a")


def test_a_mapping_of_columns_is_a_table() -> None:
    brain = Brain()
    brain.learn({"temp": [20.0, 21.0, 30.0, 31.0], "kind": ["a", "a", "b", "b"]}, "kind")
    assert brain.predict({"temp": [20.5, 30.5]}).best == ["a", "b"]


def test_a_file_of_semicolons_and_decimal_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    kinds, colours = ("idle", "busy"), ("red", "blue")
    lines = [f"{20 + i % 2 * 5 + rng.normal():.2f};{colours[i % 2]};2026-03-{i + 1:02};{kinds[i % 2]}"
             for i in range(20)]
    Path("t.csv").write_text("temp;colour;day;species\n" + "\n".join(lines).replace(".", ","))
    assert app.run(["teach", "x.brain", "t.csv"]) == 1
    assert "--label species" in capsys.readouterr().err.replace("\n", " ")
    assert not Path("x.brain").exists()
    assert app.run(["teach", "x.brain", "t.csv", "--label", "species"]) == 0
    with Brain.open("x.brain", readonly=True) as brain:
        assert brain.counts() == {"idle": 10, "busy": 10}
        assert brain.columns == ("temp", "colour=blue", "colour=red", "day (days since 2026-03-01)")
        assert brain.predict({"temp": [25.0], "colour": ["blue"], "day": ["2026-03-05"]}).best == ["busy"]


def test_parquet_feather_and_arrow_are_read_as_the_data_frame_is(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    feather = pytest.importorskip("pyarrow.feather")
    table = machine()
    table.to_parquet(tmp_path / "t.parquet")
    feather.write_feather(arrow.Table.from_pandas(table), str(tmp_path / "t.feather"))
    digests = set()
    for given in (table, arrow.Table.from_pandas(table), tmp_path / "t.parquet", tmp_path / "t.feather"):
        brain = Brain()
        brain.learn(given, "state")
        assert brain.counts() == {"idle": 30, "busy": 30}
        digests.add(brain.digest())
    assert len(digests) == 1


def test_without_pyarrow_a_parquet_file_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(EXTRAS, "tables", ("no_such_package",))
    with pytest.raises(InputError, match=r"\[tables\]"):
        Brain().learn(tmp_path / "t.parquet", "state")


@pytest.mark.parametrize(("written", "later"), [
    (("24.12.2026", "2.1.2027", "03.01.2027 12:30"), "04.01.2027"),
    (("24/12/2026", "2/1/2027", "03/01/2027 12:30"), "04/01/2027"),
    (("12/24/2026", "1/2/2027", "01/03/2027 12:30"), "01/04/2027"),
])
def test_dates_are_read_as_their_column_has_them(written: tuple[str, ...], later: str) -> None:
    first = encoded({"day": list(written)}, None)
    assert first.rows[:, 0].tolist() == [0.0, 9.0, 10 + 12.5 / 24]
    assert encoded({"day": [later]}, first.names).rows.tolist() == [[11.0]]


def test_dates_that_could_be_read_either_way_are_refused() -> None:
    with pytest.raises(InputError, match=r"Column 'day': '03/04/2026' may have the day or the month first"):
        encoded({"day": ["03/04/2026", "05/06/2026"]}, None)


def test_commas_between_thousands_are_left_out_where_the_column_shows_that_they_are() -> None:
    assert encoded({"price": ["1,234.50", "999", "2,000"]}, None).rows[:, 0].tolist() == [1234.5, 999.0, 2000.0]
    assert encoded({"price": ["1.234,50", "999"]}, None, comma=True).rows[:, 0].tolist() == [1234.5, 999.0]
