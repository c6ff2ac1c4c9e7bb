"""Good parts alone: the head's closed forms against slow obvious ones, and what it says of a part."""

import numpy as np
import pytest

from engram.heads.parts import GoodParts
from engram.heads.parts.parts_view import PartsView
from engram.heads.parts.place_gaussians import (
    MEAN_COUNTS,
    RIDGE,
    SPREAD_COUNTS,
    PlaceGaussians,
    averaged,
    student_t,
)
from engram.learner import CapacityError, InputError

GRID, CHANNELS = (3, 4), 5
WIDTH = GRID[0] * GRID[1] * CHANNELS


def maps(count, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(GRID[0] * GRID[1], CHANNELS)) + shift
    return (places + 0.5 * np.random.default_rng(seed + 1).normal(size=(count, *places.shape))).reshape(count, -1)


def head(**options):
    return GoodParts(step=0.01, normalise=False, grid=GRID, **options)


def gaussians(rows):
    x = np.rint(rows / 0.01).reshape(len(rows), -1, CHANNELS)
    moments = np.einsum("npd,npe->pde", x, x)
    return PlaceGaussians(float(len(x)), x.sum(axis=0), moments, x, GRID), x


def slow_squares(x, of):
    """The posterior mean of a normal-inverse-Wishart prior, place by place, and the squared distance in it."""
    n, centre = len(x), x.mean(axis=(0, 1))
    within = x - x.mean(axis=0)
    common = sum(np.cov(within[:, p].T, bias=False) for p in range(x.shape[1])) / x.shape[1]
    common = common + RIDGE * np.trace(common) / CHANNELS * np.eye(CHANNELS)
    found = []
    for p in range(x.shape[1]):
        mean = (MEAN_COUNTS * centre + x[:, p].sum(axis=0)) / (MEAN_COUNTS + n)
        own = x[:, p].mean(axis=0)
        scatter = SPREAD_COUNTS * common + sum(np.outer(v, v) for v in x[:, p] - own)
        scatter += MEAN_COUNTS * n / (MEAN_COUNTS + n) * np.outer(own - centre, own - centre)
        away = of[p] - mean
        found.append(away @ np.linalg.inv(scatter / (SPREAD_COUNTS + n)) @ away)
    return np.array(found)


def test_distances_are_those_of_a_normal_inverse_wishart_posterior_of_each_place():
    parts, x = gaussians(maps(9))
    strange = x[0] + 30
    np.testing.assert_allclose(parts.squares(strange[None])[0], slow_squares(x, strange), rtol=1e-9)


def test_a_left_out_map_is_as_far_as_if_it_was_never_in_the_posterior():
    parts, x = gaussians(maps(12))
    n, inside = 12.0, parts.squares(x) / (SPREAD_COUNTS + 12)
    mean, inverse, _, _ = parts._fit
    for p in (0, 7):  # take one map out of the posterior by hand
        weight, away = MEAN_COUNTS + n, x[3, p] - mean[p]
        scatter = np.linalg.inv(inverse[p]) - weight / (weight - 1) * np.outer(away, away)
        left = x[3, p] - (mean[p] - away / (weight - 1))
        expected = (SPREAD_COUNTS + n - 1) * left @ np.linalg.inv(scatter) @ left
        assert parts.left_out[3, p] == pytest.approx(expected, rel=1e-6)
    assert (parts.left_out > (SPREAD_COUNTS + n) * inside).all()


def test_about_the_stated_share_of_good_parts_is_refused_and_a_marred_place_is_found():
    learner = head(alpha=0.1)
    learner.learn(maps(40), "plate")
    good = maps(440)[40:]
    refused = 1 - learner.predict(good).known.mean()
    assert 0.05 < refused < 0.16
    marred = good[0].reshape(*GRID, CHANNELS).copy()
    marred[2, 3] += 6
    assert learner.predict(marred.ravel()).labels == [None]
    heat = learner.heat(marred.ravel())[0]
    assert np.unravel_index(heat.argmax(), GRID) == (2, 3)
    assert heat.max() > 0


def test_several_products_are_told_apart_and_each_has_its_own_threshold():
    learner = head()
    learner.learn(maps(15), "plate")
    learner.learn(maps(15, seed=50, shift=3), "cup")
    asked = learner.predict(np.concatenate([maps(17)[15:], maps(17, seed=50, shift=3)[15:]]))
    assert asked.best == ["plate", "plate", "cup", "cup"]
    assert asked.known.all()
    learner.set_alpha(0.9, "cup")
    assert learner.predict(maps(40, seed=50, shift=3)[15:]).known.mean() < 0.5
    assert learner.left_out().accuracy() == {"plate": 1.0, "cup": 1.0}


def test_what_a_label_was_worked_out_to_be_is_kept_while_others_are_taught():
    learner = head()
    learner.learn(maps(5), "plate")
    before = learner.view()
    learner.learn(maps(5, seed=9), "cup")
    after = learner.view()
    assert isinstance(before, PartsView)
    assert isinstance(after, PartsView)
    assert after.parts[0] is before.parts[0]


def test_one_good_part_sets_no_threshold_and_too_many_are_refused():
    learner = head(memory_budget=2 * 2 * WIDTH)
    learner.learn(maps(1), "plate")
    assert learner.predict(maps(1, seed=5)).known.all()
    before = learner.digest()
    with pytest.raises(CapacityError, match="room for 2 maps"):
        learner.learn(maps(2, seed=3), "plate")
    with pytest.raises(InputError, match="counterexamples"):
        learner.learn_not(maps(1), "plate")
    with pytest.raises(InputError, match="no map"):
        head().learn(np.ones(7), "plate")
    assert learner.digest() == before


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 9, 40])
def test_quantiles_are_those_of_students_distribution(freedom):
    stats = pytest.importorskip("scipy.stats")
    for share in (0.9, 0.95, 0.98):
        assert student_t(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=0.03)


def test_averages_over_nine_places_stop_at_the_edge():
    one = np.arange(12.0).reshape(1, 3, 4)
    wide = np.pad(one[0], 1, mode="edge")
    expected = [[wide[i : i + 3, j : j + 3].mean() for j in range(4)] for i in range(3)]
    np.testing.assert_allclose(averaged(one)[0], expected)
