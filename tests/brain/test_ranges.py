"""Readings of any scale are learned with default settings; what cannot be told is refused, by row and column."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from engram import Brain
from engram.cli import app
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.heads.fast import FastHead
from engram.inputs.tables import Table
from engram.learner import FloatArray, InputError, RangeWarning

SCALES = [1e-6, 1e-4, 1e-2, 1.0, 30.0, 1e3, 1e6]


def readings(width: int, count: int = 20, seed: int = 0) -> tuple[FloatArray, list[str]]:
    """Two states, apart by 3 in every column, with deviation 1."""
    rng = np.random.default_rng(seed)
    centres = 3.0 * np.stack([np.arange(width) % 2, 1 - np.arange(width) % 2])
    return np.repeat(centres, count, axis=0) + rng.normal(size=(2 * count, width)), ["a"] * count + ["b"] * count


def right(brain: Brain, rows: FloatArray, names: list[str]) -> float:
    answers = brain.predict(rows)
    return float(np.mean([label == name for label, name in zip(answers.best, names, strict=True)]))


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("scale", SCALES)
def test_all_columns_of_one_scale(scale: float, one_by_one: bool) -> None:
    rows, names = readings(16)
    brain = Brain()
    if one_by_one:
        for row, name in zip(rows * scale, names, strict=True):
            brain.learn(row, name)
    else:
        brain.learn(rows * scale, names)
    fresh, expected = readings(16, seed=1)
    assert right(brain, fresh * scale, expected) > 0.95
    assert brain.info()["zero_columns"] == []


@pytest.mark.parametrize("first", [2, 4, 40])
def test_each_column_of_its_own_scale(first: int) -> None:
    """Only the columns on their own tell the states apart, in turn: none may be lost."""
    scales = np.array([1e-5, 1e-4, 1.0, 1e4, 1e6])
    for column in range(5):
        rows, names = readings(5)
        rows[:, np.arange(5) != column] = np.random.default_rng(2).normal(size=(40, 4))
        order = np.random.default_rng(3).permutation(40)
        rows, names = rows[order], [names[i] for i in order]
        plain = Brain()
        plain.learn(rows, names)
        as_good = right(plain, rows, names)
        rows *= scales
        brain = Brain()
        brain.learn(rows[:first], names[:first])
        if first < 40:
            brain.learn(rows[first:], names[first:])
        assert right(brain, rows, names) >= as_good - 0.1, column


@pytest.mark.parametrize("rows", [
    np.random.default_rng(0).normal(size=(1, 16)), np.random.default_rng(1).uniform(0, 1, (3, 64)),
    np.eye(8)[:1], np.zeros((2, 3)), np.array([[8.0, -8.0, 6e-17]]), np.array([[0.001]]), np.array([[0.01, 5.0]]),
    np.random.default_rng(2).normal(size=(1, 512)) / 22.6, np.random.default_rng(3).normal(size=(4, 256)).clip(0),
])  # fmt: skip
def test_readings_of_about_one_mean_what_they_always_did(rows: FloatArray) -> None:
    assert Bundle.for_vectors(rows).fingerprint == Bundle.of_vectors(rows.shape[1]).fingerprint


def test_one_reading_out_of_range_is_one_row_that_is_not_known() -> None:
    rows, names = readings(8)
    brain = Brain()
    brain.learn(rows, names)
    many = np.tile(rows, (250, 1))
    expected = brain.predict(many)
    many[4321, 5] = 1e9
    for published in (False, True):
        if published:
            brain.publish()
        answers = brain.predict(many)
        assert not answers.known[4321]
        assert answers[4321].label is None
        others = np.arange(len(many)) != 4321
        assert np.array_equal(answers.known[others], expected.known[others])
        np.testing.assert_array_equal(answers.scores[others], expected.scores[others])


def test_a_reading_out_of_range_is_said_counted_and_kept() -> None:
    rows, names = readings(3)
    brain = Brain()
    brain.learn(rows, names)
    far = rows[:2].copy()
    far[1, 2] = -1e12
    with pytest.warns(RangeWarning, match=r"Vector 2, column 3: -1e\+12 is outside .*largest=\[8, 8, 1e\+12\]"):
        brain.predict(far, remember=True)
    assert (brain.out_of_range, brain.info()["out_of_range"]) == (1, 1)
    kept = [unknown for unknown in brain.unknowns if np.abs(unknown.features).max() > 30]
    assert len(kept) == 1
    assert isinstance(brain.bundle.backbone, VectorBackbone)  # type: ignore[union-attr]
    raw = brain.bundle.backbone.readings(kept[0].features.astype(np.float64))  # type: ignore[union-attr]
    assert raw[2] == pytest.approx(-1e12, rel=1e-3)
    group = next(group for group in brain.unknown_groups() if kept[0].number in group.members)
    with pytest.raises(InputError, match=r"column 3: -(9\.9+e\+11|1e\+12) is outside"):
        brain.name(group.number, "broken")


def test_a_column_is_warned_of_once_without_control_characters_and_nothing_is_kept_of_further_ones() -> None:
    brain = Brain()
    names = ("temp", "lo\x1b[2Jad")
    brain.learn(Table(np.random.default_rng(0).normal(size=(20, 2)), names), "idle")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for reading in range(1, 51):
            brain.predict(Table(np.array([[0.0, reading * 1e12]]), names))
        brain.predict(Table(np.array([[1e12, 0.0]]), names))
    assert [one.category for one in said] == [RangeWarning] * 2
    assert not any("\x1b" in str(one.message) for one in said)
    assert brain.out_of_range == 51


def test_a_fault_far_beyond_the_first_readings_is_taught_and_told_from_another() -> None:
    """50 and 500 times as large as anything in the first readings, in one column of four of different units."""
    rows, names = readings(4, count=40)
    rows = (rows + 10) * [1e-4, 1.0, 1e3, 1e6]
    faults = rows[:40].copy()
    faults[:20, 2] *= 50
    faults[20:, 2] *= 500
    kinds = ["jammed"] * 20 + ["broken"] * 20
    brain = Brain()
    brain.learn(rows, names)
    assert brain.predict(faults).labels == [None] * 40
    brain.learn(faults[::2], kinds[::2])
    assert brain.predict(faults[1::2]).labels == kinds[1::2]
    assert right(brain, rows, names) > 0.95


def test_what_is_larger_than_the_first_readings_is_told_as_finely_as_before() -> None:
    plain, room = VectorBackbone(1), VectorBackbone.ranged(np.linspace(-8, 8, 20)[:, None])
    near = np.linspace(-8, 8, 4001)[:, None]
    np.testing.assert_array_equal(plain.features(near), room.features(near))
    far = np.geomspace(8, 1e7, 200)[:, None]
    assert (np.diff(room.features(far)[:, 0]) > 2.0**-10).all()
    np.testing.assert_allclose(room.readings(room.features(-far).astype(np.float64)), -far, rtol=1e-4)


def test_the_range_of_each_column_is_given(tmp_path: Path) -> None:
    bundle = Bundle.of_vectors(3, largest=[1e-4, 1.0, 1e6])
    bundle.save(tmp_path / "b")
    assert Bundle.open(tmp_path / "b").fingerprint == bundle.fingerprint
    brain = Brain(bundle)
    brain.learn([[1e-4, 0.1, 1e6], [2e-5, 0.9, 2e5]], ["a", "b"])
    np.testing.assert_allclose(bundle.backbone.readings(brain.exact_sums().sums * bundle.step),  # type: ignore[attr-defined]
                               [[1e-4, 0.1, 1e6], [2e-5, 0.9, 2e5]], rtol=1e-2)
    for bad in ([1.0, 2.0], [1.0, 2.0, 0.0], "large", True, [1.0, 2.0, "x"]):
        with pytest.raises(InputError, match="largest"):
            Bundle.of_vectors(3, largest=bad)  # type: ignore[arg-type]


def test_bundles_of_earlier_versions_answer_as_they_did() -> None:
    """Just out of range is not taken for what is taught at its edge."""
    brain = Brain(Bundle.bare(VectorBackbone(2), step=2.0**-10, normalise=False, scaled=False))
    brain.learn([[7.99, 0.0], [7.98, 0.1], [0.0, 7.99], [0.1, 7.98]] * 5, ["a", "a", "b", "b"] * 5)
    for beyond in ([8.01, 0.0], [0.0, 8.01]):  # asked as it is, and by its view
        with pytest.warns(RangeWarning):
            assert brain.predict([[7.99, 0.0], beyond]).labels == ["a", None]
        brain.publish()
    assert brain._knowledge.total.read_by == "linear"
    now = Brain(Bundle.of_vectors(2))
    now.learn([[7.99, 0.0], [7.98, 0.1], [0.0, 7.99], [0.1, 7.98]] * 5, ["a", "a", "b", "b"] * 5)
    assert now.predict([[7.99, 0.0], [8.01, 0.0], [80.0, 0.0]]).labels == ["a", "a", None]
    assert now._knowledge.total.read_by == "pool"


@pytest.mark.parametrize("scale", [np.ones(4), np.array([1e-4, 1.0, 1e3, 1e6])])
def test_units_of_columns_change_no_answer(scale: FloatArray) -> None:
    rows, names = readings(4, count=30)
    fresh, _ = readings(4, count=30, seed=1)
    one, other = Brain(Bundle.of_vectors(4)), Brain(Bundle.of_vectors(4, largest=(8 * scale).tolist()))
    one.learn(rows, names)
    other.learn(rows * scale, names)
    answers = zip(one.predict(fresh).best, other.predict(fresh * scale).best, strict=True)
    assert np.mean([mine == theirs for mine, theirs in answers]) > 0.96


def test_when_learning_it_is_named_by_row_and_column_in_its_own_units(tmp_path: Path) -> None:
    rows, names = readings(4)
    rows *= [1, 1e3, 1, 1e-4]
    brain = Brain()
    brain.learn(rows, names)
    before = brain.digest()
    bad = rows.copy()
    bad[7, 1] = 1e12
    with pytest.raises(InputError, match=r"Vector 8, column 2: 1e\+12 is outside -5\.\d+e\+10 to 5\.\d+e\+10, .*leave"):
        brain.learn(bad, names)
    lines = ["v,rpm,t,amps,label", "1,2000,1,2e-4,a", "1,1e19,1,2e-4,a"]
    (tmp_path / "more.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"Vector 2 \(.*more\.csv:2\), column 2 \(rpm\): 1e\+19 is outside"):
        brain.learn(tmp_path / "more.csv")
    assert brain.digest() == before
    head = FastHead(step=0.01, normalise=False)
    with pytest.raises(InputError, match="Vector 2, column 3: the value lies 900"):
        head.learn([[1.0, 2, 3], [1, 2, 900]], "a")


def test_a_row_that_would_be_kept_as_zeros_is_refused() -> None:
    brain = Brain(Bundle.of_vectors(3))
    brain.learn([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], "a")  # zeros are readings like others
    brain.learn([[1.0, 0.0, 0.0], [1e-4, 0.0, 0.0]], "a")  # and one may be near them
    with pytest.raises(InputError, match=r"Vector 2: the largest reading, 0\.0001, is too small .* zeros"):
        brain.learn([[1.0, 2.0, 3.0], [1e-4, 1e-7, 1e-5]], "a")
    with pytest.raises(InputError, match="Vector 1 would be kept as zeros"):
        FastHead(step=0.01, normalise=False).learn([1e-4, 1e-5], "a")
    with pytest.raises(InputError, match="Vector 1: the largest reading"):
        brain.learn([[1e-4, 0.0, 0.0], [2e-4, 0.0, 0.0]], "a")
    assert brain.predict([1e-4, 0.0, 0.0]).best == ["a"]


def test_a_vector_without_a_direction_is_one_row_that_is_not_known() -> None:
    head = FastHead()
    head.learn([[1.0, 0.1], [0.0, 1.0]], ["right", "up"])
    for asked in (head, head.view()):
        answers = asked.predict([[1.0, 0.1], [0.0, 0.0], [0.1, 1.0]])
        assert answers.labels == ["right", None, "up"]


def test_columns_of_which_nothing_is_kept_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brain = Brain(Bundle.of_vectors(3))
    brain.learn([[1.0, 1e-5, 2.0], [2.0, 2e-5, 1.0]], ["a", "b"])
    assert brain.info()["zero_columns"] == [1]
    brain.save(tmp_path / "b")
    assert app.run(["info", str(tmp_path / "b")]) == 0
    assert "kept as 0    column 2:" in capsys.readouterr().out
    (tmp_path / "t.csv").write_text("v,amps,rpm,label\n1.5,1e-5,2,a\n")
    assert app.run(["teach", str(tmp_path / "b"), str(tmp_path / "t.csv")]) == 0
    said = capsys.readouterr().err
    assert "amps" in said
    assert "carry no information: all values are 0 or too small" in said


def test_ranges_last_and_are_melded_where_they_agree(tmp_path: Path) -> None:
    rows, names = readings(3)
    scaled = rows * [1e-4, 1, 1e4]
    with Brain.create(tmp_path / "b") as brain:
        brain.learn(scaled, names)
        assert isinstance(brain.bundle and brain.bundle.backbone, VectorBackbone)
        digest = brain.digest()
    with Brain.open(tmp_path / "b") as opened:
        assert opened.digest() == digest
        assert right(opened, scaled, names) > 0.95
        other = Brain()
        other.learn(scaled[::2], names[::2])
        opened.meld(other)
        assert sum(opened.counts().values()) == 60


def test_callers_whose_first_examples_have_other_ranges_are_all_learned() -> None:
    brain, start = Brain(), threading.Barrier(8)
    trouble: list[BaseException] = []

    def teach(place: int) -> None:
        start.wait()
        try:
            brain.learn([[1.0, 20.0 + 4 * place, 0.0]], f"c{place}")
        except BaseException as error:
            trouble.append(error)

    threads = [threading.Thread(target=teach, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not trouble
    assert len(brain.labels) == 8
