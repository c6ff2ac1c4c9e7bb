"""Melding, unlearning, consolidation and the gate on scikit-learn's real digits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.lab.experiments.experiment import execute
from engram.lab.experiments.head import ldnn_consolidation, ldnn_meld
from engram.lab.experiments.head.digit_features import DigitFeatures
from engram.lab.experiments.head.ldnn_consolidation import (
    RULES,
    best_prototype,
    everything,
    herding,
    merged,
    nearest_mean,
    outliers_kept,
)

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def small():
    from engram.features.backbones.bundle import Bundle
    from engram.features.backbones.vectors import VectorBackbone
    from engram.lab.data_sets.digits import digits

    data = digits()
    pixels = data.images.reshape(len(data.images), -1).astype(np.float32) + 0.01
    bundle = Bundle.measure(VectorBackbone(64), pixels[data.pretraining], data.labels[data.pretraining].tolist())
    more = np.concatenate([data.teach, data.pretraining])
    return DigitFeatures(bundle, pixels[more], data.labels[more], pixels[data.test], data.labels[data.test],
                         0.5, 60.0, 0.98)


@pytest.fixture(scope="module")
def meld_result(small, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ldnn_meld, "digit_features", lambda withhold, seed: small)
        config = ldnn_meld.Config(forget=60, few=12)
        patch.setattr(ldnn_meld, "Config", lambda: config)
        return execute("ldnn-meld", ldnn_meld, 2, tmp_path_factory.mktemp("out"))


def test_five_devices_meld_into_the_head_that_saw_all(meld_result):
    values = meld_result["values"]
    assert values["meld-identical"]["values"] == [1.0, 1.0]
    for split in values["splits"].values():
        assert np.shape(split["sha256"]["values"]) == (2, 2)
        assert {digest for pair in split["sha256"]["values"] for digest in pair} == set(values["sha256"]["values"])
        assert split["melded"]["mean"] == pytest.approx(values["accuracy"]["mean"], abs=0.5)
        assert split["largest-score-difference"]["mean"] < 1e-6
    assert np.mean(values["splits"]["disjoint classes"]["alone"]["mean"]) < 25
    assert np.mean(values["splits"]["iid"]["alone"]["mean"]) > 85


def test_unlearning_ends_where_never_having_seen_ends(meld_result):
    values = meld_result["values"]
    assert values["unlearn-identical"]["values"] == [1.0, 1.0]
    for digests in values["unlearn-sha256"].values():
        assert len(set(digests["values"])) == 2
    assert values["unlearn-sha256"]["forgot"] == values["unlearn-sha256"]["never-saw"]
    assert values["unlearn-sha256"]["forgot-digit"] == values["unlearn-sha256"]["never-saw-digit"]
    assert set(meld_result["figures"]) == set(ldnn_meld.FIGURES)


def test_labels_that_two_devices_use_differently_are_reported(meld_result):
    conflicts = meld_result["values"]["conflicts"]
    assert conflicts["found"]["mean"] >= 1  # of three, from a dozen images of each digit and no network at all
    assert conflicts["in-error"]["mean"] == 0


@pytest.fixture(scope="module")
def consolidation_result(small, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ldnn_consolidation, "digit_features", lambda withhold, seed: small)
        config = ldnn_consolidation.Config(tolerances=(4.0, 8.0), gates=(0.1, 0.6), gate=0.3)
        patch.setattr(ldnn_consolidation, "Config", lambda: config)
        return execute("ldnn-consolidation", ldnn_consolidation, 1, tmp_path_factory.mktemp("out"))


def test_few_weighted_vectors_answer_as_all_of_them(consolidation_result):
    values = consolidation_result["values"]
    assert values["kept"]["mean"] < 12
    assert values["lost-by-class"]["mean"] == pytest.approx(0, abs=0.3)
    assert values["lost"]["mean"] == pytest.approx(
        values["by-prototypes"]["mean"] - values["by-prototypes-after"]["mean"], abs=1e-4)
    assert values["by-prototypes-after"]["mean"] > 93
    assert set(consolidation_result["figures"]) == set(ldnn_consolidation.FIGURES)


def test_prototypes_beat_class_means_where_classes_have_several_modes(consolidation_result):
    modes = consolidation_result["values"]["modes"]
    assert modes["by-prototypes-after"]["mean"] > modes["by-class"]["mean"] + 3


def test_every_rule_keeps_no_more_than_merging_does(consolidation_result):
    for name, step in consolidation_result["values"]["rules"].items():
        if name != "none":
            most = step[ldnn_consolidation.MERGED]["kept"]["mean"]
            assert set(step) == {ldnn_consolidation.MERGED, *RULES}
            assert all(rule["kept"]["mean"] <= most for rule in step.values())


def test_merging_alone_and_k_means_keep_the_class_means(consolidation_result):
    step = consolidation_result["values"]["rules"]["8"]
    everything_kept = consolidation_result["values"]["rules"]["none"]["by-means"]["mean"]
    assert step[ldnn_consolidation.MERGED]["by-means"]["mean"] == everything_kept
    assert step["k-means"]["by-means"]["mean"] == everything_kept
    assert step["drop the redundant, keep outliers"]["by-means"]["mean"] < everything_kept


def test_a_wider_gate_learns_more(consolidation_result):
    gates = consolidation_result["values"]["gates"]
    shares = [gates[gate]["share"]["mean"] for gate in ("0.1", "0.3", "0.6")]
    assert 0 < shares[0] < shares[1] < shares[2] <= 100
    assert consolidation_result["values"]["gated-share"]["mean"] == shares[1]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 40), st.integers(1, 5))
def test_every_rule_leaves_what_it_says(seed, size, count):
    points = np.random.default_rng(seed).normal(size=(size, 3))
    for name, rule in RULES.items():
        kept = rule(points, count, seed)
        assert 1 <= len(kept.counts) <= count, name
        if name == "k-means":
            np.testing.assert_allclose(kept.counts @ kept.vectors, points.sum(axis=0))
        else:
            assert {row.tobytes() for row in kept.vectors} <= {row.tobytes() for row in points}
    kept = merged(points, 8.0)
    np.testing.assert_allclose(kept.counts @ kept.vectors, points.sum(axis=0))


def test_herding_comes_nearest_to_the_mean_step_by_step():
    points = np.random.default_rng(0).normal(size=(12, 2))
    kept = herding(points, 3, 0).vectors
    for size in range(1, 4):
        others = [np.linalg.norm(np.vstack([kept[: size - 1], p]).mean(axis=0) - points.mean(axis=0))
                  for p in points if p.tolist() not in kept[: size - 1].tolist()]
        assert np.linalg.norm(kept[:size].mean(axis=0) - points.mean(axis=0)) == pytest.approx(min(others))


def test_outliers_survive_the_dropping_of_what_is_redundant():
    points = np.array([[0.0], [0.1], [0.2], [50.0], [0.05], [-40.0]])
    assert sorted(outliers_kept(points, 3, 0).vectors.ravel().tolist()) == [-40.0, 0.0, 50.0]


def test_reading_by_prototypes_and_by_means_agree_with_a_slow_loop():
    rng = np.random.default_rng(1)
    classes = [everything(rng.normal(size=(n, 4)) + 2 * i) for i, n in enumerate((3, 5, 2))]
    asked = rng.normal(size=(20, 4)) + 2

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    by_prototype = [int(np.argmax([max(cosine(x, v) for v in kept.vectors) for kept in classes])) for x in asked]
    by_mean = [int(np.argmax([cosine(x, kept.vectors.mean(axis=0)) for kept in classes])) for x in asked]
    assert best_prototype(classes, asked).tolist() == by_prototype
    assert nearest_mean(classes, asked).tolist() == by_mean
