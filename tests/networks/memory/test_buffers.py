"""Buffers keep what their rule says, never more than their capacity, and come back from their state."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.learner import DamagedError, InputError
from engram.networks.memory import Buffer, ClassBalanced, Reservoir

RULES = [Reservoir, ClassBalanced]


def offered(count: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs that tell their place in the stream and their class: [place, class]."""
    labels = np.random.default_rng(seed).integers(classes, size=count)
    return np.stack([np.arange(count), labels], axis=1).astype(np.float32), labels


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=8), st.integers(1, 10), st.integers(0, 99))
def test_it_keeps_as_many_as_fit_each_once_and_whole(rule, batches, capacity, seed):
    inputs, labels = offered(sum(batches), seed=seed)
    buffer, rng, start = rule(capacity), np.random.default_rng(seed), 0
    for size in batches:
        buffer.add(rng, inputs[start : start + size], labels[start : start + size])
        start += size
    kept, classes = (column[: len(buffer)] for column in buffer.columns)
    assert len(buffer) == min(capacity, len(labels))
    assert len(set(kept[:, 0].tolist())) == len(buffer), "an example is kept twice"
    assert (kept[:, 1] == classes).all(), "an input and its label were torn apart"
    assert buffer.seen == len(labels)


@pytest.mark.parametrize("rule", RULES)
def test_from_its_state_it_goes_on_alike(rule):
    inputs, labels = offered(60)
    buffer, rng = rule(7), np.random.default_rng(1)
    buffer.add(rng, inputs[:40], labels[:40])
    twin = rule.from_state(buffer.state())
    for one in (buffer, twin):
        one.add(np.random.default_rng(2), inputs[40:], labels[40:])
    for mine, theirs in zip(buffer.columns, twin.columns, strict=True):
        assert np.array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    assert twin.seen == 60


@pytest.mark.parametrize("rule", RULES)
def test_an_empty_buffer_saves_and_loads_and_says_that_there_is_nothing_to_draw(rule):
    buffer = rule.from_state(rule(3).state())
    assert len(buffer) == 0
    with pytest.raises(InputError, match="no example"):
        buffer.draw(1, np.random.default_rng(0))


@pytest.mark.parametrize("rule", RULES)
def test_its_memory_is_taken_once(rule):
    buffer, rng = rule(10), np.random.default_rng(0)
    buffer.add(rng, *offered(1))
    first = buffer.nbytes
    buffer.add(rng, *offered(500))
    assert buffer.nbytes == first == 10 * (2 * 4 + 8)


@pytest.mark.parametrize("rule", RULES)
def test_what_does_not_fit_is_refused_and_leaves_no_trace(rule):
    buffer, rng = rule(4), np.random.default_rng(0)
    buffer.add(rng, *offered(3))
    before = {name: value.tobytes() for name, value in buffer.state().items()}
    for bad in ((np.zeros((2, 3)), np.zeros(2, int)), (np.zeros((2, 2)), np.zeros(3, int)), (np.zeros((2, 2)),)):
        with pytest.raises(InputError):
            buffer.add(rng, *bad)
    assert {name: value.tobytes() for name, value in buffer.state().items()} == before


@pytest.mark.parametrize("rule", RULES)
def test_a_damaged_state_is_refused(rule):
    with pytest.raises(DamagedError):
        rule.from_state({})
    state = rule(4).state()
    with pytest.raises(DamagedError):
        rule.from_state(state | {"counters": np.array([1])})
    with pytest.raises(DamagedError):
        rule.from_state(state | {"column0": np.zeros((9, 2)), "column1": np.zeros(9, int)})


def test_no_buffer_without_room():
    with pytest.raises(InputError, match="capacity must be at least 1, not 0"):
        Reservoir(0)


def test_a_draw_is_a_copy():
    buffer = Reservoir(4)
    buffer.add(np.random.default_rng(0), *offered(4))
    buffer.draw(3, np.random.default_rng(0))[0][:] = -1
    assert (buffer.columns[0] >= 0).all()


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_the_reservoir_keeps_every_place_in_the_stream_equally_often(batch):
    inputs, labels = offered(40)
    times, runs = np.zeros(40), 3000
    for seed in range(runs):
        reservoir, rng = Reservoir(10), np.random.default_rng(seed)
        for start in range(0, 40, batch):
            reservoir.add(rng, inputs[start : start + batch], labels[start : start + batch])
        times[reservoir.columns[0][:, 0].astype(int)] += 1
    spread = np.sqrt(runs * 0.25 * 0.75)
    assert np.abs(times - runs / 4).max() < 4.5 * spread


def test_class_balance_holds_in_a_stream_that_is_not_balanced():
    rng = np.random.default_rng(3)
    labels = np.concatenate([np.full(500, 0), np.full(60, 1), np.full(5, 2)])
    labels = labels[rng.permutation(len(labels))]
    buffer: Buffer = ClassBalanced(20)
    for start in range(0, len(labels), 13):
        part = labels[start : start + 13]
        buffer.add(rng, np.arange(start, start + len(part), dtype=float), part)
    counts = np.bincount(buffer.columns[1])
    assert counts[2] == 5, "what is rare is kept whole"
    assert abs(counts[0] - counts[1]) <= 1, f"{counts} kept"


def test_within_a_class_the_balanced_buffer_is_a_fair_sample():
    labels = np.zeros(40, int)
    times, runs = np.zeros(40), 2000
    for seed in range(runs):
        buffer = ClassBalanced(10)
        buffer.add(np.random.default_rng(seed), np.arange(40), labels)
        times[buffer.columns[0]] += 1
    assert np.abs(times - runs / 4).max() < 4.5 * np.sqrt(runs * 0.25 * 0.75)
