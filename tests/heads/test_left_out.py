"""Leave-one-out answers against a head from which the example was really taken."""

from __future__ import annotations

import numpy as np
import pytest

from engram.heads.fast import FastHead
from engram.heads.fast.reading import ReadOutKind
from engram.learner import FloatArray

WIDTH = 6


def stream(count: int, classes: int = 4, spread: float = 0.8) -> tuple[FloatArray, list[str]]:
    rng = np.random.default_rng(4)
    labels = rng.integers(classes, size=count)
    x = rng.normal(size=(classes, WIDTH))[labels] + spread * rng.normal(size=(count, WIDTH))
    return x, [f"c{i}" for i in labels]


@pytest.mark.parametrize("readout", ["cosine", "linear", "prototypes"])
def test_answers_are_those_of_a_head_that_forgot_the_example(readout: ReadOutKind) -> None:
    x, y = stream(80)
    head = FastHead(covariance=np.eye(WIDTH) * 0.3, readout=readout)
    head.learn(x, y)
    if readout == "prototypes":
        head.consolidate()
    head.settle()
    left = head.left_out()
    taught = {row.tobytes(): i for i, row in enumerate(head.quantise(x).astype(np.int16))}
    rows = left.rows.astype(np.int16)
    assert len(rows) == len(left.truth) == len(x)
    as_known = 0
    for place, row in enumerate(rows):
        i = taught[row.tobytes()]
        without = FastHead.from_state(head.state())
        without.forget(x[i], y[i])
        answer = without.predict(x[i])
        assert left.labels[left.truth[place]] == y[i]
        assert left.labels[left.best[place]] == answer.best[0]
        as_known += left.known[place] == answer.known[0]
        assert left.confidence[place] == pytest.approx(answer.confidence[0], abs=0.02)  # the temperature is fitted anew
    assert as_known >= 0.97 * len(rows)  # and so is the threshold


def test_near_duplicates_are_left_out_together() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 64))
    shown = np.repeat(centres, 6, axis=0) + 1.2 * rng.normal(size=(30, 64))
    labels = [f"c{i}" for i in np.repeat(np.arange(5), 6)]
    once, twice = FastHead(), FastHead()
    once.learn(shown, labels)
    for _ in range(2):
        twice.learn(shown + 0.02 * rng.normal(size=shown.shape), labels)
    assert len(twice.left_out().truth) == len(once.left_out().truth) == 30
    asked = np.repeat(centres, 40, axis=0) + 1.2 * rng.normal(size=(200, 64))
    assert abs(twice.predict(asked).known.mean() - once.predict(asked).known.mean()) < 0.05


def test_the_confusion_matrix_and_the_accuracies_say_the_same() -> None:
    x, y = stream(200, spread=1.5)
    head = FastHead(covariance=np.eye(WIDTH))
    head.learn(x, y)
    left = head.left_out()
    confusion = left.confusion()
    assert confusion.sum() == len(left.truth)
    assert 0.3 < np.trace(confusion) / confusion.sum() < 1
    shares = np.diagonal(confusion) / confusion.sum(axis=1)
    assert list(left.accuracy().values()) == pytest.approx(shares.tolist())


def test_labels_of_one_example_and_empty_heads_have_no_answers() -> None:
    head = FastHead(normalise=False, step=0.01)
    assert (head.left_out().labels, len(head.left_out().truth)) == ((), 0)
    head.learn(np.eye(3), ["a", "b", "c"])
    assert (head.left_out().labels, len(head.left_out().truth)) == (("a", "b", "c"), 0)
    assert head.left_out().accuracy() == {}
    head.learn([[1.0, 0.1, 0.0]], ["a"])
    assert list(head.left_out().accuracy()) == ["a"]
