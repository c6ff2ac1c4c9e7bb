"""A stream of pictures as features of random patches, cut from its first pictures; computed once for each stream."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engram.features.backbones import BACKBONES
from engram.lab.experiments.feature_cache import Featurer, cached_features
from engram.lab.streams import Stream
from engram.lab.streams.stream import Examples

SHOWN = 300
"""Pictures of the first portion from which filters are cut, as in the experiment `random-patches`."""


def on_random_patches(stream: Stream, seed: int) -> Stream:
    """The stream with (504,) float32 features in place of pictures; the seed draws the places of the patches."""
    backbone = BACKBONES.load("random-patches").cut(stream[0].train.part(0, SHOWN).inputs, seed=seed)
    name = f"random-patches-{stream.fingerprint()[:16]}"
    parts: dict[int, Examples] = {}

    def featured(examples: Examples) -> Examples:
        if id(examples) not in parts:
            parts[id(examples)] = _featured(examples, backbone, f"{name}-{len(parts)}")
        return parts[id(examples)]

    return replace(stream, experiences=tuple(
        replace(experience, train=featured(experience.train), held_out=featured(experience.held_out),
                test=featured(experience.test)) for experience in stream))


def _featured(examples: Examples, backbone: Featurer, name: str) -> Examples:
    if not len(examples):
        return examples
    features = cached_features(backbone, name, lambda: examples.inputs).features
    return Examples(features, np.arange(len(examples)), examples.labels)
