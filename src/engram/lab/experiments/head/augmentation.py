"""Pictures taught with and without further views of them, from one example and from five.

The twenty classes of Tiny-ImageNet that the packaged photo backbone never saw; ten are taught, drawn by the seed, and
their other pictures asked. A picture and its views are one example (`--augment`). Beside it stands what is not done:
each view as an example of its own. Views and weights were chosen on training pictures of these classes; here, only
their validation pictures are used. Beside the network, which has seen mirrored and recoloured pictures in training,
stands the hand-made descriptor, which has not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from engram.brain.bundles import blended
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.catalogue import bundle_of
from engram.inputs.augmentation import views
from engram.lab.data_sets.tiny_imagenet import tiny_imagenet
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.result import Figure, Values

WAYS = {"plain": "as it is", "together": "with its views, one example", "apart": "each view an example"}


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        shots: pictures taught of each class.
        classes: classes that are taught.
        draws: draws of classes and pictures for each seed.
    """

    shots: tuple[int, ...] = (1, 5)
    classes: int = 10
    draws: int = 20


PUBLISHED: dict[str, Any] = {}
BACKBONES = {"": "photos", "descriptor-": "descriptor"}
FIGURES = {
    **{f"augment.descriptor-gain-{shots}": Figure(f"descriptor-gain-{shots}", "points") for shots in (1, 5)},
    **{f"augment.{name}-{shots}": Figure(f"{name}-{shots}", "%")
       for shots in (1, 5) for name in ("plain", "together", "apart")},
    **{f"augment.gain-{shots}": Figure(f"gain-{shots}", "points", at_least=0.0) for shots in (1, 5)},
    **{f"augment.{name}-refused-{shots}": Figure(f"{name}-refused-{shots}", "%")
       for shots in (1, 5) for name in ("plain", "together", "apart")},
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed: means over its draws."""
    values: Values = {}
    for i, (prefix, name) in enumerate(BACKBONES.items()):
        progress(i / 2, name)
        found = measured(config, seed, name)
        values |= {f"{prefix}{key}": value for key, value in found.items()}
    return values


def measured(config: Config, seed: int, backbone: str) -> Values:
    """What `run` gives for one backbone."""
    bundle, shown = bundle_of(backbone), features(backbone)
    drawn: dict[str, list[float]] = {}
    for draw in range(config.draws):
        rng = np.random.default_rng([seed, draw])
        classes = rng.permutation(len(shown["plain"]))[: config.classes]
        order = rng.permutation(shown["plain"].shape[1])
        for shots in config.shots:
            for way in WAYS:
                right, refused = asked(bundle, shown, way, classes, order, shots)
                drawn.setdefault(f"{way}-{shots}", []).append(right)
                drawn.setdefault(f"{way}-refused-{shots}", []).append(refused)
    values: Values = {name: float(np.mean(found)) for name, found in drawn.items()}
    return values | {f"gain-{shots}": values[f"together-{shots}"] - values[f"plain-{shots}"] for shots in config.shots}


@lru_cache(maxsize=2)
def features(backbone: str) -> dict[str, Any]:
    """(C, N, D) of the pictures as they are and with their views, and (C, N, 8, D) of each view."""
    from engram.lab.recipes.photo_recipe import trained_on

    pictures, bundle = tiny_imagenet("val"), bundle_of(backbone)
    labels = np.asarray(pictures.labels)
    names = tuple(sorted(set(pictures.labels)))
    held_out = sorted(set(names) - set(trained_on(names)))
    places = [np.flatnonzero(labels == name) for name in held_out]
    chosen = [pictures[int(place)] for some in places for place in some]
    each = cached_features(bundle, "tiny-imagenet-held-out-val-views",
                           lambda: [view for picture in chosen for view in (picture, *views(picture))]).features
    shape = (len(held_out), len(places[0]))
    apart = each.reshape(*shape, 8, -1)
    together = np.stack([blended(bundle, seen) for seen in each.reshape(-1, 8, bundle.width)]).reshape(*shape, -1)
    return {"plain": apart[:, :, 0], "together": together, "apart": apart}


def asked(
    bundle: Bundle, shown: Mapping[str, Any], way: str, classes: Any, order: Any, shots: int
) -> tuple[float, float]:
    """Percent of the other pictures answered rightly, and refused."""
    head = fast_head(bundle)
    for place in classes:
        rows = shown[way][place, order[:shots]].reshape(-1, bundle.width)
        head.learn(rows, [int(place)] * len(rows))
    others = shown["plain"][classes][:, order[max(5, shots):]]
    answers = head.predict(others.reshape(-1, bundle.width))
    truth = np.repeat(classes, others.shape[1])
    return 100 * float(np.mean(np.array(answers.best) == truth)), 100 * float(np.mean(~answers.known))


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy by the way of teaching."""
    figure, axes = canvas(2, width=4.4, height=2.6)
    values = result["values"]
    for panel, shots in zip(axes, result["config"]["shots"], strict=True):
        bars = {told: (values[f"{way}-{shots}"]["mean"], values[f"{way}-{shots}"]["sd"]) for way, told in WAYS.items()}
        draw_bars(panel, bars, "accuracy (%)", f"{shots} of each class", span=(0.0, 100.0))
    return figure
