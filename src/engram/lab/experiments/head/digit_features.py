"""MNIST backbones, trained once by the digit recipe, then taken from the cache; and MNIST as they see it: what may be
taught, and what is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.torch import load_file

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.preprocessing import MNIST
from engram.features.pretraining.onnx_network import to_onnx
from engram.files import write_atomically, writing
from engram.lab.data_sets.mnist import Mnist, mnist
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.recipes.digit_recipe import DigitRecipe, TrainedDigits, pretrain_digits, untrained
from engram.lab.recipes.views import SIX_VIEWS
from engram.learner import InputError
from engram.locations import cache_folder, cached, key_of
from engram.packing import pack_tensors
from engram.progress import Progress

PRETRAINING = 50_000
"""Training images before this one train backbones; the others teach heads and were never seen."""

MEASURED = 20_000
"""From so many of the images that it was trained on the statistics of a backbone's features are measured."""


class Split(NamedTuple):
    """Places among MNIST's 60,000 training images."""

    pretraining: npt.NDArray[np.intp]
    teach: npt.NDArray[np.intp]


class DigitBackbone(NamedTuple):
    """A trained backbone.

    Attributes:
        bundle: ready to be learned upon.
        seconds: processor time that training the network took; on one thread of an idle machine, wall-clock.
        accuracy: of the network's own classifier on those test images whose digits it was trained on, [0, 1].
        digits: the digits it was trained on.
        predictions: (10000,) what its own classifier says to each test image.
    """

    bundle: Bundle
    seconds: float
    accuracy: float
    digits: tuple[int, ...]
    predictions: npt.NDArray[np.int64]


def split() -> Split:
    """Which training images backbones may see, withheld digits aside, and which teach heads."""
    return Split(np.arange(PRETRAINING), np.arange(PRETRAINING, 60_000))


def cached_bundle(
    withhold: Sequence[int] = (),
    seed: int = 0,
    recipe: DigitRecipe | None = None,
    progress: Progress | None = None,
) -> DigitBackbone:
    """The MNIST backbone that never saw the withheld digits; trained first (minutes) unless it is cached.

    Raises:
        InputError: no such digits, or too few remain.
        MissingDataError: MNIST is not on this computer.
        DamagedError: MNIST or the cached backbone is not as it was written.
    """
    digits = tuple(sorted(set(withhold)))
    if not set(digits) <= set(range(10)):
        raise InputError(f"Digits are 0 to 9; cannot withhold {tuple(withhold)}.")
    data, recipe = mnist(), recipe or DigitRecipe()
    labels = key_of({"labels": data.train_labels.tolist()})
    settings = {
        "recipe": recipe.config(), "withhold": digits, "seed": seed, "pretraining": PRETRAINING, "labels": labels,
        "version": 1,
    }
    name = "mnist-" + ("all" if not digits else "without-" + "".join(map(str, digits)))
    run = f"{name}-seed-{seed}-{key_of(settings)}"

    def train(folder: Path) -> None:
        _pretrain(data, digits, seed, recipe, progress, cache_folder() / f"trained/{run}.checkpoint", folder)

    def measure(folder: Path) -> None:
        _measure(_trained(cached(f"trained/{run}", train), recipe), data, name, folder)

    views = key_of({"views": SIX_VIEWS, "measured": MEASURED})
    return _read(cached(f"backbones/{run}-{views}", measure))


def bundle_of(trained: TrainedDigits, data: Mnist, name: str) -> Bundle:
    """The trained network with the statistics of its features on images it was trained on."""
    known = np.isin(data.train_labels[:PRETRAINING], trained.digits)
    places = np.flatnonzero(known)[:MEASURED]
    images, labels = data.train_images[places], data.train_labels[places]
    backbone = OnnxBackbone(to_onnx(trained.features(), (1, 28, 28)), MNIST, name=name)
    return Bundle.measure(backbone, images, labels.tolist())


def _pretrain(
    data: Mnist, withhold: tuple[int, ...], seed: int, recipe: DigitRecipe, progress: Progress | None,
    checkpoint: Path, folder: Path,
) -> None:
    trained = pretrain_digits(
        data.train_images[:PRETRAINING] / np.float32(255), data.train_labels[:PRETRAINING],
        withhold=withhold, seed=seed, recipe=recipe, progress=progress, checkpoint=checkpoint,
    )
    write_atomically(folder / "weights.safetensors", pack_tensors(trained.objective.state_dict()))
    record = {"digits": trained.digits, "seconds": trained.seconds}
    write_atomically(folder / "record.json", json.dumps(record).encode())


def _trained(folder: Path, recipe: DigitRecipe) -> TrainedDigits:
    record = json.loads((folder / "record.json").read_text())
    objective = untrained(recipe, 28, len(record["digits"]))
    objective.load_state_dict(load_file(folder / "weights.safetensors"))
    return TrainedDigits(objective.eval(), tuple(record["digits"]), 28, record["seconds"])


def _measure(trained: TrainedDigits, data: Mnist, name: str, folder: Path) -> None:
    predictions = trained.classify(data.test_images / np.float32(255))
    known = np.isin(data.test_labels, trained.digits)
    accuracy = float((predictions == data.test_labels)[known].mean())
    bundle_of(trained, data, name).save(folder / "bundle")
    with writing(folder / "predictions.npy") as out:
        np.save(out, predictions)
    record = {"seconds": trained.seconds, "accuracy": accuracy, "digits": trained.digits}
    write_atomically(folder / "record.json", json.dumps(record).encode())


def _read(folder: Path) -> DigitBackbone:
    record = json.loads((folder / "record.json").read_text())
    return DigitBackbone(
        Bundle.open(folder / "bundle"),
        record["seconds"], record["accuracy"], tuple(record["digits"]),
        np.load(folder / "predictions.npy", allow_pickle=False),
    )


class DigitFeatures(NamedTuple):
    """Features of the images that no backbone was trained on.

    Attributes:
        bundle: the backbone with its statistics.
        teach, teach_labels: (10000, D) float32 and (10000,) digits to teach a head from.
        test, test_labels: the 10,000 test images.
        teach_seconds: what the features of the images to teach cost.
        training_seconds: what training the network cost.
        classifier_accuracy: of the network's own classifier on those test images whose digits it was trained
            on, in [0, 1].
    """

    bundle: Bundle
    teach: npt.NDArray[Any]
    teach_labels: npt.NDArray[np.int64]
    test: npt.NDArray[Any]
    test_labels: npt.NDArray[np.int64]
    teach_seconds: float
    training_seconds: float
    classifier_accuracy: float


def digit_features(withhold: tuple[int, ...], seed: int) -> DigitFeatures:
    """Features under the backbone that never saw the withheld digits, trained first where it is not cached."""
    from engram.lab.experiments.head.digit_features import cached_bundle, split

    trained = cached_bundle(withhold, seed)
    data = mnist()
    places = split().teach
    teach = cached_features(trained.bundle.backbone, "mnist-teach", lambda: data.train_images[places])
    test = cached_features(trained.bundle.backbone, "mnist-test", lambda: data.test_images)
    return DigitFeatures(
        trained.bundle,
        teach.features, data.train_labels[places].astype(np.int64),
        test.features, data.test_labels.astype(np.int64),
        teach.seconds, trained.seconds, trained.accuracy,
    )


def digit_bundle(withhold: tuple[int, ...], seed: int) -> Any:
    """The bundle alone."""
    from engram.lab.experiments.head.digit_features import cached_bundle

    return cached_bundle(withhold, seed).bundle
