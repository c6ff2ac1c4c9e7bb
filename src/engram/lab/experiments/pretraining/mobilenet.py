"""MobileNetV2 as a bundle: trained on ImageNet, its statistics measured on small pictures of ImageNet's classes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.feature_statistics import FeatureStatistics
from engram.features.backbones.mobilenet_v2 import load
from engram.features.backbones.onnx import OnnxBackbone
from engram.lab.experiments.feature_cache import cached_features
from engram.locations import locate

WEIGHTS = "mobilenetv2_1.0_224_int8.npz"
HOW = f"put {WEIGHTS} (MobileNetV2 1.0 at 224 pixels, int8, one array per convolution) into a folder named 'weights'"
PER_CLASS = 20


@lru_cache(maxsize=1)
def mobilenet() -> OnnxBackbone:
    """The backbone alone.

    Raises:
        MissingDataError: the weights are not on this computer; says how to get them.
    """
    return load(locate("weights", WEIGHTS, how=HOW) / WEIGHTS)


@lru_cache(maxsize=1)
def mobilenet_bundle() -> Bundle:
    """The backbone with m0 and S0 of 200 of ImageNet's classes, 20 pictures of each (Tiny-ImageNet, 64×64)."""
    from engram.lab.data_sets.tiny_imagenet import tiny_imagenet

    pictures = tiny_imagenet("train")
    labels = np.asarray(pictures.labels)
    places = np.concatenate([np.flatnonzero(labels == label)[:PER_CLASS] for label in np.unique(labels)])
    features = cached_features(mobilenet(), f"tiny-imagenet-{PER_CLASS}",
                               lambda: [pictures[int(i)] for i in places]).features
    statistics = FeatureStatistics(features.shape[1], normalise=True, labelled=True)
    statistics.add(features, labels[places].tolist())
    return Bundle.of_statistics(mobilenet(), statistics)
