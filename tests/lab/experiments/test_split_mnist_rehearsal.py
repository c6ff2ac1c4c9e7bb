"""Rehearsal on small digits: every cell is measured, and what REMIND keeps is a small share of the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from engram.lab.experiments.strategies.patch_features import on_random_patches
from engram.lab.experiments.strategies.split_mnist_rehearsal import FIGURES, Config, run
from engram.lab.streams import class_incremental, data_set

SMALL = Config(
    data="digits", hidden=(24,), dark_hidden=(24,), plastic=(24,), few=30, hundred_each=50, many=60, codes=1500,
    steps=5, agem_learning_rates=(1e-3,), alphas=(0.5,), replayed=64, latent_epochs=(1,), strengths=(0.1,), units=50,
    held_out=130,
)


def test_a_run_measures_every_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path))
    values = run(SMALL, 0, lambda share, message: None)
    assert {figure.value for figure in FIGURES.values()} <= values.keys()
    assert values["class.lda-patches"] > 90
    details = values["details"]["class.remind"]
    codebooks = 21 * 256 * 24 * 4
    assert details["memory"] == 1500 * (21 + 8) + codebooks
    share = details["memory"] / (len(data_set("digits").train_labels) * 64)
    assert values["remind-memory-share"] == pytest.approx(share)


def test_a_stream_of_features_has_the_labels_of_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    stream = class_incremental(data_set("digits"), seed=0)
    first, again = on_random_patches(stream, 0), on_random_patches(stream, 0)
    for pictures, features, same in zip(stream, first, again, strict=True):
        assert features.train.inputs.shape == (len(pictures.train), 504)
        assert features.train.labels.tolist() == pictures.train.labels.tolist()
        assert features.test.labels.tolist() == pictures.test.labels.tolist()
        assert np.array_equal(features.test.inputs, same.test.inputs)
