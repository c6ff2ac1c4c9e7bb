"""Labels used differently by two brains are reported; sampling noise is not."""

from __future__ import annotations

import numpy as np
import pytest

from engram.brain import Brain, meld
from engram.heads.fast.conflicts import ALIKE, APART
from engram.learner import MeldError

WIDTH = 10


def points(centre: float, count: int, seed: int, axis: int = 0) -> np.ndarray:
    """Around `centre` standard deviations along an axis."""
    rng = np.random.default_rng(seed)
    mean = np.zeros(WIDTH)
    mean[axis] = centre
    return (mean + rng.normal(size=(count, WIDTH))) / 4


def brains(shift: float, count: int = 60, seed: int = 0, label: str = "cat") -> tuple[Brain, Brain]:
    """Both know a dog; the one's cat lies `shift` deviations from what the other calls `label`."""
    a, b = Brain(), Brain()
    a.learn(points(0, count, seed), "cat")
    a.learn(points(12, count, seed + 1, axis=1), "dog")
    b.learn(points(shift, count, seed + 2), label)
    b.learn(points(12, count, seed + 3, axis=1), "dog")
    return a, b


def test_one_label_for_different_things_is_reported_and_melded_by_name_all_the_same() -> None:
    a, b = brains(8.0)
    report = a.meld(b)
    (conflict,) = report.conflicts
    assert (conflict.kind, conflict.labels) == ("apart", ("cat", "cat"))
    assert conflict.distance == pytest.approx(8.0, rel=0.15)
    assert "cat" in str(conflict)
    assert a.info()["examples"] == 240


def test_two_labels_for_one_thing_are_reported() -> None:
    a, b = brains(0.0, label="Katze")
    (conflict,) = a.meld(b).conflicts
    assert (conflict.kind, conflict.labels) == ("alike", ("cat", "Katze"))


def test_strict_melding_refuses_and_changes_nothing() -> None:
    a, b = brains(8.0)
    before = a.digest()
    with pytest.raises(MeldError, match="conflict"):
        a.meld(b, strict=True)
    with pytest.raises(MeldError, match="conflict"):
        meld(a, b, strict=True)
    assert a.digest() == before
    a.meld(brains(0.0, seed=50)[1], strict=True)


@pytest.mark.parametrize("count", [5, 15, 60])
@pytest.mark.parametrize("shift", [0.0, 1.0, APART - 1.5])
def test_agreeing_labels_are_not_reported_for_noise_or_a_small_drift(count: int, shift: float) -> None:
    for seed in range(0, 100, 10):
        a, b = brains(shift, count, seed)
        assert a.meld(b).conflicts == ()


@pytest.mark.parametrize("count", [5, 15, 60])
def test_different_labels_that_differ_are_not_reported(count: int) -> None:
    for seed in range(0, 100, 10):
        a, b = brains(ALIKE + 1.5, count, seed, label="lynx")
        assert a.meld(b).conflicts == ()


def test_very_few_examples_say_nothing() -> None:
    a, b = brains(20.0, count=3)
    assert a.meld(b).conflicts == ()
