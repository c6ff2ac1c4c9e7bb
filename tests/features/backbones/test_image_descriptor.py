"""The hand-made picture descriptor."""

import os
from pathlib import Path

import numpy as np
import pytest

from engram.features.backbones.backbone import Backbone, Stored
from engram.features.backbones.image_descriptor import DescriptorBackbone, describe
from engram.inputs.images import scan
from engram.learner import DamagedError, InputError


def picture(seed: int, size: tuple[int, int] = (48, 80)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_is_a_backbone_that_a_bundle_can_hold() -> None:
    backbone = DescriptorBackbone()
    assert isinstance(backbone, Backbone)
    assert isinstance(backbone, Stored)
    again = DescriptorBackbone.restore("mine", backbone.config(), None)
    assert again.fingerprint == backbone.fingerprint


def test_another_version_is_refused() -> None:
    config = DescriptorBackbone().config()
    with pytest.raises(DamagedError, match="version"):
        DescriptorBackbone.restore("old", {**config, "version": 2}, None)


def test_a_picture_is_described_alike_alone_and_among_others() -> None:
    backbone, pictures = DescriptorBackbone(), [picture(i) for i in range(4)]
    together = backbone.features(pictures)
    assert together.shape == (4, 856)
    assert together.dtype == np.float32
    assert all(np.array_equal(backbone.features(one)[0], row) for one, row in zip(pictures, together, strict=True))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_blank_pictures_have_a_finite_direction(value: float) -> None:
    description = describe(np.full((64, 64, 3), value))
    assert np.isfinite(description).all()
    assert np.linalg.norm(description) > 0.5


def test_turning_edges_by_a_right_angle_turns_the_orientations_and_brightness_cancels() -> None:
    bars = np.tile((np.arange(64) // 8 % 2)[:, None, None] * 0.5 + 0.2, (1, 64, 3))
    level, upright = describe(bars), describe(bars.transpose(1, 0, 2))
    shape = 6 * 6 * 9
    assert level[:shape] @ upright[:shape] < 0.1  # no orientation in common
    assert level[:shape] @ describe(bars * 0.8)[:shape] > 0.99


def test_colours_are_told_apart() -> None:
    red, green = np.zeros((64, 64, 3)), np.zeros((64, 64, 3))
    red[..., 0], green[..., 1] = 1, 1
    colour = slice(6 * 6 * 9 + 4 * 4 * 16 + 16, None)
    assert describe(red)[colour] @ describe(green)[colour] < 0.8 * (describe(red)[colour] @ describe(red)[colour])


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(InputError):
        DescriptorBackbone().features(["no-such-file.png"])


@pytest.mark.skipif("ENGRAM_DATA" not in os.environ, reason="ENGRAM_DATA names no data folder")
def test_five_photographs_a_class_are_enough_to_beat_chance_many_times() -> None:
    paths, labels = scan(Path(os.environ["ENGRAM_DATA"]) / "photos")
    assert labels is not None
    names = np.array(labels)
    classes = sorted(set(labels))[:10]
    taught = [i for c in classes for i in np.flatnonzero(names == c)[:5]]
    asked = [i for c in classes for i in np.flatnonzero(names == c)[5:9]]
    features = DescriptorBackbone().features([paths[i] for i in taught + asked])
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    means = features[: len(taught)].reshape(10, 5, -1).mean(axis=1)
    best = (features[len(taught) :] @ means.T).argmax(axis=1)
    assert np.mean(best == np.repeat(np.arange(10), 4)) > 0.3
