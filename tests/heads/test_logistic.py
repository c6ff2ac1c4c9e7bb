"""Logistic regression: scikit-learn's minimum, free of order, and honest about rows that were left out."""

import numpy as np
import pytest

from engram.heads.fast import logistic
from engram.heads.fast.logistic import FOLDS, PENALTIES, fit, held_out


def blobs(count, width, classes, apart=3.0, seed=0):
    """Rows (N, D) int16 about one centre for each class, and their classes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=count)
    centres = rng.normal(0, apart, (classes, width))
    return np.rint(100 * (centres[truth] + rng.normal(size=(count, width)))).astype(np.int16), truth


def digits():
    data = pytest.importorskip("sklearn.datasets").load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    return (data.data[order] * 50).astype(np.int16), data.target[order].astype(np.intp)


def probabilities(scores):
    there = np.exp(scores - scores.max(axis=1, keepdims=True))
    return there / there.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("penalty", [1.0, 100.0])
@pytest.mark.parametrize(
    ("rows", "truth", "tested"),
    [
        pytest.param(*digits(), 900, id="digits"),
        pytest.param(*blobs(400, 3, 2, apart=0.7), 300, id="two classes, three features"),
        pytest.param(*blobs(160, 300, 5, apart=0.2), 60, id="fewer rows than features"),
    ],
)
@pytest.mark.parametrize("small", [2**22, 0], ids=["float64", "float32"])
def test_the_minimum_and_the_accuracy_are_those_of_scikit_learn(monkeypatch, rows, truth, tested, penalty, small):
    linear_model = pytest.importorskip("sklearn.linear_model")
    monkeypatch.setattr(logistic, "_SMALL", small)
    unit, count = 150.0, int(truth.max()) + 1
    ours = fit(rows[:tested], truth[:tested], count, unit, penalty=penalty)
    # with two classes scikit-learn penalises one difference of weights, of twice their length
    share = penalty if count > 2 else penalty / 2
    theirs = linear_model.LogisticRegression(C=1 / share, tol=1e-6, max_iter=5000)
    theirs.fit(rows[:tested] / unit, truth[:tested])
    chances = theirs.predict_log_proba(rows[:tested] / unit)[np.arange(tested), truth[:tested]]
    objective = -chances.sum() + share / 2 * np.square(theirs.coef_).sum()
    assert ours.objective <= objective * (1 + 1e-4)
    right = (ours.scores(rows[tested:]).argmax(axis=1) == truth[tested:]).mean()
    assert abs(right - theirs.score(rows[tested:] / unit, truth[tested:])) <= max(0.003, 1.01 / len(rows[tested:]))


def test_the_objective_told_is_that_of_the_weights_told():
    rows, truth = blobs(200, 6, 3, apart=1.0)
    found = fit(rows, truth, 3, 100.0, penalty=2.0)
    loss = -np.log(probabilities(found.scores(rows))[np.arange(200), truth]).sum()
    assert found.objective == pytest.approx(loss + 2.0 / 2 * np.square(found.weights * 100.0).sum(), rel=1e-9)


@pytest.mark.parametrize("width", [5, 400])
def test_order_and_type_of_the_rows_change_no_bit(width):
    rows, truth = blobs(150, width, 4, apart=0.5)
    order = np.random.default_rng(1).permutation(150)
    one, other = fit(rows, truth, 4, 100.0), fit(rows[order].astype(np.float64), truth[order], 4, 100.0)
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.bias, other.bias)
    one, other = held_out(rows, truth, 4, 100.0), held_out(rows[order], truth[order], 4, 100.0)
    np.testing.assert_array_equal(one.scores[order], other.scores)
    np.testing.assert_array_equal(one.folds[order], other.folds)


def test_where_zero_lies_changes_nothing():
    rows, truth = blobs(150, 5, 3, apart=0.5)
    one, other = fit(rows, truth, 3, 100.0), fit(rows + np.int16(3000), truth, 3, 100.0)
    np.testing.assert_allclose(one.scores(rows), other.scores(rows + np.int16(3000)), atol=0.02)


def test_the_intercepts_take_up_how_frequent_each_class_is():
    rng = np.random.default_rng(0)
    truth = (rng.random(2000) < 0.1).astype(np.intp)
    rows = np.rint(rng.normal(0, 100, (2000, 4))).astype(np.int16)  # which say nothing
    found = fit(rows, truth, 2, 100.0)
    assert np.ptp(found.bias[::-1]) == pytest.approx(np.log(9), abs=0.25)
    rows, truth = blobs(900, 6, 3, apart=0.4)
    kept = (truth > 0) | (np.arange(900) % 7 == 0)
    found = fit(rows[kept], truth[kept], 3, 100.0, penalty=5.0)
    expected = probabilities(found.scores(rows[kept])).sum(axis=0)
    np.testing.assert_allclose(expected, np.bincount(truth[kept]), rtol=0.02)


def test_a_class_without_examples_is_never_answered():
    rows, truth = blobs(60, 4, 2)
    found = fit(rows, truth * 2, 3, 100.0)
    assert np.isneginf(found.scores(rows)[:, 1]).all()
    assert (found.scores(rows).argmax(axis=1) == truth * 2).mean() > 0.9


@pytest.mark.parametrize("rows", [np.ones((6, 3), np.int16), np.zeros((1, 3), np.int16), np.eye(6, 3, dtype=np.int16)])
def test_what_cannot_be_told_apart_gets_finite_scores(rows):
    truth = np.arange(len(rows)) % 2
    found = fit(rows, truth, 2, 1.0)
    assert np.isfinite(found.scores(rows)[:, : truth.max() + 1]).all()
    assert held_out(rows, truth, 2, 1.0).scores.shape == (len(rows), 2)


def test_labels_drawn_by_lot_are_left_out_at_chance():
    rows = blobs(600, 40, 1)[0]
    truth = np.random.default_rng(0).integers(2, size=600)
    left = held_out(rows, truth, 2, 100.0, penalties=(100.0, 1.0, 0.01))
    assert (fit(rows, truth, 2, 100.0, penalty=0.01).scores(rows).argmax(axis=1) == truth).mean() > 0.6
    assert abs((left.scores.argmax(axis=1) == truth).mean() - 0.5) < 0.06
    assert left.penalty == 100.0


def test_near_duplicates_are_left_out_together():
    rows, truth = blobs(200, 200, 1)[0], np.random.default_rng(0).integers(2, size=200)
    rng = np.random.default_rng(1)
    twice = np.concatenate([rows, rows + rng.integers(-2, 3, rows.shape).astype(np.int16)])
    groups = np.tile(np.arange(200), 2)

    def right(groups):
        left = held_out(twice, np.tile(truth, 2), 2, 100.0, groups=groups, penalties=(0.1,))
        return left, (left.scores.argmax(axis=1) == np.tile(truth, 2)).mean()

    left, honest = right(groups)
    np.testing.assert_array_equal(left.folds[:200], left.folds[200:])
    assert abs(honest - 0.5) < 0.1
    assert right(None)[1] > 0.8


def test_each_fold_has_its_share_of_every_class():
    rows, truth = blobs(200, 5, 6)
    truth[truth == 5] = 4
    truth[:2] = 5  # two examples: each is scored beside the other
    left = held_out(rows, truth, 6, 100.0)
    table = np.zeros((6, FOLDS), int)
    np.add.at(table, (truth, left.folds), 1)
    assert np.ptp(table, axis=1).max() <= 1
    assert np.isfinite(left.scores[np.arange(200), truth]).all()


def test_a_single_example_has_no_left_out_score_of_its_own():
    rows, truth = blobs(41, 5, 2)
    truth[0] = 2
    left = held_out(rows, truth, 3, 100.0)
    assert np.isneginf(left.scores[0, 2])
    assert np.isfinite(np.delete(left.scores[0], 2)).all()


def test_left_out_scores_are_those_of_a_fit_without_the_fold():
    rows, truth = blobs(120, 5, 3, apart=0.7)
    left = held_out(rows, truth, 3, 100.0)
    for fold in range(FOLDS):
        out = left.folds == fold
        cold = fit(rows[~out], truth[~out], 3, 100.0, penalty=left.penalty)
        np.testing.assert_allclose(
            probabilities(left.scores[out]), probabilities(cold.scores(rows[out])), atol=0.02
        )


def test_the_penalty_is_chosen_by_left_out_likelihood():
    clear, truth = blobs(400, 4, 3, apart=2.0)
    left = held_out(clear, truth, 3, 100.0)
    assert left.losses[left.penalty] == min(left.losses.values())
    assert left.penalty < PENALTIES[0]


def test_more_rows_than_fit_are_stood_for_by_those_of_the_smallest_keys(monkeypatch):
    rows, truth = blobs(400, 5, 3, apart=2.0)
    order = np.random.default_rng(1).permutation(400)
    monkeypatch.setattr(logistic, "_MOST", 5 * 200)
    one, other = fit(rows, truth, 3, 100.0), fit(rows[order], truth[order], 3, 100.0)
    np.testing.assert_array_equal(one.weights, other.weights)
    assert (one.scores(rows).argmax(axis=1) == truth).mean() > 0.85
    left = held_out(rows, truth, 3, 100.0)
    assert (left.scores.argmax(axis=1) == truth).mean() > 0.85
