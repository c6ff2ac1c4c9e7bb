"""The exact regressor: its laws, its closed forms against independent computations, its intervals and unknowns."""

from __future__ import annotations

import numpy as np
import pytest

from engram.checks import learner_checks
from engram.heads.regression import Regressor, Targets
from engram.heads.regression.intervals import student
from engram.heads.regression.ridge_fit import Moments, RidgeFit, answered_by, best_penalty
from engram.learner import CapacityError, InputError

RNG = np.random.default_rng


@pytest.mark.parametrize("check", learner_checks(numbers=True, counts=(30, 64)), ids=str)
def test_a_regressor_keeps(check):
    assert check(Regressor)


def test_left_out_errors_are_those_of_fitting_again_without_the_example():
    rng = RNG(0)
    x, y = rng.normal(size=(25, 4)), rng.normal(size=(25, 2))
    fit = RidgeFit.with_penalty(Moments.of(x, y), 2.0)
    found = fit.left_out(x, y, np.zeros(25), np.ones(25, int)).residuals

    def answered_without(i: int) -> np.ndarray:  # the intercept is not shrunk: it is a column of ones
        rest = np.delete(np.arange(25), i)
        design = np.column_stack([x - x.mean(axis=0), np.ones(25)])
        penalty = np.diag([2.0] * 4 + [0.0])
        weights = np.linalg.solve(design[rest].T @ design[rest] + penalty, design[rest].T @ y[rest])
        return design[i] @ weights

    assert np.allclose(found, [y[i] - answered_without(i) for i in range(25)])


def test_what_was_taught_several_times_is_left_out_as_a_whole():
    rng = RNG(0)
    x, y = rng.normal(size=(25, 4)), rng.normal(size=(25, 2))
    times = np.arange(25) % 3 + 1
    found = RidgeFit.with_penalty(Moments.of(np.repeat(x, times, axis=0), np.repeat(y, times, axis=0)), 2.0).left_out(
        x, y, np.zeros(25), times)
    rest = np.delete(np.arange(25), 5)  # taught three times
    without = RidgeFit.with_penalty(
        Moments.of(np.repeat(x[rest], times[rest], axis=0), np.repeat(y[rest], times[rest], axis=0)), 2.0)
    answer, spread = without.answer(x[5:6], np.zeros(1))
    assert np.allclose(found.residuals[5], y[5] - answer)
    assert np.allclose(found.spread[5], spread)


def test_rows_taught_again_do_not_confirm_each_other():
    rng = RNG(1)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    once, often = Regressor(), Regressor()
    once.learn(x, y)
    for _ in range(20):
        often.learn(x, y)
    assert often.left_out_error >= 0.95 * once.left_out_error
    widths = [float(np.diff(one.predict(x).intervals, axis=2).mean()) for one in (once, often)]
    assert widths[1] > 0.9 * widths[0]
    single = Regressor()
    single.learn([1.0, 2.0], 3.5)
    assert np.isnan(single.left_out_error)


def test_the_strength_is_the_one_with_the_least_left_out_error():
    rng = RNG(1)
    x = rng.normal(size=(40, 6))
    y = x[:, :1] + rng.normal(size=(40, 1))
    penalty, error = best_penalty(x @ x.T, y, 6)
    scale = y.std()
    errors = [np.square(RidgeFit.with_penalty(Moments.of(x, y), factor * penalty).left_out(
        x, y, np.zeros(40), np.ones(40, int)).residuals / scale).mean() for factor in (1 / 3, 1.0, 3.0)]
    assert errors[1] == pytest.approx(error) == min(errors)


def test_a_linear_function_is_fitted_as_scikit_learn_fits_it():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = RNG(2)
    x = rng.uniform(-4, 4, size=(200, 5))
    y = x @ [1.0, -2.0, 0.5, 0.0, 3.0] + 10 + rng.normal(size=200)
    regressor = Regressor()
    regressor.learn(x, y)
    features = regressor.view().numbers.features
    assert regressor.kind == "linear"
    standard = features.unit(np.rint(x * 1024))
    theirs = linear_model.Ridge(alpha=regressor.view().numbers.fit.penalty).fit(standard, y).predict(standard)
    assert np.allclose(regressor.predict(x).values[:, 0], theirs, atol=2e-3)


