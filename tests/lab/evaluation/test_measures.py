"""Measures agree with scikit-learn and with slow, obvious loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engram.lab.evaluation import (
    accuracy,
    auroc,
    confusion_matrix,
    precision,
    recall,
    share_accepted,
    share_refused,
    threshold_refusing,
)
from engram.learner import InputError

metrics = pytest.importorskip("sklearn.metrics")
few_values = arrays(np.float64, st.integers(1, 40), elements=st.integers(-3, 3).map(float))
digits = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(few_values, few_values)
def test_auroc_is_scikit_learns_with_ties(known, unknown):
    truth = np.r_[np.ones(len(known)), np.zeros(len(unknown))]
    assert auroc(known, unknown) == pytest.approx(metrics.roc_auc_score(truth, np.r_[known, unknown]))


@given(few_values, few_values)
def test_auroc_of_swapped_sides_is_the_complement(known, unknown):
    assert auroc(known, unknown) + auroc(unknown, known) == pytest.approx(1.0)


@pytest.mark.parametrize(("known", "unknown"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0])])
def test_auroc_without_scores_is_refused(known, unknown):
    with pytest.raises(InputError):
        auroc(known, unknown)


@given(digits)
def test_accuracy_recall_precision_and_confusion_are_scikit_learns(pairs):
    predicted, truth = (list(side) for side in zip(*pairs, strict=True))
    assert accuracy(predicted, truth) == pytest.approx(metrics.accuracy_score(truth, predicted))
    expected = metrics.confusion_matrix(truth, predicted, labels=range(5))
    assert np.array_equal(confusion_matrix(predicted, truth, range(5)), expected)
    if 2 in truth:
        assert recall(predicted, truth, 2) == pytest.approx(expected[2, 2] / expected[2].sum())
    if 2 in predicted:
        assert precision(predicted, truth, 2) == pytest.approx(expected[2, 2] / expected[:, 2].sum())


def test_a_refusal_is_never_right_and_has_a_column_of_its_own():
    assert accuracy([None, 1], [0, 1]) == 0.5
    assert confusion_matrix([None, 1], [0, 1], [0, 1]).tolist() == [[0, 0, 1], [0, 1, 0]]


def test_a_label_that_is_not_in_the_matrix_is_refused():
    with pytest.raises(InputError, match="bird"):
        confusion_matrix(["bird"], ["cat"], ["cat"])


def test_predictions_and_labels_of_two_lengths_are_refused():
    with pytest.raises(InputError, match="2 predictions with 1"):
        accuracy([1, 2], [1])


def test_recall_of_an_absent_label_is_nan():
    assert np.isnan(recall([1], [1], 2))


def test_shares_of_refused_and_accepted():
    assert share_refused([True, True, True, False]) == 0.25
    assert share_accepted([True, True, True, False]) == 0.75


@given(arrays(np.float64, 50, elements=st.floats(-5, 5), unique=True))
def test_a_threshold_refuses_the_share_it_was_asked_for(scores):
    assert np.mean(scores < threshold_refusing(scores, 0.1)) == pytest.approx(0.1, abs=0.02)
