"""Features whose filters are cut from the first pictures: made, saved, opened, refused, and better than pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engram import Brain
from engram.brain.bundles import as_bundle
from engram.cli import app
from engram.features.backbones import catalogue
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.random_patches import RandomPatches
from engram.heads.fast import FastHead
from engram.learner import DamagedError, InputError


def gratings(count: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """(N, 32, 32) stripes of four directions, anywhere, with noise; and their directions."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    kinds = rng.integers(0, 4, count)
    angle = kinds * np.pi / 4 + rng.normal(0, 0.1, count)
    along = rows[None] * np.sin(angle)[:, None, None] + columns[None] * np.cos(angle)[:, None, None]
    waves = 127 + 70 * np.sin(along * 0.9 + rng.uniform(0, 6, (count, 1, 1))) + rng.normal(0, 40, (count, 32, 32))
    return waves.clip(0, 255).astype(np.uint8), [f"d{kind}" for kind in kinds]


@pytest.fixture(scope="module")
def backbone() -> RandomPatches:
    return RandomPatches.cut(gratings(60)[0], filters=8)


def test_textures_are_told_apart_that_pixels_do_not_tell_apart(backbone: RandomPatches) -> None:
    (taught, labels), (asked, truth) = gratings(40), gratings(200, 1)
    right = []
    for features in (backbone.features, lambda pictures: pictures.reshape(len(pictures), -1)[:, ::4].astype(float)):
        head = FastHead()
        head.learn(features(taught), labels)
        right.append(np.mean(np.array(head.predict(features(asked)).best) == truth))
    assert right[0] > 0.9
    assert right[0] > right[1] + 0.3


def test_a_feature_does_not_depend_on_its_company(backbone: RandomPatches) -> None:
    pictures = gratings(70)[0]
    together = backbone.features(pictures)
    assert together.shape == (70, backbone.width) == (70, 2 * 8 * 9)
    assert all(np.array_equal(backbone.features(one[None])[0], row)
               for one, row in zip(pictures[:5], together, strict=False))


def test_even_pictures_have_features_that_can_be_learned(backbone: RandomPatches) -> None:
    features = backbone.features([np.zeros((9, 9), np.uint8), np.full((50, 40, 3), 255, np.uint8)])
    assert np.array_equal(features[0], features[1])
    assert features.min() > 0


def test_the_same_pictures_and_seed_cut_the_same_filters() -> None:
    pictures = gratings(30)[0]
    one, again, other = (RandomPatches.cut(pictures, filters=4, seed=seed).fingerprint for seed in (0, 0, 1))
    assert one == again != other


def test_a_saved_bundle_gives_the_same_features(backbone: RandomPatches, tmp_path: Path) -> None:
    pictures = gratings(5)[0]
    bundle = Bundle.measure(backbone, gratings(40)[0], None)
    bundle.save(tmp_path / "b")
    opened = Bundle.open(tmp_path / "b")
    assert opened.fingerprint == bundle.fingerprint
    assert np.array_equal(opened.features(pictures), bundle.features(pictures))


@pytest.mark.parametrize("change", [
    {"version": 2}, {"cells": 0}, {"cells": 40}, {"side": 3}, {"threshold": -1.0}, {"threshold": "x"}, {"more": 1},
], ids=str)  # fmt: skip
def test_what_was_altered_is_damaged(backbone: RandomPatches, change: dict[str, Any]) -> None:
    assert RandomPatches.restore("x", backbone.config(), backbone.network()).fingerprint == backbone.fingerprint
    with pytest.raises(DamagedError):
        RandomPatches.restore("x", {**backbone.config(), **change}, backbone.network())
    for network in (None, b"", backbone.network()[:-9]):
        with pytest.raises(DamagedError):
            RandomPatches.restore("x", backbone.config(), network)


def test_pictures_with_nothing_in_them_and_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="too little in these pictures"):
        RandomPatches.cut([np.full((30, 30), 7, np.uint8)])
    with pytest.raises(InputError, match="2 to 28 pixels"):
        RandomPatches.cut(gratings(5)[0], patch=40)
    with pytest.raises(InputError, match="0 pictures"):
        RandomPatches.cut([])


def folder_of(place: Path, count: int = 40) -> Path:
    for i, (picture, label) in enumerate(zip(*gratings(count), strict=True)):
        (place / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / label / f"{i}.png")
    return place


def test_a_brain_is_taught_a_folder_on_filters_cut_from_it(tmp_path: Path) -> None:
    shown = folder_of(tmp_path / "shown")
    line = ["teach", str(tmp_path / "x.brain"), str(shown), "--backbone", "random-patches"]
    assert app.run(line) == app.run(line) == 0
    with Brain.open(tmp_path / "x.brain") as brain:
        assert brain.bundle is not None
        assert brain.bundle.name == "random-patches"
        assert sum(brain.counts().values()) == 40  # the second time, all were skipped
        asked, truth = gratings(60, 3)
        assert np.mean(np.array(brain.predict(list(asked)).best) == truth) > 0.9


def test_it_is_evaluated_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = folder_of(tmp_path / "shown")
    line = ["backbone", "evaluate", "random-patches", str(shown), "--shots", "3", "--splits", "2", "--json"]
    assert app.run(line) == 0
    assert '"backbone": "random-patches"' in capsys.readouterr().out


def test_its_name_alone_says_what_it_is_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"made of the first pictures: `engram teach NEW\.brain PICTURES"):
        Brain("random-patches")
    brain = Brain(as_bundle("random-patches", list(gratings(30)[0])))
    brain.learn(list(gratings(4)[0]), gratings(4)[1])
    line = next(line for line in catalogue.listing() if line["name"] == "random-patches")
    assert line["origin"] == line["problem"] == "made of the first pictures"


@pytest.mark.skipif(not (Path(os.environ.get("ENGRAM_DATA", "no-data")) / "mnist").is_dir(), reason="no MNIST")
def test_digits_are_learned_from_filters_of_two_of_them() -> None:
    """2,000 digits, on filters cut from zeros and ones: over 96%, where pixels give about 85."""
    from engram.lab.data_sets.mnist import mnist

    data = mnist()
    images, labels = data.train_images, data.train_labels
    backbone = RandomPatches.cut(images[:2000][labels[:2000] < 2][:200])
    head = FastHead()
    head.learn(backbone.features(images[:2000]), labels[:2000].tolist())
    answers = head.predict(backbone.features(images[-1000:])).best
    assert np.mean(np.array(answers) == labels[-1000:]) > 0.95
