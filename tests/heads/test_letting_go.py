"""Many examples of a class: merged and let go in time that grows with their number, and nothing is lost."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from engram.heads.fast import FastHead
from engram.heads.fast.episodes import LOOSE
from engram.learner import FloatArray, InputError

WIDTH = 16


def modes(count: int, seed: int = 0, strangers: int = 3) -> FloatArray:
    """Examples around three modes, and a few far from all."""
    rng = np.random.default_rng(seed)
    centres = 3 * np.eye(WIDTH)[:3]
    near = centres[rng.integers(3, size=count)] + 0.05 * rng.normal(size=(count, WIDTH))
    return np.concatenate([near, 3 * np.eye(WIDTH)[5 : 5 + strangers] * [[1.0]] * -1])


def make(budget: int = 2**28) -> FastHead:
    return FastHead(covariance=np.eye(WIDTH) * 0.0025, normalise=False, step=2.0**-10, memory_budget=budget)


def check_parts(head: FastHead, rows: FloatArray) -> None:
    """Prototypes partition the class: their sums and counts are those of its examples."""
    (episodes,) = head._episodes
    counts, sums = episodes.prototypes()
    assert counts.sum() == len(rows)
    np.testing.assert_array_equal(sums.sum(axis=0), head.quantise(rows).sum(axis=0))
    np.testing.assert_array_equal(episodes.second_moment(), head.quantise(rows).T @ head.quantise(rows))
    for place in range(len(episodes.counts)):
        assert np.count_nonzero(episodes.owners == place) <= episodes.counts[place]


def test_consolidating_more_than_ward_can_take_at_once_finds_the_modes_and_keeps_the_outliers() -> None:
    head, x = make(), modes(4000)
    head.learn(x, "a")
    done = head.consolidate()
    assert done.before == 4003
    assert done.after < 100
    check_parts(head, x)
    _, means = head.prototypes["a"]
    for centre in head.quantise(np.concatenate([3 * np.eye(WIDTH)[:3], x[-3:]])):
        assert np.linalg.norm(means - centre, axis=1).min() < 200  # a fifth of a unit, modes are four apart
    more = modes(3000, seed=1, strangers=0)
    head.learn(more, "a")
    assert head.consolidate().after < 100
    check_parts(head, np.concatenate([x, more]))


def test_the_same_examples_in_another_order_keep_the_same_rows() -> None:
    x = modes(3000)
    kept = []
    for order in (np.arange(len(x)), np.random.default_rng(1).permutation(len(x))):
        head = make(budget=2000 * 2 * WIDTH)
        head.learn(x[order], "a")
        assert head.memory_bytes <= head.memory_limit
        (episodes,) = head._episodes
        assert 1000 < len(episodes.rows) <= 2000
        kept.append({row.tobytes() for row in episodes.rows})
        check_parts(head, x)
    assert kept[0] == kept[1]


def test_outliers_stay_when_others_go_and_modes_become_prototypes() -> None:
    head, x = make(budget=500 * 2 * WIDTH), modes(4000)
    head.learn(x, "a")
    (episodes,) = head._episodes
    assert len(episodes.rows) <= 500
    rows = episodes.rows[episodes.owners == LOOSE].astype(np.float64)
    _, means = head.prototypes["a"]
    for stranger in head.quantise(x[-3:]):
        assert (rows == stranger).all(axis=1).any()
    for centre in head.quantise(3 * np.eye(WIDTH)[:3]):
        assert np.linalg.norm(means - centre, axis=1).min() < 200


def test_rows_that_are_all_outliers_end_in_a_bounded_number_of_prototypes() -> None:
    rng = np.random.default_rng(0)
    head = make(budget=400 * 2 * WIDTH)
    x = rng.uniform(-4, 4, size=(3000, WIDTH))
    for some in np.array_split(x, 5):
        head.learn(some, "a")
        assert head.memory_bytes <= head.memory_limit
    check_parts(head, x)
    assert len(head._episodes[0].counts) <= 256


def test_what_was_let_go_can_be_forgotten_many_at_a_time() -> None:
    x = modes(1500)
    head, never = make(budget=300 * 2 * WIDTH), make()
    head.learn(x, "a")
    head.learn(x[:50] + 8 * 0.5, "b")
    head.forget(x[:1000], "a")
    never.learn(x[1000:], "a")
    never.learn(x[:50] + 8 * 0.5, "b")
    assert head.digest() == never.digest()
    counts, _ = head.prototypes["a"]
    assert counts.sum() == 503
    assert counts.min() > 0


@pytest.mark.parametrize("width", [6, 520])  # the wide one is fitted beside serving
def test_a_copy_knows_the_same_and_goes_its_own_way(width: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, width)), [f"c{i % 3}" for i in range(120)]
    head = FastHead(covariance=np.eye(width), memory_budget=100 * 2 * width)
    head.learn(x[:60], y[:60])
    head.predict(x[:2])
    head.learn(x[60:70], y[60:70])
    head.consolidate()
    head.learn(x[70:80], y[70:80])
    copy, before = head.copy(), head.digest()
    assert copy.config() == head.config()
    assert all(np.array_equal(copy.state()[name], array) for name, array in head.state().items())
    copy.learn(x[80:], y[80:])
    copy.forget(x[3], y[3])
    copy.forget_label("c1")
    copy.rename("c2", "new")
    assert head.digest() == before
    head.learn(x[80:], y[80:])
    other = FastHead(covariance=np.eye(width), memory_budget=100 * 2 * width)
    other.learn(x, y)
    assert head.digest() == other.digest()
    np.testing.assert_allclose(head.discriminant.norms, head._readout.discriminant().norms)
    other.forget(x[3], y[3])
    other.forget_label("c1")
    other.rename("c2", "new")
    assert copy.digest() == other.digest()
    for one in (copy, head, other):
        one.rebuild()
    np.testing.assert_allclose(copy.predict(x[:5]).scores, other.predict(x[:5]).scores, atol=1e-9)


def test_the_memory_said_to_be_held_is_that_of_the_state() -> None:
    head = make(budget=300 * 2 * WIDTH)
    assert head.memory_bytes == sum(array.nbytes for array in head._arrays().values())
    head.learn(modes(1500), "a")
    head.learn(modes(20, seed=2), "b")
    assert head.memory_bytes == sum(array.nbytes for array in head._arrays().values())


def test_a_head_is_its_own_whatever_happens_to_the_state_it_came_from() -> None:
    head = make(budget=300 * 2 * WIDTH)
    head.learn(modes(1500), "a")
    state = head.state()
    again = FastHead.from_state(state)
    for array in state.values():
        if array.dtype != np.uint8:
            array[...] = 0
    assert again.digest() == head.digest()
    assert all(np.array_equal(again.state()[name], array) for name, array in head.state().items())


def test_digests_that_are_known_already_need_not_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    x = modes(1500, strangers=0)
    rows = make().quantise(x).astype(np.int16)
    digests = [hashlib.sha256(row.tobytes()).digest()[:16] for row in rows]
    plain, told = make(budget=300 * 2 * WIDTH), make(budget=300 * 2 * WIDTH)
    for start in range(0, len(rows), 100):
        plain.learn_rows(rows[start : start + 100], "a")
    monkeypatch.setattr("engram.heads.fast.episodes.hashlib", None)
    for start in range(0, len(rows), 100):
        told.learn_rows(rows[start : start + 100], "a", digests[start : start + 100])
    assert told.left_out().labels == ("a",)
    assert 0 < len(told._episodes[0].rows) <= 300
    np.testing.assert_array_equal(told._episodes[0].rows, plain._episodes[0].rows)
    with pytest.raises(InputError):
        told.learn_rows(rows[:2], "a", digests[:1])
