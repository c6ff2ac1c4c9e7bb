"""Characters: dealt without overlap, shaped like MNIST's digits, learned in any number."""

from __future__ import annotations

import numpy as np
import pytest

from engram.lab.experiments.experiment import execute
from engram.lab.experiments.head import ldnn_omniglot
from engram.lab.experiments.head.character_as_digit import character_as_digit
from engram.locations import MissingDataError


def test_a_character_becomes_as_large_and_as_central_as_a_digit():
    ink = np.zeros((105, 105), np.uint8)
    ink[5:60, 80:84] = 255
    digit = character_as_digit(ink)
    assert digit.shape == (28, 28)
    assert digit.dtype == np.uint8
    rows, columns = np.nonzero(digit)
    assert np.ptp(rows) + 1 == 20
    assert 1 <= np.ptp(columns) + 1 <= 4
    mass = digit / digit.sum()
    assert (mass * np.arange(28)[:, None]).sum() == pytest.approx(13.5, abs=0.51)
    assert (mass * np.arange(28)).sum() == pytest.approx(13.5, abs=0.51)


def test_an_empty_drawing_stays_empty():
    assert not character_as_digit(np.zeros((105, 105), np.uint8)).any()


def test_drawings_to_teach_and_to_ask_about_are_apart_and_complete():
    taught, asked = ldnn_omniglot.deal(60, seed=3)
    assert taught.shape == (3, 10)
    assert sorted([*taught.ravel(), *asked]) == list(range(60))
    assert (taught // 20 == np.arange(3)[:, None]).all()


def test_the_small_set_is_136_characters_and_all_are_1623():
    from engram.lab.data_sets.omniglot import omniglot

    try:
        labels = np.concatenate([np.asarray(omniglot(part).labels) for part in ldnn_omniglot.PARTS])
    except MissingDataError as missing:
        pytest.skip(str(missing))
    everything = ldnn_omniglot.Characters(None, np.zeros((len(labels), 1), np.float32), labels)
    assert len(np.unique(everything.labels)) == 1623
    small = ldnn_omniglot.subset(everything, 136)
    assert len(np.unique(small.labels)) == 136
    assert len(small.features) == 136 * 20


def test_more_shots_are_better_and_every_count_of_characters_is_measured(tmp_path, monkeypatch):
    from engram.features.backbones.bundle import Bundle
    from engram.features.backbones.vectors import VectorBackbone

    rng = np.random.default_rng(0)
    labels = np.repeat([f"Greek/{i:03}" for i in range(40)], 20)
    features = np.repeat(rng.normal(size=(40, 16)), 20, axis=0) + 0.9 * rng.normal(size=(800, 16))
    everything = ldnn_omniglot.Characters(Bundle.bare(VectorBackbone(16)), features.astype(np.float32), labels)
    monkeypatch.setattr(ldnn_omniglot, "characters_of", lambda backbone, config, seed: everything)
    monkeypatch.setattr(ldnn_omniglot, "PARTS", {"everything": 40})
    config = ldnn_omniglot.Config(characters=(20, 40), backbones=("digits",), compared=20)
    monkeypatch.setattr(ldnn_omniglot, "Config", lambda: config)
    result = execute("ldnn-omniglot", ldnn_omniglot, 2, tmp_path)
    found = result["values"]["accuracy"]["digits"]
    assert found["20"]["fast"]["1"]["mean"] < found["20"]["fast"]["10"]["mean"]
    assert found["40"]["fast"]["5"]["mean"] < found["20"]["fast"]["5"]["mean"]
    assert set(found["40"]) == {"fast", "nearest_class_mean"} < set(found["20"])
