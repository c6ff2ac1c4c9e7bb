"""Raw readings: several read-outs as one, and the units in which they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, polygamma
from sklearn.datasets import make_moons
from sklearn.neighbors import KNeighborsClassifier

from engram.heads.exact_sums import ExactSums
from engram.heads.fast import FastHead
from engram.heads.fast.reading import Member, Pool, Reading, _needed, pooled
from engram.heads.fast.shrinkage import Prior, coarse, deviations


@dataclass
class Fixed:
    """A read-out that gives the same scores whatever is asked."""

    given: np.ndarray
    largest: int = 1

    def scores(self, rows: Any, by_class: Any, metric: Any) -> np.ndarray:
        return self.given


def test_a_pool_is_the_weighted_mean_of_what_its_read_outs_make_of_their_scores() -> None:
    rng = np.random.default_rng(0)
    scores = [rng.normal(size=(5, 3)) * scale for scale in (1, 30, 400)]
    temperatures, weights = (0.5, 7.0, 90.0), (0.2, 0.5, 0.3)
    found = Pool(tuple(Fixed(some) for some in scores), temperatures, weights).scores(None, None, None)
    each = [np.log(w) + log_softmax(some / t, axis=1) for some, t, w in zip(scores, temperatures, weights, strict=True)]
    np.testing.assert_allclose(found, logsumexp(np.stack(each), axis=0), rtol=1e-9, atol=1e-9)


def test_a_weight_is_the_left_out_likelihood_to_a_power_and_few_examples_weigh_alike() -> None:
    truth = np.array([0, 1, 0, 1, 0, 1])
    good, bad = np.where(np.eye(2)[truth] > 0, 1.0, 0.0), np.tile([[0.3, 0.2]], (6, 1))
    members = [Member("good", Fixed(good), good), Member("bad", Fixed(bad), bad)]
    pool, _ = pooled(members, truth, np.ones(6, bool), 1.0, {})
    losses = [-log_softmax(some / t, axis=1)[np.arange(6), truth].sum()
              for some, t in zip((good, bad), pool.temperatures, strict=True)]
    expected = np.exp(-0.3 * np.array(losses))
    np.testing.assert_allclose(pool.weights, expected / expected.sum(), rtol=1e-6)
    few, _ = pooled(members, truth, np.array([True] * 3 + [False] * 3), 1.0, {})
    assert few.weights == (0.5, 0.5)


def test_from_64_left_out_examples_on_a_read_out_that_makes_no_answer_better_leaves_the_dearest_first() -> None:
    truth = np.tile([0, 1], 32)
    sure = np.where(np.eye(2)[truth] > 0, 50.0, 0.0)
    members = [Member("cheap", Fixed(sure, 10), sure), Member("dear", Fixed(sure, 1000), sure)]
    left = np.ones(64, bool)
    assert [one.largest for one in pooled(members, truth, left, 1.0, {})[0].readers] == [10]
    left[0] = False
    assert [one.largest for one in pooled(members, truth, left, 1.0, {})[0].readers] == [10, 1000]


def test_a_read_out_that_is_right_where_the_others_are_not_stays_however_dear() -> None:
    chances = np.array([[0.9, 0.9, 0.1, 0.1], [0.1, 0.1, 0.9, 0.9]])
    members = [Member("a", Fixed(np.zeros((1, 2)), 10), np.zeros((4, 2))),
               Member("b", Fixed(np.zeros((1, 2)), 1000), np.zeros((4, 2)))]
    assert _needed(members, chances, np.array([0.5, 0.5])) == [0, 1]
    assert _needed(members, chances[[0, 0]], np.array([0.5, 0.5])) == [0]


def reading(head: FastHead) -> Reading:
    head.predict(np.zeros((1, head.width)))
    found = head.view()._reading
    assert isinstance(found, Reading)
    return found


def test_what_is_told_apart_with_ease_is_asked_of_few_read_outs_and_a_curve_of_those_that_bend() -> None:
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(10, 16))
    labels = rng.integers(0, 10, 500)
    easy, curved = FastHead(normalise=False, step=2.0**-10), FastHead(normalise=False, step=2.0**-10)
    easy.learn(middles[labels] + 0.1 * rng.normal(size=(500, 16)), labels.tolist())
    x, y = make_moons(600, noise=0.2, random_state=0)
    curved.learn(x[:300], y[:300].tolist())
    few, many = reading(easy).reader, reading(curved).reader
    assert isinstance(few, Pool)
    assert len(few.readers) == 1
    assert isinstance(many, Pool)
    right = np.mean(np.array(curved.predict(x[300:]).best) == y[300:])
    assert right >= KNeighborsClassifier(5).fit(x[:300], y[:300]).score(x[300:], y[300:]) - 0.02


@pytest.mark.parametrize("examples", [2, 5, 40, 1000])
def test_units_are_deviations_shrunk_by_what_chance_explains(examples: int) -> None:
    variances = np.random.default_rng(examples).lognormal(0, 2, 12) * 1e4
    logs, noise = np.log(variances), polygamma(1, (examples - 1) / 2)
    share = max(1 - noise / logs.var(), 0.0)
    expected = np.exp(logs.mean() + share * (logs - logs.mean()))
    found = deviations(variances, examples)
    np.testing.assert_allclose(np.log2(found), np.log2(expected), atol=0.3)  # half a step, and the series for ψ'
    assert [coarse(value) for value in found] == found.tolist()


def sums_of(rows: np.ndarray) -> ExactSums:
    sums = ExactSums(rows.shape[1])
    sums.add(np.rint(rows), np.arange(len(rows)) % 4)
    return sums


def test_columns_of_a_table_have_units_of_their_own_and_wide_vectors_of_one_kind_keep_one() -> None:
    rng = np.random.default_rng(0)
    prior = Prior(64, raw=True, scaled=True)
    units = prior.units(sums_of(rng.normal(size=(400, 64)) * np.geomspace(10, 1000, 64)))
    np.testing.assert_allclose(np.log2(units), np.log2(np.square(np.geomspace(10, 1000, 64))), atol=0.6)
    wide = Prior(512, raw=True, scaled=True)
    rows = rng.normal(size=(460, 512)) * 100 * rng.uniform(0.6, 1.6, 512)
    before = wide.units(sums_of(rows[:400]))
    assert len(set(before.tolist())) == 1
    assert all(np.array_equal(wide.units(sums_of(rows[:count])), before) for count in range(401, 460, 7))
