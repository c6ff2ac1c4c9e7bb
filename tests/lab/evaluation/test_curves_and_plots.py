"""Curves measure what was taught so far; intervals agree with scipy; plots show every name."""

from __future__ import annotations

import io

import numpy as np
import pytest

from engram.lab.evaluation import interval, learning_curve
from engram.lab.evaluation.plots import canvas, draw_bars, draw_confusion, draw_curves
from engram.learner import InputError, Predictions


class LastTaught:
    """Predicts the label it was taught last."""

    exact = False
    boundaries = False

    def __init__(self):
        self.seen: list[int] = []

    def learn(self, inputs, targets):
        self.seen += list(targets)

    def predict(self, inputs, among=None):
        known = tuple(dict.fromkeys(self.seen))
        scores = np.tile([float(label == self.seen[-1]) for label in known], (len(inputs), 1))
        return Predictions(known, scores, np.ones(len(inputs), bool))


def batches():
    return [(np.zeros((2, 3)), [k, k]) for k in (1, 2, 3, 4, 5)]


def test_a_curve_shows_what_was_known_after_each_batch():
    curve = learning_curve(LastTaught(), batches(), np.zeros((4, 3)), [1, 2, 2, 5])
    assert curve.batches == [1, 2, 3, 4, 5]
    assert curve.accuracies == [0.25, 0.5, 0.0, 0.0, 0.25]
    assert curve.at(2) == 0.5
    assert curve.predictions[1] == [2, 2, 2, 2]


def test_a_curve_looks_only_where_asked_and_always_at_the_end():
    curve = learning_curve(LastTaught(), batches(), np.zeros((1, 3)), [5], lambda batch: batch == 2)
    assert curve.batches == [2, 5]
    assert curve.accuracies == [0.0, 1.0]
    assert curve.learn_seconds > 0
    assert curve.predict_seconds > 0


def test_an_interval_is_scipys_t_interval():
    stats = pytest.importorskip("scipy.stats")
    values = [98.7, 98.9, 98.8, 99.1, 98.6]
    found = interval(values, 0.9)
    expected = stats.t.interval(0.9, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.sd == pytest.approx(np.std(values, ddof=1))


def test_one_run_has_no_spread_and_none_is_refused():
    assert interval([3.0]) == (3.0, 0.0, 3.0, 3.0, 1)
    with pytest.raises(InputError):
        interval([])


def test_plots_write_every_name_and_number():
    matplotlib = pytest.importorskip("matplotlib")
    figure, (left, middle, right) = canvas(3)
    draw_curves(left, {"fast head": ([1, 2], [90, 95], [1, 1])}, "images", "accuracy (%)",
                references={"published": 93.0})
    draw_confusion(middle, [[8, 1, 1], [0, 10, 0]], ["cat", "dog"], "who is who")
    draw_bars(right, {"ours": (99.25, 0.1), "theirs": (98.5, 0.0)}, "AUROC (%)", span=(90.0, 100.0))
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg")
    text = file.getvalue()
    for name in ("fast head", "published", "cat", "who is who", "ours", "99.25", "axis cut", "accuracy"):
        assert name in text
