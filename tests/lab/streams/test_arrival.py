from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.lab.streams.arrival import class_by_class, one_per_class, shuffled
from engram.learner import InputError

labels = st.lists(st.sampled_from("abcd"), min_size=1, max_size=40)
seeds = st.integers(0, 2**32 - 1)
ORDERS = [shuffled, class_by_class, one_per_class]


@pytest.mark.parametrize("order", ORDERS)
@given(labels=labels, seed=seeds)
def test_every_example_arrives_exactly_once(order, labels, seed):
    assert sorted(np.concatenate(list(order(labels, seed))).tolist()) == list(range(len(labels)))


@pytest.mark.parametrize("order", ORDERS)
@given(labels=labels, seed=seeds)
def test_the_same_seed_gives_the_same_order(order, labels, seed):
    assert [i.tolist() for i in order(labels, seed)] == [i.tolist() for i in order(labels, seed)]


@pytest.mark.parametrize("order", ORDERS)
def test_another_seed_gives_another_order(order):
    labels = ["a", "b"] * 20
    assert [i.tolist() for i in order(labels, 0)] != [i.tolist() for i in order(labels, 1)]


@given(labels=labels, seed=seeds)
def test_class_by_class_completes_one_before_the_next(labels, seed):
    batches = [[labels[i] for i in batch] for batch in class_by_class(labels, seed)]
    assert all(len(set(batch)) == 1 for batch in batches)
    assert len(batches) == len(set(labels))


@given(labels=labels, seed=seeds)
def test_a_batch_of_one_per_class_misses_only_the_classes_that_are_used_up(labels, seed):
    left = Counter(labels)
    for batch in one_per_class(labels, seed):
        arrived = Counter(labels[i] for i in batch)
        assert arrived == Counter(label for label in left if left[label])
        left -= arrived


@given(labels=labels, seed=seeds, batch=st.integers(1, 9))
def test_only_the_last_shuffled_batch_is_smaller(labels, seed, batch):
    sizes = [len(i) for i in shuffled(labels, seed, batch)]
    assert all(size == batch for size in sizes[:-1])
    assert 1 <= sizes[-1] <= batch


def test_a_batch_of_none_is_refused():
    with pytest.raises(InputError, match="at least one"):
        next(shuffled("ab", 0, batch=0))
