"""The experiment on the shipped backbone, on a small scale: scikit-learn's digits for pictures."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.lab.data_sets.digits import digits
from engram.lab.experiments.experiment import execute
from engram.lab.experiments.pretraining import photo_backbone
from engram.lab.experiments.pretraining.photo_backbone import Config, Task

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Digits 0 to 4 for the novel photographs; the network in PyTorch is the bundle's own, its export is a bit off."""
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    data = digits()
    pixels = data.images.reshape(len(data.images), -1).astype(np.float32) + 0.01
    bundle = Bundle.measure(VectorBackbone(64), pixels[data.pretraining], data.labels[data.pretraining].tolist())
    rows, labels = list(pixels[data.test]), tuple(NAMES[i] for i in data.labels[data.test])
    tasks = {kind: Task("digits", rows, labels, NAMES[:5], 10) for kind in ("shots-", "near-", "steel-", "held-out-")}

    class Off(VectorBackbone):
        def features(self, inputs, progress=None):
            return super().features(inputs, progress) + np.float32(1e-4)

    monkeypatch.setattr(photo_backbone, "packaged", lambda: bundle)
    monkeypatch.setattr(photo_backbone, "bundles", lambda: {
        "": bundle, "mobilenet-": bundle, "descriptor-": Bundle.bare(VectorBackbone(64)),
    })
    monkeypatch.setattr(photo_backbone, "tasks", lambda config: tasks)
    monkeypatch.setattr(photo_backbone, "originals", lambda: (VectorBackbone(64), Off(64)))
    monkeypatch.setattr(photo_backbone, "package_mb", lambda: 5.0)
    return tasks


def test_every_figure_is_measured_and_the_same_features_give_the_same_figures(small, tmp_path):
    result = execute("photo-backbone", photo_backbone, 2, tmp_path / "out", settings=None)
    assert set(result["figures"]) == set(photo_backbone.FIGURES)
    values = result["values"]
    assert values["shots-14"]["mean"] > 85
    assert values["shots-14"]["mean"] > values["shots-1"]["mean"]
    assert values["mobilenet-shots-14"]["values"] == values["shots-14"]["values"]
    assert values["unknown-auroc"]["mean"] > 80
    assert 0 < values["onnx-difference"]["mean"] < 1e-4
    assert values["quantised-agreement"]["mean"] == 100
    assert 0 < values["teach-ms"]["mean"] < 100
    assert (tmp_path / "out" / "photo-backbone.svg").stat().st_size > 5_000


def test_an_export_that_is_another_network_is_noticed(small, monkeypatch):
    class Other(VectorBackbone):
        def features(self, inputs, progress=None):
            return super().features(inputs, progress)[:, ::-1].copy()

    monkeypatch.setattr(photo_backbone, "originals", lambda: (VectorBackbone(64), Other(64)))
    found = photo_backbone.exported(Config(), 0)
    assert found["onnx-difference"] > 0.01
    assert found["quantised-agreement"] < 99


def test_the_package_can_be_built_and_weighed():
    pytest.importorskip("hatchling")
    assert 0.5 < photo_backbone.package_mb() < 10
