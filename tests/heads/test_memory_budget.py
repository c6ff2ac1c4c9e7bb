"""What a fast head keeps of single examples: within its budget, whatever is learned, forgotten or melded."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

from engram.heads.fast import FastHead
from engram.learner import NotTaughtError

WIDTH = 8
ROW = 2 * WIDTH  # bytes


def make(budget: int) -> FastHead:
    return FastHead(normalise=False, memory_budget=budget)


def kept(head: FastHead) -> int:
    return sum(episodes.rows.nbytes for episodes in head._episodes)


def near(count: int, seed: int = 0, about: float = 0.0) -> np.ndarray:
    return about + 0.02 * np.random.default_rng(seed).normal(size=(count, WIDTH))


def test_examples_that_stand_alone_are_kept_beyond_a_budget_too_small_for_them():
    head = make(2 * ROW)
    head.learn(np.random.default_rng(0).uniform(-1, 1, (6, WIDTH)), list("abcdef"))  # came to no end once
    assert head.labels == tuple("abcdef")
    assert head.memory_bytes <= head.memory_limit


def test_classes_that_cannot_shrink_do_not_keep_the_others_from_it():
    head = make(40 * ROW)
    head.learn(np.concatenate([near(30), near(30, 1, 0.5)]), ["a"] * 30 + ["b"] * 30)
    assert kept(head) <= 40 * ROW
    head.learn(np.random.default_rng(0).uniform(-1, 1, (20, WIDTH)), [f"c{i}" for i in range(20)])
    assert kept(head) <= 40 * ROW


@pytest.mark.parametrize("width", [1, 2, 8])
def test_the_stated_limit_holds_for_narrow_vectors_too(width: int) -> None:
    head = make(2**15)
    for seed in range(12):
        head.learn(0.3 * np.random.default_rng(seed).normal(size=(1500, width)), "a")
        assert head.memory_bytes <= head.memory_limit


def test_what_is_forgotten_counts_no_longer():
    head = make(10 * ROW)
    head.learn(near(4), "a")
    for row in near(30, 1):
        head.learn(row, "a")
        head.forget(row, "a")
    assert not any(episodes.let_go for episodes in head._episodes)
    assert kept(head) == 4 * ROW


def test_what_is_melded_counts():
    one, two = make(50 * ROW), make(50 * ROW)
    one.learn(near(40), "a")
    two.learn(near(40, 1), "a")
    one.meld(two)
    assert kept(one) <= 50 * ROW
    assert one.counts == {"a": 80}


@pytest.mark.parametrize("seed", range(3))
def test_prototypes_hold_as_many_examples_as_were_taught_while_those_let_go_are_forgotten(seed: int) -> None:
    head, x = make(30 * ROW), near(120, seed)
    labels = [f"c{i % 2}" for i in range(len(x))]
    head.learn(x, labels)
    assert any(episodes.let_go for episodes in head._episodes)
    for i in random.Random(seed).sample(range(len(x)), len(x) - 2):
        head.forget(x[i], labels[i])
        for label, (counts, _) in head.prototypes.items():
            assert counts.min() > 0
            assert counts.sum() == head.counts[label]


def test_no_more_can_be_forgotten_than_were_let_go():
    head, x = make(30 * ROW), near(60)
    head.learn(x, "a")
    before, gone = head.digest(), head._episodes[0].let_go
    with pytest.raises(NotTaughtError):
        head.forget(near(gone + 1, 7), "a")
    assert head.digest() == before


def test_a_head_that_is_asked_while_it_is_melded_loses_nothing():
    """Both used to add the examples that wait for a matrix product, each at the same time."""
    x = near(100)
    whole = make(2**20)
    whole.learn(x, "a")
    one, two = make(2**20), make(2**20)
    for row in x:
        one.learn(row, "a")
    with one._lock:  # as `digest` and `predict` hold it
        melding = threading.Thread(target=two.meld, args=(one,))
        melding.start()
        melding.join(0.2)
        assert melding.is_alive()
    melding.join(10)
    assert one.digest() == two.digest() == whole.digest()
