"""Which training of a backbone makes the fast head good, and whether accuracy on its own classes tells.

The brief's figure: networks of several families are trained by several recipes on 100 classes of Tiny-ImageNet, all
with the same number of pictures through the network. Each is measured twice: by a linear probe on new pictures of the
classes it was trained on, and by the fast head on classes it never saw, after 1, 5 and 14 examples of each:
50 held-out classes of Tiny-ImageNet, photographs near to and far from such classes, steel defects, handwritten
characters. The best recipe beside plain cross-entropy is chosen on the held-out Tiny-ImageNet classes, and what it
gains or loses against plain cross-entropy is reported on the novel photographs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.features.backbones.feature_statistics import FeatureStatistics
from engram.features.pretraining import RECIPES, unlabelled
from engram.heads.fast import FastHead
from engram.lab.evaluation.correlation import correlation
from engram.lab.evaluation.few_shot import few_shot
from engram.lab.evaluation.intervals import interval
from engram.lab.evaluation.plots import canvas, draw_bars, draw_curves, draw_scatter
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.pretraining.linear_probe import linear_probe
from engram.lab.experiments.pretraining.pretrained_network import (
    LAST,
    Training,
    features_at,
    layers_of,
    split_classes,
    trained,
)
from engram.lab.experiments.pretraining.small_pictures import SmallPictures, small_pictures
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.learner import FloatArray

BRIEF = "Lifelong-DNN technical brief (Neurala, 2019)"
VALIDATION, TARGET = "held-out", "novel"
TARGETS = ("held-out", "near", "novel", "steel", "omniglot")
"""What is learned on top: 50, 10, 10, 6 and 50 classes."""

PER_CLASS = 30
"""Pictures of each Tiny-ImageNet class that statistics, probes and held-out classes use."""

STRENGTHS = (0.003, 0.03)
PAIRED = 30
PLAIN = "cross-entropy"


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        main: the family whose recipes are compared with every seed.
        others: families that are added with the first seed alone, trained by `other_recipes`.
        multipliers: of each family's channels, main first; 0 where the family has none.
        recipes, other_recipes: of RECIPES; LeNet-5 takes pictures of one size, so not swav and cpc.
        classes: of Tiny-ImageNet's 200 that are trained on; of the others 50 are held out to choose by.
        side: of the pictures.
        steps, passes, learning_rate: see Training.
        shots: examples taught of each class.
        splits: random splits of the pictures of each target.
    """

    main: str = "resnet18"
    others: tuple[str, ...] = ("lenet5",)
    multipliers: tuple[float, ...] = (0.25, 0.0)
    recipes: tuple[str, ...] = tuple(RECIPES)
    other_recipes: tuple[str, ...] = tuple(recipe for recipe in RECIPES if recipe not in ("swav", "cpc"))
    classes: int = 100
    side: int = 32
    steps: int = 700
    passes: int = 128
    learning_rate: float = 2e-3
    shots: tuple[int, ...] = (1, 5, 14)
    splits: int = 6


PUBLISHED: dict[str, Any] = {
    "correlation": {"value": "almost none", "source": BRIEF + ": four losses on several backbones, against ImageNet"},
}