def test_a_curved_function_is_told_from_a_straight_one():
    rng = RNG(3)
    x = rng.uniform(-3, 3, size=(150, 1))
    regressor = Regressor()
    regressor.learn(x, np.sin(2 * x) + 0.05 * rng.normal(size=x.shape))
    asked = np.linspace(-2.5, 2.5, 50)[:, None]
    assert regressor.kind == "curved"
    assert np.abs(regressor.predict(asked).values - np.sin(2 * asked)).mean() < 0.05


def test_intervals_cover_nine_of_ten_and_inputs_unlike_any_taught_are_unknown():
    rng = RNG(4)
    x = rng.normal(size=(2000, 3))
    y = x @ [1.0, 2.0, -1.0] + rng.standard_t(4, size=2000)
    regressor = Regressor()
    regressor.learn(x[:400], y[:400])
    found = regressor.predict(x[400:])
    low, high = found.intervals[:, 0].T
    assert 0.87 < ((low <= y[400:]) & (y[400:] <= high)).mean() < 0.93
    assert 0.005 < 1 - found.known.mean() < 0.04
    assert not regressor.predict([[30.0, -30.0, 30.0], [500.0, 0.0, 0.0]]).known.any()
    assert str(regressor.predict([30.0, -30.0, 30.0])[0]) == "Nothing I know"


def test_several_numbers_of_very_different_size_are_answered_at_once():
    rng = RNG(5)
    x = rng.normal(size=(60, 2))
    y = np.column_stack([x[:, 0] * 1e-6, 3e6 + 1e5 * x[:, 1]])
    regressor = Regressor(Targets.like(y, ("small", "large")))
    regressor.learn(x, y)
    assert np.allclose(regressor.predict(x).values, y, rtol=1e-3, atol=1e-9)
    assert regressor.labels == ("small, large",)


def test_the_numbers_of_an_input_are_found_and_a_number_beyond_the_range_is_refused():
    regressor = Regressor()
    regressor.learn([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]], [5.0, 6.0, 7.0])
    assert [found.ravel().tolist() for found in regressor.numbers_of([[1.0, 2.0], [9.0, 9.0]])] == [[5.0, 6.0], []]
    with pytest.raises(InputError, match="beyond"):
        regressor.learn([1.0, 2.0], 1e12)
    with pytest.raises(InputError, match="gate"):
        Regressor(gate=0.3)


def test_students_quantiles_are_those_of_the_tables():
    assert [round(student(0.95, n), 2) for n in (2, 4, 10, 30)] == pytest.approx([2.92, 2.13, 1.81, 1.70], abs=0.02)


def test_capacity_is_checked_before_anything_changes():
    regressor = Regressor()
    regressor.learn([[1.0]], [1.0])
    regressor.sums.total = 2**27
    before = regressor.targets
    with pytest.raises(CapacityError):
        regressor.learn([[2.0]], [2.0])
    assert regressor.targets is before


def test_kernels_answer_as_the_features_that_they_are_products_of():
    rng = RNG(8)
    x, y, asked = rng.normal(size=(12, 4)), rng.normal(size=(12, 2)), rng.normal(size=(3, 4))
    found = answered_by(x @ x.T, y, 2.0, asked @ x.T)
    assert np.allclose(found, RidgeFit.with_penalty(Moments.of(x, y), 2.0).answer(asked, np.zeros(3))[0])


def test_with_few_rows_the_choice_of_a_function_does_not_flatter_its_error_and_intervals():
    claimed, true, inside = [], [], []
    for seed in range(12):
        rng = RNG(seed)
        x = rng.normal(size=(225, 5))
        y = x[:, 0] * x[:, 1] + x[:, 2] + np.abs(x[:, 3]) + 0.5 * rng.normal(size=225)
        regressor = Regressor()
        regressor.learn(x[:25], y[:25])
        found = regressor.predict(x[25:])
        low, high = found.intervals[:, 0].T
        claimed.append(regressor.left_out_error[0] ** 2)
        true.append(np.square(found.values[:, 0] - y[25:]).mean())
        inside.append(((low <= y[25:]) & (y[25:] <= high)).mean())
    assert np.sqrt(np.mean(claimed) / np.mean(true)) > 0.92
    assert np.mean(inside) > 0.88
