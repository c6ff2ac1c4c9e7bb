"""136 to 1,623 handwritten characters: another domain than the backbone's, and very many classes.

The 136 characters are Omniglot's first small background set (five alphabets), 964 its background part, 1,623
all of it. Ten of each character's twenty drawings may be taught, the other ten are asked about. The backbones
are the digit network (trained on MNIST alone; drawings are scaled and centred as its digits were, which was
settled on 200 characters of the evaluation part) and MobileNetV2 (trained on ImageNet; drawings as they are).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.lab.data_sets.omniglot import DRAWINGS, PARTS, omniglot
from engram.lab.evaluation import accuracy
from engram.lab.evaluation.plots import canvas, draw_bars, draw_curves
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.head.character_as_digit import character_as_digit
from engram.lab.experiments.head.contenders import RECOMMENDED, contenders
from engram.lab.experiments.head.digit_features import digit_bundle
from engram.lab.experiments.pretraining.mobilenet import mobilenet_bundle
from engram.lab.experiments.result import Figure, Values

SMALL = ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin")
TAUGHT = 10
# Slow with so many classes, in learning or in answering; on ten classes ldnn-mnist compares them too.
LEFT_OUT = ("fast, by prototypes", "ranpac", "fuzzy_artmap", "k_winners_take_all", "hopfield")


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        characters: how many characters are learned: 136, 964 or 1623.
        shots: drawings taught of each.
        backbones: "digits" and "mobilenet-v2".
        withhold: the digit that the digit network never saw.
        compared: at this many characters all heads are compared that scale to them, above only the recommended
            one and nearest class mean.
    """

    characters: tuple[int, ...] = (136, 964, 1623)
    shots: tuple[int, ...] = (1, 5, 10)
    backbones: tuple[str, ...] = ("digits", "mobilenet-v2")
    withhold: int = 3
    compared: int = 136


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "ldnn-omniglot.shots-1": Figure("shots-1", "%"),
    "ldnn-omniglot.shots-5": Figure("shots-5", "%", at_least=74.0),
    "ldnn-omniglot.shots-10": Figure("shots-10", "%"),
    "ldnn-omniglot.all-shots-5": Figure("all-shots-5", "%"),
    "ldnn-omniglot.mobilenet-shots-5": Figure("mobilenet-shots-5", "%"),
    "ldnn-omniglot.mobilenet-all-shots-5": Figure("mobilenet-all-shots-5", "%"),
}


class Characters(NamedTuple):
    """Features of every drawing, (N, D), and "alphabet/character" of each; twenty drawings stand together."""

    bundle: Any
    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.str_]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed; drawings are dealt to teaching and asking at random."""
    values: Values = {"accuracy": {}, "milliseconds": {}}
    for b, backbone in enumerate(config.backbones):
        progress(b / len(config.backbones), f"features of {backbone}")
        everything = characters_of(backbone, config, seed)
        for c, count in enumerate(config.characters):
            share = (b + c / len(config.characters)) / len(config.backbones)
            progress(share, f"{count} characters on {backbone}")
            chosen = everything if count == sum(PARTS.values()) else subset(everything, count)
            found = compare(config, chosen, seed, everyone=count <= config.compared)
            values["accuracy"].setdefault(backbone, {})[str(count)] = found["accuracy"]
            values["milliseconds"].setdefault(backbone, {})[str(count)] = found["milliseconds"]
    return values | headlines(values["accuracy"])


def headlines(found: Mapping[str, Any]) -> Values:
    """The recommended head's accuracy where a figure asks for it."""
    places = {"shots-{}": ("digits", "136"), "all-shots-{}": ("digits", "1623"),
              "mobilenet-shots-{}": ("mobilenet-v2", "136"),
              "mobilenet-all-shots-{}": ("mobilenet-v2", "1623")}
    return {
        name.format(shots): value
        for name, (backbone, count) in places.items()
        for shots, value in found.get(backbone, {}).get(count, {}).get("fast", {}).items()
    }


def characters_of(backbone: str, config: Config, seed: int) -> Characters:
    """Features of all 1,623 × 20 drawings; background characters first."""
    parts = [omniglot(part) for part in PARTS]
    labels = np.concatenate([np.asarray(part.labels) for part in parts])
    if backbone == "digits":
        bundle = digit_bundle((config.withhold,), seed)
        cached = cached_features(bundle.backbone, "omniglot-in-digits-box",
                                 lambda: np.stack([character_as_digit(p[i]) for p in parts for i in range(len(p))]))
    else:
        bundle = mobilenet_bundle()
        cached = cached_features(bundle.backbone, "omniglot-dark-on-white",
                                 lambda: [255 - part[i] for part in parts for i in range(len(part))])
    return Characters(bundle, cached.features, labels)


def subset(everything: Characters, count: int) -> Characters:
    """The five small alphabets, or as many characters as asked for from the front."""
    alphabets = np.array([label.split("/")[0] for label in everything.labels])
    chosen = np.isin(alphabets, SMALL) if count == 136 else np.arange(len(alphabets)) < count * DRAWINGS
    return Characters(everything.bundle, everything.features[chosen], everything.labels[chosen])


def compare(config: Config, characters: Characters, seed: int, everyone: bool) -> Values:
    """Accuracy in percent, and milliseconds of teaching one drawing: head -> shots -> value."""
    taught, asked = deal(len(characters.labels), seed)
    truth = characters.labels[asked].tolist()
    accuracies: Values = {}
    milliseconds: Values = {}
    for name, make in contenders(characters.bundle, LEFT_OUT).items():
        if not everyone and name not in (RECOMMENDED, "nearest_class_mean"):
            continue
        for shots in config.shots:
            places = taught[:, :shots].ravel()
            head = make()
            start = time.perf_counter()
            head.learn(characters.features[places], characters.labels[places].tolist())
            spent = time.perf_counter() - start
            best = head.predict(characters.features[asked]).best
            accuracies.setdefault(name, {})[str(shots)] = 100 * accuracy(best, truth)
            milliseconds.setdefault(name, {})[str(shots)] = 1000 * spent / len(places)
    return {"accuracy": accuracies, "milliseconds": milliseconds}


def deal(drawings: int, seed: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Each character's drawings in random order: (C, 10) places to teach, and the places to ask about."""
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.arange(drawings).reshape(-1, DRAWINGS), axis=1)
    return order[:, :TAUGHT], order[:, TAUGHT:].ravel()


def plot(result: Mapping[str, Any]) -> Any:
    """The recommended head over the number of characters, and all heads on the first 136."""
    found, shots = result["values"]["accuracy"], [str(count) for count in result["config"]["shots"]]
    figure, axes = canvas(len(found) + 1, width=4.4, height=3.6)
    curves = {}
    for backbone, by_count in found.items():
        for count in shots:
            points = [by_count[size]["fast"][count] for size in by_count]
            curves[f"{backbone}, {count} shots"] = (
                [float(size) for size in by_count], [p["mean"] for p in points], [p["sd"] for p in points])
    draw_curves(axes[0], curves, "characters", "accuracy (%)", "From 136 to 1,623 characters", log=True)
    for panel, (backbone, by_count) in zip(axes[1:], found.items(), strict=False):
        fewest = by_count[str(result["config"]["characters"][0])]
        middle = shots[len(shots) // 2]
        bars = {name: (head[middle]["mean"], head[middle]["sd"]) for name, head in fewest.items()}
        draw_bars(panel, bars, "accuracy (%)", f"{backbone}, 136 characters, {middle} shots", span=(0, 112))
    return figure
