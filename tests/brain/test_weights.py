"""Examples that count several times: exact, because weights are counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engram import Brain
from engram.learner import InputError

X = np.random.default_rng(0).normal(size=(6, 3))
LABELS, WEIGHTS = list("aabbcc"), [1, 2, 3, 1, 1, 2]


def test_a_weight_is_the_same_as_teaching_so_often(tmp_path: Path) -> None:
    weighted, repeated = Brain.create(tmp_path / "b"), Brain()
    learned = weighted.learn_examples(X, LABELS, weights=WEIGHTS)
    repeated.learn(np.repeat(X, WEIGHTS, axis=0), [label for label, n in zip(LABELS, WEIGHTS, strict=True)
                                                   for _ in range(n)])
    assert weighted.digest() == repeated.digest()
    assert len(learned.ids) == sum(WEIGHTS)
    weighted.close()
    with Brain.open(tmp_path / "b") as again:
        assert again.digest() == repeated.digest()
        again.forget(X[2:3])
        assert again.counts() == {"a": 3, "b": 3, "c": 3}
        again.forget(X[2:3], every_copy=True)
        assert again.counts() == {"a": 3, "b": 1, "c": 3}
    numbers, twice = Brain(), Brain()
    numbers.learn(X, X[:, 0], weights=2)
    for _ in range(2):
        twice.learn(X, X[:, 0])
    assert numbers.digest() == twice.digest()


def test_weights_that_are_no_counts_are_refused() -> None:
    brain = Brain()
    for wrong in ([0.5] * 6, [0] * 6, 2.0, [2000] * 6):
        with pytest.raises(InputError, match="whole numbers from 1 to 1000"):
            brain.learn(X, LABELS, weights=wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="2 weights for 6 inputs"):
        brain.learn(X, LABELS, weights=[1, 2])
    with pytest.raises(InputError, match="again=False"):
        brain.learn(X, LABELS, weights=2, again=False)
    assert not brain.labels
