"""Brains that are taught numbers: everything that holds for labels holds for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engram import Brain, meld
from engram.checks import learner_checks
from engram.learner import InputError, LabelError, MeldError, NotTaughtError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X @ [1.0, 2.0, 3.0] + 100 + 0.1 * RNG.normal(size=60)
LAWS = [check for check in learner_checks(numbers=True) if check.law in (2, 3, 5, 6, 8)
        and "count" not in check.name]


@pytest.mark.parametrize("check", LAWS, ids=str)
def test_a_brain_for_numbers_keeps(check):
    assert check(Brain)


def test_what_was_taught_is_forgotten_undone_and_replayed_to_the_bit(tmp_path: Path) -> None:
    brain = Brain.create(tmp_path / "b")
    brain.learn(X[:40], Y[:40])
    before = brain.digest()
    for take_back in (
        lambda: brain.undo(),
        lambda: brain.forget(X[40:50]),
        lambda: brain.forget(X[40:50], Y[40:50]),
        lambda: brain.forget(ids=[example.id for example in brain.examples(limit=1000)][-10:]),
    ):
        brain.learn(X[40:50], Y[40:50])
        take_back()
        assert brain.digest() == before
    with pytest.raises(NotTaughtError):
        brain.forget(X[50:51])
    with pytest.raises(NotTaughtError):
        brain.forget(X[:1], Y[:1] + 1)
    brain.learn(X[:1], Y[:1] + 1)
    with pytest.raises(LabelError, match="2 numbers"):
        brain.forget(X[:1])
    assert brain.holds(X[:2], Y[:2]) == [1, 1]
    brain.undo()
    brain.close()
    with Brain.open(tmp_path / "b") as again:
        follower = Brain.open(tmp_path / "b", readonly=True)
        again.learn(X[50:], Y[50:])
        assert follower.refresh()
        assert follower.digest() == again.digest()
        assert np.allclose(follower.predict(X).values, again.predict(X).values)
        assert Brain.from_state(again.state()).digest() == again.digest()


def test_brains_for_numbers_meld_and_travel_as_events(tmp_path: Path) -> None:
    one, two, whole = Brain.create(tmp_path / "one"), Brain(), Brain()
    one.learn(X[:30], Y[:30])
    two.learn(X[30:], Y[30:])
    whole.learn(X, Y)
    assert meld(one, two).digest() == meld(two, one, two).digest() == whole.digest()
    one.export(tmp_path / "events")
    fresh = Brain()
    fresh.import_events(tmp_path / "events")
    assert fresh.digest() == one.digest()
    other = Brain()
    other.learn(X[:2], ["a", "b"])
    with pytest.raises(MeldError):
        meld(one, other)


def test_a_brain_stays_with_numbers_or_with_labels() -> None:
    numbers, labels = Brain(), Brain()
    numbers.learn(X[:5], Y[:5])
    labels.learn(X[:2], ["a", "b"])
    with pytest.raises(InputError, match="answers numbers: teach it numbers, not 'a'"):
        numbers.learn(X[:1], ["a"])
    with pytest.raises(InputError, match="labels need a brain of their own"):
        numbers.learn(X[:1], [1], numbers=False)
    with pytest.raises(InputError, match="numbers need a brain of their own"):
        labels.learn(X[:1], [1.5], numbers=True)
    with pytest.raises(LabelError, match="must be str or int"):
        labels.learn(X[:1], [1.5])
    for refused in (lambda: numbers.why(X[:1]), lambda: numbers.audit(), lambda: numbers.learn_not(X[:1], "value"),
                    lambda: numbers.relabel([1], "x")):
        with pytest.raises(InputError, match="answers numbers"):
            refused()
    with pytest.raises(InputError, match="gate"):
        Brain(gate=0.3).learn(X[:5], Y[:5])
    whole = Brain()
    whole.learn(X, np.arange(60), numbers=True)
    assert whole.info()["numbers"]["names"] == ["value"]


def test_a_column_is_of_numbers_by_what_is_in_it(tmp_path: Path) -> None:
    def table(values: list[object], name: str) -> dict[str, list[object]]:
        return {"temp": X[: len(values), 0].tolist(), "load": X[: len(values), 1].tolist(), name: values}

    def answers_numbers(values: list[object], name: str, **how: bool) -> bool:
        brain = Brain()
        brain.learn(table(values, name), name, **how)
        return brain.info()["numbers"] is not None

    prices = [100_000 + 7 * i for i in range(30)]
    assert answers_numbers([1.5, 2.0, 3.0], "label")
    assert answers_numbers(prices, "price")
    assert not answers_numbers(prices, "price", numbers=False)
    assert not answers_numbers(prices[:10], "price")
    assert answers_numbers(prices[:10], "price", numbers=True)
    assert not answers_numbers([i % 5 for i in range(30)], "kind")
    brain = Brain()
    with pytest.raises(InputError, match="Row 2, column 'price': the number is missing"):
        brain.learn(table([1.5, None, 3.0], "price"), "price")
    brain.learn(table(prices, "price"), "price")
    assert brain.labels == ("price",)
    assert brain.predict(table([None, *prices[1:]], "price")).known.any()  # asked with an empty price


def test_pictures_are_taught_with_numbers_on_a_backbone_that_was_named(tmp_path: Path) -> None:
    pictures = [np.full((16, 16), shade, np.uint8) for shade in range(20, 240, 20)]
    brain = Brain.create(tmp_path / "b", "descriptor")
    brain.learn(pictures, np.linspace(0.0, 1.0, len(pictures)))
    brain.close()
    with Brain.open(tmp_path / "b") as again:
        assert again.bundle is not None
        assert again.bundle.targets is not None
        assert np.allclose(again.predict(pictures).values[:, 0], np.linspace(0, 1, len(pictures)), atol=0.2)
    labels = Brain.create(tmp_path / "c", again.bundle)
    labels.learn(pictures[:2], ["dark", "light"], numbers=False)
    assert labels.predict(pictures[0]).best == ["dark"]


def test_several_numbers_are_answered_together() -> None:
    brain = Brain()
    brain.learn(X, np.column_stack([Y, -Y]))
    found = brain.predict(X[0])[0]
    assert found.values is not None
    assert found.interval is not None
    assert found.values[0] == pytest.approx(Y[0], abs=0.5)
    assert found.interval[1, 0] < -Y[0] < found.interval[1, 1]


def test_a_number_that_is_missing_among_floats_is_told_as_such() -> None:
    with pytest.raises(InputError, match="number of input 1 is NaN"):
        Brain().learn([[1.0], [2.0], [3.0]], [1.0, None, 3.0])
