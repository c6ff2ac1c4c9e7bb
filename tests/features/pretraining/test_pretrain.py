"""Pre-training on one's own pictures: what is read, what is refused, what a checkpoint belongs to."""
# ruff: noqa: E402

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from engram.features.pretraining import pretrain as module
from engram.features.pretraining.pretrain import Pictures, Plan, checkpoint_of, pretrain
from engram.lab.data_sets.tiny_imagenet import tiny_imagenet
from engram.learner import InputError
from engram.locations import MissingDataError

SMALL = Plan("rotation", "resnet18", 24, steps=3, passes=8, multiplier=0.125)


def noise(count=12, side=30):
    return list(np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path))


def test_pictures_without_labels_give_a_mean_and_no_covariance():
    told = []
    bundle = pretrain(Pictures(noise(), None), SMALL, name="mine", progress=lambda *step: told.append(step[2]))
    assert bundle.mean.any()
    assert bundle.covariance is None
    assert bundle.backbone.preprocessing.size == (24, 24)
    assert list(dict.fromkeys(text.split(",")[0] for text in told)) == [
        "decoding pictures", "training", "measuring features"]


def test_pictures_with_labels_give_the_scatter_within_their_classes():
    labels = ["a", "b", "c"] * 4
    bundle = pretrain(Pictures(noise(), labels), replace(SMALL, recipe="cross-entropy"), name="mine")
    features = bundle.features(noise()).astype(np.float64)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    within = np.concatenate([features[i::3] - features[i::3].mean(0) for i in range(3)])
    assert np.allclose(bundle.covariance, within.T @ within / (12 - 3), atol=1e-6)


def test_a_checkpoint_belongs_to_one_plan_and_just_these_pictures():
    pixels, labels = np.zeros((2, 3, 8, 8), np.uint8), ["a", "b"]
    known = checkpoint_of(SMALL, pixels, labels)
    assert known == checkpoint_of(SMALL, pixels.copy(), list(labels))
    others = [checkpoint_of(replace(SMALL, seed=1), pixels, labels), checkpoint_of(SMALL, pixels + 1, labels),
              checkpoint_of(SMALL, pixels, ["a", "a"])]
    assert len({known, *others}) == 4


def test_a_class_gives_no_more_than_its_share_to_the_statistics(monkeypatch):
    monkeypatch.setattr(module, "MEASURED", 10)
    labels = ["many"] * 50 + ["few"] * 3
    assert module._some(labels, 53) == [0, 1, 2, 3, 4, 50, 51, 52]
    assert module._some(None, 53) == list(range(10))
    assert module._some(labels[:8], 8) == list(range(8))


def test_more_pictures_than_memory_holds_are_refused_before_they_are_read(monkeypatch):
    monkeypatch.setattr(module, "MEMORY", 10_000)
    with pytest.raises(InputError, match="take fewer, or a smaller --size"):
        pretrain(Pictures([None] * 100, None), SMALL, name="mine")


def test_tiny_imagenet_is_a_sequence_that_can_be_trained_upon():
    try:
        pictures = tiny_imagenet("train")
    except MissingDataError as error:
        pytest.skip(str(error))
    assert len(pictures) == len(pictures.labels) == 32_000
    assert len(set(pictures.labels)) == 200
    assert pictures[-1].shape == (64, 64, 3)


def test_lenet_is_made_for_the_size_it_will_see():
    plan = replace(SMALL, recipe="rotation", family="lenet5", multiplier=1.0)
    assert pretrain(Pictures(noise(), None), plan, name="mine").width == 84
