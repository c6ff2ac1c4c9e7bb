"""Recipes on families, on a small scale: pictures drawn here, a few steps of training, every value accounted for."""
# ruff: noqa: E402

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from engram.features.pretraining.families import make_network
from engram.features.pretraining.photo_views import shown
from engram.lab.experiments.experiment import execute
from engram.lab.experiments.pretraining import feature_quality, pretrained_network, small_pictures
from engram.lab.experiments.pretraining.feature_quality import TARGETS, Config, choice, correlations
from engram.lab.experiments.pretraining.pretrained_network import (
    LAST,
    Training,
    features_at,
    layers_of,
    split_classes,
    trained,
)
from engram.lab.experiments.pretraining.small_pictures import SmallPictures

SETTINGS = {"recipes": "cross-entropy,cosine-margin,rotation", "others": "lenet5", "multipliers": "0.125,0",
            "other_recipes": "cross-entropy,rotation",
            "classes": 6, "side": 32, "steps": 3, "passes": 16, "splits": 2}


def drawn(classes, each, seed):
    """Blobs of a colour and place of their class, though half of them are of any colour."""
    rng = np.random.default_rng(seed)
    pictures, labels = [], []
    for kind in range(classes):
        colour, place = rng.integers(40, 255, 3), rng.integers(0, 40, 2)
        for _ in range(each):
            pixels = rng.integers(60, 140, (64, 64, 3)).astype(np.uint8)
            top, left = np.clip(place + rng.integers(-4, 5, 2), 0, 44)
            mine = colour if rng.random() < 0.5 else rng.integers(40, 255, 3)
            pixels[top : top + 20, left : left + 20] = mine
            pictures.append(pixels)
            labels.append(f"kind-{kind}")
    return pictures, labels


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    sets = {"tiny-train": lambda: drawn(9, 20, 0), "tiny-val": lambda: drawn(9, 4, 0),
            **{name: (lambda i=i: drawn(3, 18, i + 1)) for i, name in enumerate(TARGETS[1:])}}
    monkeypatch.setattr(small_pictures, "SETS", sets)


def test_a_run_measures_every_network_and_goes_on_where_it_stopped(tmp_path, monkeypatch):
    result = execute("feature-quality", feature_quality, 2, tmp_path, settings=SETTINGS)
    values = result["values"]
    assert set(values["cells"]) == {"resnet18", "lenet5"}
    assert set(values["cells"]["lenet5"]) == {"cross-entropy", "rotation"}
    for family, seeds in (("resnet18", 2), ("lenet5", 1)):
        for recipe in values["cells"][family]:
            found = values["cells"][family][recipe]
            assert found["probe"]["n"] == seeds
            for target in TARGETS:
                assert set(found[target]) == {"1", "5", "14"}
                assert found["layers"][LAST][target]["mean"] == found[target]["5"]["mean"]
                for layer in layers_of(family):
                    assert 0 <= found["layers"][layer][target]["mean"] <= 100
    assert len(values["gain"]["values"]) == 2
    assert len(values["correlation"]["values"]) == 1
    again = values["gain-over-splits"]
    assert again["n"]["values"] == [feature_quality.PAIRED] * 2
    assert all(low <= mean <= high for low, mean, high in
               zip(*(again[part]["values"] for part in ("low", "mean", "high")), strict=True))
    assert len(list(tmp_path.glob("*.svg"))) == 1

    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(pretrained_network, "train", never)
    again = execute("feature-quality", feature_quality, 2, tmp_path / "again", settings=SETTINGS)
    for name in ("cells", "gain", "correlation"):
        assert again["values"][name] == values[name]


def cells(**five):
    return {recipe: {"probe": probe, **{target: {"5": validation if target == "held-out" else other}
                                        for target in TARGETS}}
            for recipe, (probe, validation, other) in five.items()}


def test_the_best_recipe_is_chosen_on_held_out_classes_never_on_the_photographs():
    found = choice(cells(**{"cross-entropy": (9, 30, 60), "cosine-margin": (8, 40, 66), "swav": (1, 20, 99)}))
    assert (found["best"], found["gain"], found["best-novel"], found["plain-novel"]) == ("cosine-margin", 6, 66, 60)


def test_where_every_other_recipe_is_worse_the_gain_is_a_loss():
    found = choice(cells(**{"cross-entropy": (9, 50, 60), "rotation": (8, 40, 55), "swav": (8, 30, 59)}))
    assert (found["best"], found["gain"]) == ("rotation", -5)


def test_the_correlation_is_over_all_networks_and_over_those_with_labels():
    labelled = cells(**{"cross-entropy": (10, 7, 60), "cosine-margin": (11, 8, 58), "rotation-classes": (12, 9, 57),
                        "combination": (13, 9, 55)})
    free = cells(swav=(1, 2, 20), rotation=(2, 3, 25))
    found = correlations({"resnet18": {**labelled, **free}})
    every = np.corrcoef([10, 11, 12, 13, 1, 2], [60, 58, 57, 55, 20, 25])[0, 1]
    assert found["correlation"] == pytest.approx(every)
    assert found["correlation-with-labels"] == pytest.approx(np.corrcoef([10, 11, 12, 13], [60, 58, 57, 55])[0, 1])
    assert found["correlations"]["steel"]["low"] < every < found["correlations"]["steel"]["high"]


def test_held_out_classes_are_never_trained_on(monkeypatch):
    seen = []
    original = pretrained_network.from_pictures
    monkeypatch.setattr(pretrained_network, "from_pictures",
                        lambda recipe, pixels, *rest: seen.append(pixels) or original(recipe, pixels, *rest))
    trained(Training("resnet18", "rotation", 32, (("multiplier", 0.125),), classes=6, steps=1, passes=8))
    known, held_out = split_classes(6)
    assert not set(known) & set(held_out)
    everything = small_pictures.small_pictures("tiny-train", 32)
    assert np.array_equal(seen[0].numpy(), everything.of(known).pixels)
    assert len(seen[0]) == 6 * 20


def test_features_are_those_of_the_pictures_as_the_bundle_would_show_them():
    network = make_network("resnet18", 0, seed=0, multiplier=0.125).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    found = features_at(network, "resnet18", SmallPictures(pixels, np.array(["a"] * 3)), ("layer2", LAST))
    with torch.inference_mode():
        images = torch.from_numpy(shown(32)(pixels.transpose(0, 2, 3, 1)))
        inner = network.layer2(network.layer1(network.maxpool(torch.relu(network.bn1(network.conv1(images))))))
        assert np.allclose(found[LAST], network.embed(images).numpy(), atol=1e-4)
    assert np.allclose(found["layer2"], inner.mean((2, 3)).numpy(), atol=1e-4)


def test_every_family_of_the_published_run_has_a_width():
    config = Config()
    assert len(config.multipliers) == 1 + len(config.others)
