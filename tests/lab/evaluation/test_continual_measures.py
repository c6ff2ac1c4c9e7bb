"""The measures of continual learning agree with matrices worked out by hand and with their formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engram.lab.evaluation.report import (
    average_accuracy,
    backward_transfer,
    forgetting,
    forgetting_of_each,
    forward_transfer,
    stability_gap,
    worst_case_accuracy,
)
from engram.learner import InputError

BY_HAND = [[0.90, 0.10, 0.30], [0.95, 0.80, 0.20], [0.60, 0.50, 0.70]]
squares = st.integers(2, 6).flatmap(lambda n: arrays(np.float64, (n, n), elements=st.floats(0, 1)))


def test_a_matrix_worked_out_by_hand():
    assert average_accuracy(BY_HAND) == pytest.approx((0.60 + 0.50 + 0.70) / 3)
    assert backward_transfer(BY_HAND) == pytest.approx(((0.60 - 0.90) + (0.50 - 0.80)) / 2)
    assert forward_transfer(BY_HAND, before=[0.5, 0.2, 0.1]) == pytest.approx(((0.10 - 0.2) + (0.20 - 0.1)) / 2)
    assert forgetting(BY_HAND) == pytest.approx(((0.95 - 0.60) + (0.80 - 0.50)) / 2)


def test_half_way_only_what_was_learned_counts():
    assert average_accuracy(BY_HAND[:2]) == pytest.approx((0.95 + 0.80) / 2)
    assert backward_transfer(BY_HAND[:2]) == pytest.approx(0.05)
    assert forward_transfer(BY_HAND[:2], before=[0, 0, 0]) == pytest.approx(0.10)
    assert forgetting(BY_HAND[:2]) == pytest.approx(0.90 - 0.95)


def test_after_one_experience_there_is_accuracy_alone():
    assert average_accuracy(BY_HAND[:1]) == 0.90
    assert math.isnan(backward_transfer(BY_HAND[:1]))
    assert math.isnan(forward_transfer(BY_HAND[:1], [0, 0, 0]))
    assert math.isnan(forgetting(BY_HAND[:1]))


@given(squares, st.floats(0, 1))
def test_they_are_their_formulas_written_out(matrix, chance):
    t = len(matrix)
    accuracy = back = forward = lost = 0.0
    for j in range(t):
        accuracy += matrix[t - 1][j] / t
        if j < t - 1:
            back += (matrix[t - 1][j] - matrix[j][j]) / (t - 1)
            lost += (max(matrix[i][j] for i in range(t - 1)) - matrix[t - 1][j]) / (t - 1)
        if j > 0:
            forward += (matrix[j - 1][j] - chance) / (t - 1)
    assert average_accuracy(matrix) == pytest.approx(accuracy)
    assert backward_transfer(matrix) == pytest.approx(back)
    assert forgetting(matrix) == pytest.approx(lost)
    assert forward_transfer(matrix, np.full(t, chance)) == pytest.approx(forward)


@given(arrays(np.float64, (4, 3, 5), elements=st.one_of(st.floats(0, 1), st.just(math.nan))))
def test_forgetting_of_a_class_is_the_mean_over_its_test_parts(recalls):
    recalls[:, np.isnan(recalls).any(axis=0)] = math.nan
    met = [0, 2, 3]
    for c, found in enumerate(forgetting_of_each(recalls, met)):
        losses = [max(recalls[:3, j, c]) - recalls[3, j, c] for j in (0, 1) if not math.isnan(recalls[0, j, c])]
        assert found == pytest.approx(sum(losses) / len(losses)) if losses else math.isnan(found)


@pytest.mark.parametrize("matrix", [[], [0.5], [[0.1], [0.2]], np.zeros((0, 3))])
def test_what_is_no_matrix_of_accuracies_is_refused(matrix):
    with pytest.raises(InputError, match="column for each experience"):
        average_accuracy(matrix)


def test_what_was_never_asked_about_has_no_forgetting():
    assert np.isnan(forgetting([[np.nan, 0.2], [0.7, 0.8]]))


def test_the_worst_case_is_its_formula_written_out():
    during = [[], [[0.4, 0, 0], [0.7, 0, 0]], [[0.8, 0.3, 0], [0.5, 0.9, 0]]]
    lowest = [min(0.9, 0.95, 0.6, 0.4, 0.7, 0.8, 0.5), min(0.8, 0.5, 0.3, 0.9)]
    assert worst_case_accuracy(BY_HAND, during) == pytest.approx(0.7 / 3 + 2 / 3 * np.mean(lowest))
    assert worst_case_accuracy(BY_HAND[:1], during[:1]) == 0.9


def test_the_stability_gap_tells_what_fell_and_what_came_back():
    during = [[], [[0.4, 0, 0], [0.7, 0, 0]], [[0.8, 0.3, 0], [0.5, 0.9, 0]]]
    (first, back), (second, none) = stability_gap(BY_HAND, during)
    assert (first, back) == (pytest.approx(0.9 - 0.4), pytest.approx(0.95 - 0.4))
    assert (second, none) == (pytest.approx((0.95 + 0.8) / 2 - (0.8 + 0.3) / 2), 0)
