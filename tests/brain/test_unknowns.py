"""The inbox: what is refused is kept, grouped by likeness, named, and then known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from engram.brain import Brain
from engram.brain.inbox import Inbox, linked
from engram.learner import InputError, LabelError, NotTaughtError


def cluster(axis: int, count: int, seed: int) -> np.ndarray:
    centre = np.zeros(6)
    centre[axis] = 1
    return centre + np.random.default_rng(seed).normal(0, 0.05, (count, 6))


def knowing_three() -> Brain:
    brain = Brain()
    for axis, label in enumerate(("a", "b", "c")):
        brain.learn(cluster(axis, 30, axis), label)
    return brain


def test_what_is_refused_is_kept_only_if_asked_and_grouped_by_likeness() -> None:
    brain = knowing_three()
    strange = np.concatenate([cluster(3, 8, 10), cluster(4, 5, 11)])
    assert not brain.predict(strange).known.any()
    assert len(brain.unknowns) == 0
    before = brain.digest()
    brain.predict(np.concatenate([strange, cluster(0, 5, 12)]), remember=True)
    brain.predict(strange, remember=True)  # the same again is not kept twice
    sizes = [len(group.members) for group in brain.unknown_groups()]
    assert sizes == [8, 5]
    assert brain.digest() == before


def test_a_named_group_is_learned_exactly_as_if_it_had_been_taught_and_leaves_the_inbox() -> None:
    brain, twin = knowing_three(), knowing_three()
    strange, other = cluster(3, 8, 10), cluster(4, 5, 11)
    brain.predict(np.concatenate([strange, other]), remember=True)
    first, second = brain.unknown_groups()
    assert brain.name(first.number, "d") == 8
    twin.learn(strange, "d")
    assert brain.digest() == twin.digest()
    assert [group.number for group in brain.unknown_groups()] == [second.number]
    assert brain.predict(cluster(3, 4, 13)).best == ["d"] * 4
    brain.forget(strange[0], "d")  # and can be forgotten by its original
    with pytest.raises(NotTaughtError, match="no group"):
        brain.name(first.number, "e")
    with pytest.raises(LabelError):
        brain.name(second.number, 5)


def test_what_is_taught_or_forgotten_by_hand_leaves_the_inbox() -> None:
    brain = knowing_three()
    strange = cluster(3, 3, 10)
    brain.predict(strange, remember=True)
    brain.learn(strange[:1], "d")
    assert len(brain.unknowns) == 2


def test_the_inbox_is_bounded_and_lets_the_oldest_go() -> None:
    brain = Brain(unknowns=4)
    brain.learn(cluster(0, 20, 0), "a")
    brain.learn(cluster(1, 20, 1), "b")
    brain.predict(cluster(3, 9, 10), remember=True)
    assert brain.unknowns.numbers == [6, 7, 8, 9]


def test_the_inbox_remembers_where_things_came_from_when_saved(tmp_path: Path) -> None:
    brain = knowing_three()
    np.save(tmp_path / "strange.npy", cluster(3, 2, 10))
    brain.predict(tmp_path / "strange.npy", remember=True)
    brain.save(tmp_path / "brain")
    (group,) = Brain.open(tmp_path / "brain").unknown_groups()
    assert group.sources == (f"{tmp_path / 'strange.npy'}:1", f"{tmp_path / 'strange.npy'}:2")


def test_an_empty_inbox_survives_its_state() -> None:
    again = Inbox.from_state(Inbox(7).state())
    assert (len(again), again.limit) == (0, 7)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10_000), st.floats(0.05, 0.95))
def test_groups_are_those_of_average_linkage(size: int, seed: int, cut: float) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(0, 1, (size, size))
    similarity = (similarity + similarity.T) / 2
    np.fill_diagonal(similarity, 1)
    ours = linked(similarity, cut)
    tree = linkage(squareform(1 - similarity, checks=False), "average")
    owners = fcluster(tree, 1 - cut, "distance")
    theirs = sorted(np.flatnonzero(owners == owner).tolist() for owner in set(owners))
    assert sorted(ours) == theirs


def test_an_unknown_says_where_it_came_from() -> None:
    brain = Brain()
    brain.learn([[1, 0, 0.01], [1, 0.01, 0], [0, 1, 0.01], [0.01, 1, 0]], ["a", "a", "b", "b"])
    brain.predict([[0, 0, -5.0], [0, -5.0, 0]], remember=True, sources=["x.png", "y.png"])
    assert [unknown.source for unknown in brain.unknowns] == ["x.png", "y.png"]
    with pytest.raises(InputError, match="2 sources for 1 inputs"):
        brain.predict([0, 0, -6.0], remember=True, sources=["x.png", "y.png"])
