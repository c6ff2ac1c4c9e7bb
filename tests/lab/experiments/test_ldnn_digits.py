"""The experiments on digits, on a small scale: scikit-learn's real digits with their pixels as features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engram.lab.experiments.experiment import execute
from engram.lab.experiments.head import ldnn_mnist, ldnn_unknown
from engram.lab.experiments.head.digit_features import DigitFeatures
from engram.lab.experiments.head.ldnn_unknown import novelty_scores
from engram.lab.experiments.pretraining.linear_probe import linear_probe

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def small():
    from engram.features.backbones.bundle import Bundle
    from engram.features.backbones.vectors import VectorBackbone
    from engram.lab.data_sets.digits import digits

    data = digits()
    pixels = data.images.reshape(len(data.images), -1).astype(np.float32) + 0.01
    bundle = Bundle.measure(VectorBackbone(64), pixels[data.pretraining], data.labels[data.pretraining].tolist())
    return DigitFeatures(bundle, pixels[data.teach], data.labels[data.teach], pixels[data.test],
                         data.labels[data.test], 0.5, 60.0, 0.98)


@pytest.fixture(scope="module")
def mnist_result(small, tmp_path_factory):
    config = replace(ldnn_mnist.Config(), turns=1, orders=2, dense=10, sparse=10, marks=(1, 5, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ldnn_mnist, "digit_features", lambda withhold, seed: small)
        patch.setattr(ldnn_mnist, "Config", lambda: config)
        return execute("ldnn-mnist", ldnn_mnist, 2, tmp_path_factory.mktemp("ldnn-mnist"))


def test_the_stream_of_digits_is_learned_and_every_figure_is_there(mnist_result, small):
    values = mnist_result["values"]
    assert values["batch-1"]["mean"] < values["batch-5"]["mean"] < values["all"]["mean"]
    assert values["all"]["mean"] > 90
    assert values["batches"]["values"][0][:11] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20]
    assert np.sum(values["confusion"]["mean"]) == pytest.approx(len(small.test))
    assert np.trace(values["confusion"]["mean"]) / len(small.test) == pytest.approx(
        values["all"]["mean"] / 100, abs=1e-4)
    assert values["gap"]["mean"] == pytest.approx(98 - values["all"]["mean"], abs=1e-4)
    missing = {"ldnn-mnist.batch-100"}  # the small stream ends before
    assert set(mnist_result["figures"]) == set(ldnn_mnist.FIGURES) - missing


def test_class_by_class_ends_in_the_very_state_of_the_shuffled_stream(mnist_result):
    assert mnist_result["values"]["order-identical"]["values"] == [1.0, 1.0]


def test_every_head_is_compared_at_every_mark(mnist_result):
    heads = mnist_result["values"]["heads"]
    assert {"fast", "nearest_class_mean", "streaming_lda"} <= set(heads)
    for head in heads.values():
        assert {"batch-1", "batch-5", "batch-20", "all"} <= set(head)
    curve = mnist_result["values"]["curve"]["mean"]
    assert [heads["fast"]["batch-5"]["mean"], heads["fast"]["all"]["mean"]] == pytest.approx(
        [curve[4], curve[-1]], abs=0.5)  # when κ and t were fitted last depends on the portions


def test_the_worst_digit_is_measured_on_the_asked_seeds_and_is_no_better_than_the_others(mnist_result):
    values = mnist_result["values"]
    assert values["batch-5-worst-digit"]["n"] == 1
    assert set(values["batch-5-by-digit"]) == set("0123456789")
    assert values["batch-5-worst-digit"]["mean"] == min(
        digit["values"][0] for digit in values["batch-5-by-digit"].values())


def test_the_linear_probe_agrees_with_scikit_learn(small):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = linear_probe(small.teach, small.teach_labels, small.test, small.test_labels)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=found.strength, max_iter=500))
    model.fit(small.teach, small.teach_labels)
    assert found.accuracy == pytest.approx(model.score(small.test, small.test_labels))
    assert 0 < found.refit_seconds < found.selection_seconds


def test_unknown_digits_are_told_from_known_ones(small, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    noise = rng.uniform(1, 16, (200, 64)).astype(np.float32)
    known = ~np.isin(small.test_labels, (7, 8, 9))
    questions = ldnn_unknown.Questions(small.test[known], small.test[~known], *[noise] * 4)
    monkeypatch.setattr(ldnn_unknown, "digit_features", lambda unknown, seed: small)
    monkeypatch.setattr(ldnn_unknown, "ask", lambda config, digits: questions)
    config = ldnn_unknown.Config(shots=(5, 20, 30), draws=2)
    monkeypatch.setattr(ldnn_unknown, "Config", lambda: config)
    result = execute("ldnn-unknown", ldnn_unknown, 2, tmp_path)
    values = result["values"]
    assert values["auroc-near"]["mean"] > 85
    assert values["auroc-far"]["mean"] > 95
    assert values["auroc-near"]["mean"] == pytest.approx(values["by-shots"]["20"]["near"]["familiarity"]["mean"])
    assert values["known-refused"]["mean"] == values["by-shots"]["30"]["known-refused"]["mean"]
    assert set(result["figures"]) == set(ldnn_unknown.FIGURES)


def test_only_known_digits_are_taught_each_as_often_as_asked(small):
    labels = small.teach_labels[ldnn_unknown.few_of_each(small.teach_labels, (7, 8, 9), 5, 0)]
    assert np.bincount(labels, minlength=10).tolist() == [5] * 7 + [0] * 3


def test_what_was_taught_scores_above_noise_by_every_score_but_a_softmax(small):
    from engram.lab.experiments.head.contenders import fast_head

    places = ldnn_unknown.few_of_each(small.teach_labels, (7, 8, 9), 20, 0)
    taught, labels = small.teach[places], small.teach_labels[places].tolist()
    head = fast_head(small.bundle)
    head.learn(taught, labels)
    known = small.test[np.isin(small.test_labels, labels)]
    noise = np.random.default_rng(0).uniform(1, 16, (50, 64)).astype(np.float32)
    above, below = (novelty_scores(head, taught, labels, asked) for asked in (known, noise))
    higher = {name for name in above if np.median(above[name]) > np.median(below[name])}
    assert {"focus", "familiarity", "nearest neighbour", "fifth neighbour"} <= higher
    assert set(above) - higher <= {"max softmax", "energy", "confidence"}  # sure of anything far away


