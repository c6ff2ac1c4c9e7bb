"""Few-shot accuracy: the same questions for every number of shots, unknown classes told apart, honest refusals."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from engram.heads.fast import FastHead
from engram.lab.evaluation.correlation import correlation
from engram.lab.evaluation.few_shot import few_shot
from engram.learner import InputError


def clouds(classes=6, each=20, width=8, spread=0.25, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, width))
    vectors = centres[:, None] + spread * rng.normal(size=(classes, each, width))
    return vectors.reshape(-1, width), [f"kind-{i}" for i in range(classes) for _ in range(each)]


def test_clouds_that_lie_apart_are_told_apart_and_strangers_noticed():
    found = few_shot(*clouds(), FastHead, shots=(1, 5), splits=4, unknown=0.34)
    assert found.accuracy.shape == found.auroc.shape == (4, 2)
    assert found.accuracy[:, 1].min() > 0.95
    assert found.auroc[:, 1].mean() > 0.9


def test_labels_that_mean_nothing_give_chance():
    features, labels = clouds(spread=5.0)
    shuffled = np.random.default_rng(0).permutation(labels).tolist()
    found = few_shot(features, shuffled, FastHead, shots=(5,), splits=20, unknown=0.34)
    assert found.accuracy.mean() == pytest.approx(1 / 6, abs=0.05)
    assert found.auroc.mean() == pytest.approx(0.5, abs=0.08)


class Spy(FastHead):
    """Remembers what it was taught and asked."""

    seen: ClassVar[list] = []

    def learn(self, inputs, targets):
        self.seen.append(("taught", np.asarray(inputs)[:, -1].astype(int).tolist(), targets))
        super().learn(inputs, targets)

    def predict(self, inputs, among=None):
        self.seen.append(("asked", np.asarray(inputs)[:, -1].astype(int).tolist(), None))
        return super().predict(inputs, among)


def test_nothing_taught_is_asked_and_every_number_of_shots_faces_the_same_questions(monkeypatch):
    monkeypatch.setattr(Spy, "seen", [])
    features, labels = clouds()
    numbered = np.column_stack([features, np.arange(len(features))])  # the last value names the example
    few_shot(numbered, labels, lambda: Spy(normalise=False, step=0.05), shots=(1, 3), splits=2, ask=4)
    taught = [(places, names) for kind, places, names in Spy.seen if kind == "taught"]
    asked = [places for kind, places, _ in Spy.seen if kind == "asked"]
    assert [len(places) for places, _ in taught] == [6, 18, 6, 18]
    assert [len(places) for places in asked] == [24] * 4
    assert asked[0] == asked[1]
    assert asked[0] != asked[2]
    for (places, names), others in zip(taught, asked, strict=True):
        assert not set(places) & set(others)
        assert names == [labels[place] for place in places]
    assert set(taught[0][0]) < set(taught[1][0])


def test_left_out_classes_are_never_taught_when_they_stand_for_the_unknown(monkeypatch):
    monkeypatch.setattr(Spy, "seen", [])
    features, labels = clouds()
    numbered = np.column_stack([features, np.arange(len(features))])
    few_shot(numbered, labels, lambda: Spy(normalise=False, step=0.05), shots=(2,), splits=3, unknown=0.34)
    lessons = [set(names) for kind, _, names in Spy.seen if kind == "taught"]
    assert [len(names) for names in lessons] == [6, 4] * 3
    assert len({frozenset(names) for names in lessons[1::2]}) > 1


def test_the_same_seed_gives_the_same_figures():
    first, second, other = (few_shot(*clouds(spread=1.0), FastHead, shots=(1,), splits=3, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.accuracy, second.accuracy)
    assert not np.array_equal(first.accuracy, other.accuracy)


def test_what_a_head_calls_unknown_is_what_lies_below_zero():
    features, labels = clouds(spread=0.6)
    head = FastHead()
    head.learn(features[:100], labels[:100])
    answers = head.predict(features)
    assert np.array_equal(answers.familiarity >= 0, [answer.known for answer in answers])


@pytest.mark.parametrize(("classes", "each"), [(1, 20), (6, 5), (0, 1)])
def test_too_few_pictures_are_refused_with_the_way_out(classes, each):
    features, labels = clouds(classes=max(classes, 1), each=each)
    keep = slice(0, classes * each)
    with pytest.raises(InputError, match="give more pictures, or take fewer shots"):
        few_shot(features[keep], labels[keep], FastHead, shots=(1, 5))


def test_progress_counts_the_heads():
    told = []
    few_shot(*clouds(each=8), FastHead, shots=(1, 2), splits=3, progress=lambda *done: told.append(done))
    assert told == [(i, 6) for i in range(1, 7)]


def test_correlation_is_scipys_with_fishers_interval():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    x = rng.normal(size=24)
    y = x + rng.normal(size=24)
    expected = stats.pearsonr(x, y)
    low, high = expected.confidence_interval(0.95)
    found = correlation(x, y)
    assert found == pytest.approx((expected.statistic, low, high, 24))


@pytest.mark.parametrize("pairs", [([1, 2, 3], [1, 2, 3]), ([1, 2, 3, 4], [1, 2, 3]), ([1, 1, 1, 1], [1, 2, 3, 4])])
def test_a_correlation_that_says_nothing_is_refused(pairs):
    with pytest.raises(InputError):
        correlation(*pairs)
