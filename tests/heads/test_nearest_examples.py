"""Why a head answers as it does: nearest examples in its metric, and shares that its confidence agrees with."""

import numpy as np
import pytest

from engram.heads.fast import FastHead
from engram.heads.fast import nearest_examples as room
from engram.heads.fast.nearest_examples import nearest_examples
from engram.learner import InputError


def taught(per_class=20, width=30, classes=12, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    features = rng.normal(size=(classes, width))[labels] + 0.8 * rng.normal(size=(len(labels), width))
    head = FastHead(step=2.0**-10)
    head.learn(features, labels.tolist())
    return head, features, labels


def test_the_nearest_are_those_of_the_largest_cosine_about_the_middle_in_the_metric(monkeypatch):
    monkeypatch.setattr(room, "_PORTION", 7)
    head, features, labels = taught(classes=6)
    asked = features[:3] + 0.3 * np.random.default_rng(1).normal(size=(3, 30))
    metric, middle = head.discriminant.metric.matrix(), head.discriminant.classes().middle
    root = np.linalg.cholesky(metric)
    rows = (head.quantise(features) - middle) @ root
    for one, found in zip(head.quantise(asked), nearest_examples(head, asked, most=4), strict=True):
        there = (one - middle) @ root
        alike = rows @ there / np.linalg.norm(rows, axis=1) / np.linalg.norm(there)
        best = np.argsort(-alike)[:4]
        np.testing.assert_allclose(found.similarity, alike[best], atol=1e-6)
        assert found.labels == labels[best].tolist()
        np.testing.assert_array_equal(found.rows, head.quantise(features[best]))


def test_of_raw_readings_the_nearest_are_those_at_the_least_distance():
    """Both lie in one direction from the middle; the nearer one is not the one of the larger cosine."""
    head = FastHead(normalise=False, step=2.0**-5)
    head.learn([[20.0 + i / 4, 20.0 - i / 8] for i in range(9)], ["cold"] * 9)
    head.learn([[40.0 + i / 4, 41.0 - i / 8] for i in range(9)], ["hot"] * 9)
    (found,) = nearest_examples(head, [[20.5, 19.75]], most=3)
    assert found.similarity[0] == pytest.approx(1.0)
    np.testing.assert_array_equal(found.rows[0], head.quantise([[20.5, 19.75]])[0])
    assert set(found.labels) == {"cold"}
    assert found.similarity[2] < 1.0


def test_what_was_taught_is_nearest_to_itself():
    head, features, labels = taught()
    for i, found in enumerate(nearest_examples(head, features[:40:10], most=1)):
        assert found.labels == [labels[10 * i]]
        assert found.similarity[0] == pytest.approx(1.0)


def test_shares_sum_to_one_and_the_first_is_the_confidence():
    head, features, _ = taught()
    answers = head.predict(features[::30])
    for answer, found in zip(answers, nearest_examples(head, features[::30]), strict=True):
        assert sum(share for _, share in found.shares) == pytest.approx(1.0)
        assert found.shares[0][0] == answer.ranked[0][0]
        assert found.shares[0][1] == pytest.approx(answer.confidence)
        assert len(found.shares) == 12


def test_fewer_examples_than_asked_for_are_all_that_there_are():
    head = FastHead(normalise=False, step=0.01)
    head.learn([[1.0, 0.0], [0.0, 1.0]], ["right", "up"])
    (found,) = nearest_examples(head, [[1.0, 0.2]], most=9)
    assert found.labels == ["right", "up"]


def test_where_nothing_was_taught_that_is_said():
    with pytest.raises(InputError, match="call learn first"):
        nearest_examples(FastHead(), [[1.0, 0.0]])