FIGURES = {
    "feature-quality.gain": Figure("gain", "points"),
    "feature-quality.best": Figure("best-novel", "%"),
    "feature-quality.plain": Figure("plain-novel", "%"),
    "feature-quality.correlation": Figure("correlation", "r"),
    "feature-quality.correlation-with-labels": Figure("correlation-with-labels", "r"),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed: of weights, batches and splits."""
    cells = [(config.main, recipe) for recipe in config.recipes]
    if seed == 0:
        cells += [(family, recipe) for family in config.others for recipe in config.other_recipes]
    found: dict[str, dict[str, Values]] = {}
    for i, (family, recipe) in enumerate(cells):
        told = partial(_told, progress, i / len(cells), 1 / len(cells), f"{family} by {recipe}")
        found.setdefault(family, {})[recipe] = cell(config, family, recipe, seed, told)
    chosen = choice(found[config.main])
    progress(0.99, "the gain over many splits")
    chosen["gain-over-splits"] = paired_gain(config, chosen["best"], seed)
    return {"cells": found, **chosen, **(correlations(found) if seed == 0 else {})}


def cell(config: Config, family: str, recipe: str, seed: int, progress: Any = None) -> Values:
    """One network's measures, from the cache where it was measured before. See `measure`."""
    training = training_of(config, family, recipe, seed)
    place = steps_of("feature-quality", asdict(config), seed=seed)
    return measured(f"{place}/{family}-{recipe}", partial(measure, config, training, progress))


def training_of(config: Config, family: str, recipe: str, seed: int) -> Training:
    """How the cell's network is trained."""
    multiplier = dict(zip((config.main, *config.others), config.multipliers, strict=True))[family]
    options: tuple[tuple[str, float], ...] = (("multiplier", multiplier),) if multiplier else ()
    if family == "lenet5":
        options = (("channels", 3), ("side", config.side))
    return Training(family, recipe, config.side, options, config.classes, steps=config.steps, passes=config.passes,
                    learning_rate=config.learning_rate, seed=seed)


def measure(config: Config, training: Training, progress: Any = None) -> Values:
    """Percentages: "probe", each target by shots, and "layers": five shots of each target at each cut."""
    network = trained(training, progress)
    layers = layers_of(training.family)
    known, held_out = split_classes(training.classes)
    train = few_of(small_pictures("tiny-train", training.side).of(known))
    test = few_of(small_pictures("tiny-val", training.side).of(known))
    at = partial(features_at, network, training.family, layers=layers)
    own = at(train)
    heads = {layer: head_for(features, train.labels) for layer, features in own.items()}
    probe = linear_probe(own[LAST], train.labels, features_at(network, training.family, test)[LAST], test.labels,
                         STRENGTHS, refits=1)
    values: Values = {"probe": 100 * probe.accuracy, "layers": {layer: {} for layer in layers}}
    for name in TARGETS:
        pictures = small_pictures("tiny-train", training.side).of(held_out) if name == VALIDATION else (
            small_pictures(name, training.side))
        pictures = few_of(pictures, None if name == "steel" else PER_CLASS)
        for layer, features in at(pictures).items():
            whole = layer == LAST
            found = learned(features, pictures.labels, heads[layer], config.shots if whole else (5,),
                            splits_for(config, features.shape[1], whole), training.seed)
            values["layers"][layer][name] = found["5"]
            if whole:
                values[name] = found
    return values


def few_of(pictures: SmallPictures, count: int | None = PER_CLASS) -> SmallPictures:
    """The first `count` pictures of each class, or all of them."""
    places = [np.flatnonzero(pictures.labels == label)[:count] for label in np.unique(pictures.labels)]
    chosen = np.concatenate(places)
    return SmallPictures(pictures.pixels[chosen], pictures.labels[chosen])


def head_for(features: npt.NDArray[np.float32], labels: npt.NDArray[np.str_]) -> Any:
    """A maker of fast heads with the statistics of (N, D) features, the pre-training classes'."""
    statistics = FeatureStatistics(features.shape[1], normalise=True, labelled=True)
    statistics.add(features, labels.tolist())
    return partial(FastHead, statistics.mean(), statistics.covariance())


def learned(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.str_], make_head: Any, shots: Sequence[int],
    splits: int, seed: int,
) -> dict[str, float]:
    """Shots -> the fast head's accuracy on (N, D) features in percent, the mean over splits."""
    found = few_shot(features, labels.tolist(), make_head, shots=shots, splits=splits, seed=seed)
    return {str(count): float(100 * value) for count, value in zip(shots, found.accuracy.mean(0), strict=True)}


