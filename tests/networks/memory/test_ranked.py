"""Herding follows the mean; the best ranked of each class stay; and what is forgotten is gone from every buffer."""

import numpy as np
import pytest

from engram.learner import InputError
from engram.networks.memory import Buffer, ClassBalanced, Reservoir
from engram.networks.memory.ranked import Ranked, herding

RNG = np.random.default_rng(0)


def test_herding_chooses_what_the_paper_says():
    features = RNG.normal(size=(30, 5))
    expected: list[int] = []
    for step in range(1, 11):  # line by line
        sums = features[expected].sum(axis=0)
        away = [np.inf if i in expected else float(np.linalg.norm(features.mean(axis=0) - (features[i] + sums) / step))
                for i in range(30)]
        expected.append(int(np.argmin(away)))
    assert herding(features, 10).tolist() == expected
    assert sorted(herding(features, 30).tolist()) == list(range(30))


def test_the_mean_of_herded_examples_is_nearer_to_the_mean_of_all_than_that_of_a_random_choice():
    features = RNG.normal(size=(500, 8))
    mean = features.mean(axis=0)
    herded = np.linalg.norm(features[herding(features, 20)].mean(axis=0) - mean)
    chance = [np.linalg.norm(features[RNG.choice(500, 20, replace=False)].mean(axis=0) - mean) for _ in range(50)]
    assert herded < 0.5 * min(chance)


def test_the_same_number_of_each_class_stays_the_best_ranked_first():
    buffer, offered = Ranked(12), []
    for part in range(4):
        ranks, classes = RNG.random(30), np.repeat([2 * part, 2 * part + 1], 15)
        buffer.add(RNG, 100.0 * part + np.arange(30), classes, ranks)
        offered += list(zip(classes, ranks, 100.0 * part + np.arange(30), strict=True))
        each = 12 // len(buffer.labels)
        expected = [row for label in buffer.labels for _, _, row in sorted(o for o in offered if o[0] == label)[:each]]
        assert buffer.kept()[0].tolist() == expected
    assert buffer.seen == 120
    with pytest.raises(InputError, match="capacity is 12"):
        buffer.add(RNG, np.zeros(9), np.arange(9, 18), np.zeros(9))


def test_without_ranks_the_choice_is_a_fair_sample_of_each_class():
    times = np.zeros(20)
    for seed in range(2000):
        buffer = Ranked(10)
        buffer.add(np.random.default_rng(seed), np.arange(20), np.repeat([0, 1], [15, 5]))
        times[buffer.kept()[0]] += 1
    assert (times[15:] == 2000).all()
    assert np.abs(times[:15] - 2000 / 3).max() < 4.5 * np.sqrt(2000 * 2 / 9)


@pytest.mark.parametrize("rule", [Reservoir, ClassBalanced, Ranked])
def test_what_is_forgotten_is_gone_and_its_places_are_used_again(rule: type[Buffer]):
    buffer, classes = rule(30), np.arange(300) % 3
    buffer.add(RNG, np.arange(300.0), classes)
    held = len(buffer)
    buffer.forget([1, 8])
    assert buffer.labels == (0, 2)
    assert len(buffer) < held
    assert not np.isin(np.arange(1.0, 300, 3), buffer.columns[0]).any(), "nothing of it lies in the memory"
    assert (buffer.kept()[0] % 3 == buffer.targets).all()
    twin = rule.from_state(buffer.state())
    for one in (buffer, twin):
        one.add(np.random.default_rng(1), np.arange(1000.0, 1100), np.full(100, 5))
    assert np.array_equal(twin.kept()[0], buffer.kept()[0])
    assert len(buffer) == 30
    assert set(buffer.labels) == {0, 2, 5}
    buffer.forget([0, 2, 5])
    assert len(buffer) == 0
    assert buffer.labels == ()


def test_a_draw_of_some_labels_has_these_alone_each_of_its_examples_alike():
    buffer = Reservoir(50)
    buffer.add(RNG, np.arange(50), np.arange(50) % 5)
    inputs, targets, weights = buffer.draw(4000, RNG, labels=[1, 3])
    assert set(targets.tolist()) == {1, 3}
    assert (inputs % 5 == targets).all()
    counts = np.bincount(inputs, minlength=50)
    assert counts[targets[0] :: 5].min() > 130
    assert weights.tolist() == [1.0] * 4000
    with pytest.raises(InputError, match="no example"):
        buffer.draw(1, RNG, labels=[7])
