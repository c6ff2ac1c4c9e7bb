"""Streams whose targets are numbers, and the evaluation of what learns from them."""

from __future__ import annotations

import numpy as np
import pytest

from engram.heads.regression import Regressor
from engram.lab.evaluation.numbers import evaluate_numbers
from engram.lab.streams.numbers import NumberExperience, from_arrays
from engram.learner import InputError

X = np.random.default_rng(0).normal(size=(80, 2))


def test_errors_are_told_after_each_experience_on_every_test_part():
    near = from_arrays("near", X, X @ [1.0, 2.0])
    far = from_arrays("far", X + np.array([20.0, 0.0]), X @ [-1.0, 3.0] + 40.0, seed=1)
    report = evaluate_numbers(Regressor(), [near, far], batch=7)
    assert report.errors.shape == (3, 2)
    assert np.isnan(report.errors[0]).all()
    alone = Regressor()
    alone.learn(near.inputs, near.numbers)
    off = alone.predict(near.test_inputs).values - near.test_numbers
    assert report.errors[1, 0] == pytest.approx(np.sqrt(np.mean(off**2)))
    assert report.known[1].tolist() == pytest.approx([1.0, 0.0], abs=0.15)
    assert report.errors[2, 1] < 1.0 < report.errors[1, 1]
    assert report.forgotten[0] == pytest.approx(report.errors[2, 0] - report.errors[1, 0])
    assert 0.7 < report.inside[2].mean() <= 1.0


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="3 inputs taught"):
        NumberExperience("x", X[:3], X[:2, :1], X[:1], X[:1, :1])
    with pytest.raises(InputError, match="one experience"):
        evaluate_numbers(Regressor(), [])