def splits_for(config: Config, width: int, whole: bool) -> int:
    """Fewer splits where a head takes long (D³), and at the inner layers."""
    wanted = config.splits if whole else max(2, config.splits // 3)
    return wanted if width <= 512 else max(2, config.splits // 5)


def choice(cells: Mapping[str, Values]) -> Values:
    """The recipe beside plain cross-entropy that serves the held-out Tiny-ImageNet classes best, and what it gains on
    each target, five shots each."""
    best = max((recipe for recipe in cells if recipe != PLAIN), key=lambda recipe: cells[recipe][VALIDATION]["5"])
    gains = {name: cells[best][name]["5"] - cells[PLAIN][name]["5"] for name in TARGETS}
    return {
        "best": best, "gain": gains[TARGET], "gains": gains,
        "best-novel": cells[best][TARGET]["5"], "plain-novel": cells[PLAIN][TARGET]["5"],
    }


def paired_gain(config: Config, best: str, seed: int) -> Values:
    """The gain again, over many splits of the novel photographs, the same ones for both networks: mean and interval.

    It says what other photographs of these would change; the seeds say what other trainings would.
    """
    first, second = (five_shots(config, recipe, seed) for recipe in (best, PLAIN))
    return interval(100 * (first - second))._asdict()


def five_shots(config: Config, recipe: str, seed: int) -> FloatArray:
    """(PAIRED,) accuracy after five of each novel kind, in [0, 1], of the main family's network."""
    training = training_of(config, config.main, recipe, seed)
    network = trained(training)
    train = few_of(small_pictures("tiny-train", training.side).of(split_classes(training.classes)[0]))
    make_head = head_for(features_at(network, training.family, train)[LAST], train.labels)
    pictures = few_of(small_pictures(TARGET, training.side))
    features = features_at(network, training.family, pictures)[LAST]
    return few_shot(features, pictures.labels.tolist(), make_head, shots=(5,), splits=PAIRED, seed=seed).accuracy[:, 0]


def correlations(found: Mapping[str, Mapping[str, Values]]) -> Values:
    """Linear probe against five shots on each target, over all networks of a seed and over those with labels."""
    values: Values = {}
    for suffix, allowed in (("", set(RECIPES)), ("-with-labels", set(RECIPES) - {*unlabelled()})):
        networks = [cells[recipe] for cells in found.values() for recipe in cells if recipe in allowed]
        if len(networks) < 4:
            continue
        probes = [network["probe"] for network in networks]
        by_target = {name: correlation(probes, [network[name]["5"] for network in networks])._asdict()
                     for name in TARGETS}
        values |= {f"correlation{suffix}": by_target[TARGET]["value"], f"correlations{suffix}": by_target}
    return values


def plot(result: Mapping[str, Any]) -> Any:
    """Probe against five shots for every network; the recipes on the main family; where to cut."""
    cells, main = result["values"]["cells"], result["config"]["main"]
    figure, (left, middle, right) = canvas(3, width=4.8, height=4.0)
    points = {
        family: ([by[r]["probe"]["mean"] for r in by], [by[r][TARGET]["5"]["mean"] for r in by], list(by))
        for family, by in cells.items()
    }
    draw_scatter(left, points, "linear probe on the classes trained on (%)", "fast head, 5 photographs each (%)",
                 "Ten novel classes against the network's own")
    bars = {recipe: (by[TARGET]["5"]["mean"], by[TARGET]["5"]["sd"]) for recipe, by in cells[main].items()}
    draw_bars(middle, dict(sorted(bars.items(), key=lambda bar: -bar[1][0])), "accuracy, 5 shots (%)",
              f"Ten novel classes on {main}", span=(max(0.0, min(mean for mean, _ in bars.values()) - 10), 100.0))
    best = max(cells[main], key=lambda recipe: cells[main][recipe][VALIDATION]["5"]["mean"])
    curves = {}
    for name in (TARGET, *(target for target in TARGETS if target != TARGET)):
        by_layer = [cells[main][best]["layers"][layer][name] for layer in cells[main][best]["layers"]]
        curves[name] = (range(1, len(by_layer) + 1), [v["mean"] for v in by_layer], [v["sd"] for v in by_layer])
    draw_curves(right, curves, "cut after stage", "accuracy, 5 shots (%)", f"Where to cut ({main}, {best})")
    return figure


def _told(
    progress: Progress, start: float, width: float, what: str, done: int, steps: int | None, now: str = ""
) -> None:
    progress(start + width * done / (steps or 1), f"{what}, step {done} of {steps}, {now}")
