"""Photographs, the steel line and intents on a small scale: scikit-learn's digits for pictures, real sentences."""

from __future__ import annotations

import os

import numpy as np
import pytest

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.lab.data_sets.labelled_folder import few_of_each
from engram.lab.experiments.experiment import execute
from engram.lab.experiments.head import ldnn_intents, ldnn_line, ldnn_photos

pytest.importorskip("sklearn")

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FEW = ("fast", "nearest_class_mean")


@pytest.fixture(scope="module")
def small():
    from engram.lab.data_sets.digits import digits

    data = digits()
    pixels = data.images.reshape(len(data.images), -1).astype(np.float32) + 0.01
    bundle = Bundle.measure(VectorBackbone(64), pixels[data.pretraining], data.labels[data.pretraining].tolist())
    return bundle, pixels[data.test], tuple(NAMES[i] for i in data.labels[data.test])


def limit_contenders(monkeypatch, module):
    every = module.contenders
    monkeypatch.setattr(module, "contenders", lambda bundle: {k: v for k, v in every(bundle).items() if k in FEW})


def test_photographs_arrive_class_after_class_and_consolidation_follows_each(small, tmp_path, monkeypatch):
    limit_contenders(monkeypatch, ldnn_photos)
    monkeypatch.setattr(ldnn_photos, "photographs", lambda: ldnn_photos.Photographs(*small))
    chosen = {"near": list(NAMES[:4]), "novel": list(NAMES[4:8]), "mixed": list(NAMES[2:6])}
    monkeypatch.setattr(ldnn_photos, "sets", lambda config, seed: chosen)
    result = execute("ldnn-photos", ldnn_photos, 2, tmp_path)
    values = result["values"]
    for name in chosen:
        assert values[name]["mean"] > 85
        for readout in ldnn_photos.READOUTS:
            lesson = values["sets"][name][readout]
            assert np.shape(lesson["curve"]["values"]) == (2, 4 * 14)
            assert np.trace(lesson["confusion"]["mean"]) / 64 == pytest.approx(lesson["end"]["mean"] / 100, abs=1e-6)
            kept = np.array(lesson["kept"]["values"])
            assert ((kept > 0) & (kept <= 100)).all()
            helped = np.array(lesson["after"]["values"]) > np.array(lesson["before"]["values"])
            assert lesson["helped"]["values"] == helped.sum(axis=1).tolist()
        # while one class alone is known, every answer is right; class means do not change by consolidation
        by_class = values["sets"][name]["class"]
        assert by_class["curve"]["values"][0][:14] == [100.0] * 14
    assert set(result["figures"]) == set(ldnn_photos.FIGURES)
    assert (tmp_path / "ldnn-photos.svg").stat().st_size > 10_000


def test_the_mixed_set_has_five_near_and_five_novel_classes_that_the_seed_draws():
    config = ldnn_photos.Config()
    first, second = (ldnn_photos.sets(config, seed)["mixed"] for seed in (0, 1))
    assert set(first) != set(second)
    for mixed in (first, second):
        assert len(set(mixed)) == 10
        assert len(set(mixed) & set(ldnn_photos.NEAR)) == 5


def test_kinds_arrive_on_the_line_and_those_to_come_are_less_familiar(small, tmp_path, monkeypatch):
    limit_contenders(monkeypatch, ldnn_line)
    monkeypatch.setattr(ldnn_line, "KINDS", NAMES)

    def arrange(config, seed):
        bundle, features, labels = small
        rng = np.random.default_rng(seed)
        kinds = [NAMES[i] for i in rng.permutation(10)]
        return ldnn_line.Line(bundle, features, np.array(labels), kinds, *few_of_each(labels, kinds, 14, 20, rng))

    monkeypatch.setattr(ldnn_line, "arrange", arrange)
    result = execute("ldnn-line", ldnn_line, 2, tmp_path)
    values = result["values"]
    assert values["final"]["mean"] > 88
    assert values["final"]["mean"] == pytest.approx(values["accuracy"]["mean"][-1])
    assert values["heads"]["fast"]["mean"] == pytest.approx(values["final"]["mean"], abs=2)
    assert np.shape(values["auroc-new"]["values"]) == (2, 9)
    assert np.mean(values["auroc-new"]["mean"]) > 75
    assert set(result["figures"]) == set(ldnn_line.FIGURES)


@pytest.mark.skipif("ENGRAM_DATA" not in os.environ, reason="ENGRAM_DATA is not set: no CLINC150")
def test_intents_are_learned_day_by_day_and_queries_out_of_scope_stand_out(tmp_path, monkeypatch):
    limit_contenders(monkeypatch, ldnn_intents)
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path))
    draw = ldnn_intents.draw

    def few(shots, seed):
        talk = draw(shots, seed)
        intents = talk.intents[:12]
        teach, ask = np.isin(talk.teach_intents, intents), np.isin(talk.ask_intents, intents)
        return ldnn_intents.Talk(intents, talk.teach[teach], talk.teach_intents[teach], talk.ask[ask],
                                 talk.ask_intents[ask], talk.outside[:300])

    monkeypatch.setattr(ldnn_intents, "draw", few)
    monkeypatch.setattr(ldnn_intents, "Config", lambda: CONFIG)
    result = execute("ldnn-intents", ldnn_intents, 1, tmp_path)
    values = result["values"]
    assert values["intents"]["mean"] == [4, 8, 12]
    assert values["accuracy"]["mean"] > 85
    assert values["auroc"]["mean"] > 85
    assert values["accuracy"]["mean"] == values["by-day"]["mean"][-1]
    assert values["accuracy"]["mean"] == pytest.approx(values["heads"]["fast"]["mean"], abs=3)
    assert all(rival["accuracy"]["mean"] > 85 for rival in values["rivals"].values())
    assert set(result["figures"]) == set(ldnn_intents.FIGURES)


CONFIG = ldnn_intents.Config(shots=10, daily=4, width=256, also=128)


@pytest.mark.skipif("ENGRAM_DATA" not in os.environ, reason="ENGRAM_DATA is not set: no CLINC150")
def test_no_test_sentence_is_taught_and_each_intent_as_often_as_asked():
    talk = ldnn_intents.draw(20, 0)
    _, counts = np.unique(talk.teach_intents, return_counts=True)
    assert counts.tolist() == [20] * 150
    assert len(talk.ask) == 4500
    assert len(talk.outside) == 1000
    assert len(set(talk.teach) & set(talk.ask)) <= 5  # a few sentences stand in both parts as published
