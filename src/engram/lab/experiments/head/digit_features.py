"""MNIST as the digit backbones see it: what may be taught, and what is asked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.lab.data_sets.mnist import mnist
from engram.lab.experiments.feature_cache import cached_features


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
    from engram.lab.recipes.digits import cached_bundle, split

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
    from engram.lab.recipes.digits import cached_bundle

    return cached_bundle(withhold, seed).bundle
