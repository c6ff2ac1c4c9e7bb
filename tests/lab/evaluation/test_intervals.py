"""Intervals of means are Student's, as SciPy has them, without SciPy."""

from __future__ import annotations

import numpy as np
import pytest

from engram.lab.evaluation.intervals import interval, student_quantile

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 29, 200])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_the_quantile_is_scipys(confidence, freedom):
    assert student_quantile(confidence, freedom) == pytest.approx(stats.t.ppf((1 + confidence) / 2, freedom), rel=1e-9)


def test_the_interval_is_scipys():
    values = np.random.default_rng(0).normal(90, 2, 12)
    expected = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert interval(values)[2:4] == pytest.approx(expected)
