"""Photographs one by one, class after class, with consolidation after each class.

Fourteen photographs of each of ten classes are taught one at a time, all of one class before the next; after each,
the sixteen others of every class taught so far are asked about. When a class is complete, consolidation is forced.
Two heads learn the same stream, read out by class means and by prototypes. Three sets of ten classes: all near to
ImageNet's classes, on which the backbone was trained; all novel; and, as in the brief, five and five.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.lab.data_sets.labelled_folder import few_of_each
from engram.lab.data_sets.photos import NEAR, NOVEL, photos
from engram.lab.evaluation import accuracy, confusion_matrix
from engram.lab.evaluation.plots import canvas, draw_bars, draw_curves
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.head.contenders import contenders, fast_head
from engram.lab.experiments.pretraining.linear_probe import linear_probe
from engram.lab.experiments.pretraining.mobilenet import mobilenet_bundle
from engram.lab.experiments.result import Figure, Values

BRIEF = "Lifelong-DNN technical brief (Neurala, 2019)"
READOUTS = ("class", "prototypes")


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        teach, ask: photographs of each class that are taught, and that are asked about.
        mixed: classes of either sort in the mixed set, drawn by the seed.
    """

    teach: int = 14
    ask: int = 16
    mixed: int = 5


PUBLISHED: dict[str, Any] = {
    "consolidation-helps": {"value": 8, "source": BRIEF + ": of ten classes"},
}

FIGURES = {
    "ldnn-photos.near": Figure("near", "%", at_least=95.0),
    "ldnn-photos.novel": Figure("novel", "%", at_least=93.0),
    "ldnn-photos.mixed": Figure("mixed", "%"),
    "ldnn-photos.consolidation-helps": Figure("consolidation-helps", "count", published=8,
                                              source=BRIEF + ": of ten classes"),
}


class Photographs(NamedTuple):
    """The bundle, and the features and classes of all photographs."""

    bundle: Bundle
    features: npt.NDArray[Any]
    labels: tuple[str, ...]


class Session(NamedTuple):
    """What is taught of each class, in the order of the classes, and what is asked."""

    classes: list[str]
    teach: list[npt.NDArray[np.intp]]
    ask: list[npt.NDArray[np.intp]]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed. The seed draws the photographs, the mixed classes and the order of classes."""
    progress(0.0, "features of the photographs")
    data = photographs()
    values: Values = {"sets": {}}
    for i, (name, classes) in enumerate(sets(config, seed).items()):
        rng = np.random.default_rng([seed, i])
        order = [classes[j] for j in rng.permutation(len(classes))]
        lesson = Session(order, *few_of_each(data.labels, order, config.teach, config.ask, rng))
        by_set: Values = {"classes": order}
        for j, readout in enumerate(READOUTS):
            told = partial(progress, (2 * i + j) / 6)
            by_set[readout] = stream(fast_head(data.bundle, readout=readout), data, lesson, told, name)
        by_set["heads"] = compare(data, lesson)
        values["sets"][name] = by_set
        values[name] = by_set["class"]["end"]
    values["consolidation-helps"] = values["sets"]["mixed"]["prototypes"]["helped"]
    return values


def photographs() -> Photographs:
    """The data, its features from the cache where they are in it."""
    pictures, bundle = photos(), mobilenet_bundle()
    features = cached_features(bundle.backbone, "photos", lambda: list(pictures.paths)).features
    return Photographs(bundle, features, pictures.labels)


def sets(config: Config, seed: int) -> dict[str, list[str]]:
    """Which ten classes are taught: the near ones, the novel ones, and some of either."""
    rng = np.random.default_rng(seed)
    mixed = [str(c) for sort in (NEAR, NOVEL) for c in rng.permutation(sort)[: config.mixed]]
    return {"near": list(NEAR), "novel": list(NOVEL), "mixed": mixed}


def stream(head: FastHead, data: Photographs, lesson: Session, progress: Any, name: str) -> Values:
    """One head through one lesson: the curve, each consolidation, and the end."""
    curve: list[float] = []
    before: list[float] = []
    after: list[float] = []
    kept: list[float] = []
    for known, places in enumerate(lesson.teach, start=1):
        progress(f"{name} classes by {head.readout}: {known} of {len(lesson.classes)}")
        for place in places:
            head.learn(data.features[place], lesson.classes[known - 1])
            curve.append(ask(head, data, lesson, known))
        before.append(curve[-1])
        done = head.consolidate()
        after.append(ask(head, data, lesson, known))
        kept.append(100 * done.after / (known * len(places)))
    places = np.concatenate(lesson.ask)
    truth = [data.labels[i] for i in places]
    best = head.predict(data.features[places]).best
    return {
        "end": 100 * accuracy(best, truth),
        "curve": curve,
        "before": before, "after": after, "kept": kept,
        "helped": sum(b > a for a, b in zip(before, after, strict=True)),
        "harmed": sum(b < a for a, b in zip(before, after, strict=True)),
        "confusion": confusion_matrix(best, truth, sorted(lesson.classes)),
    }


def ask(head: FastHead, data: Photographs, lesson: Session, known: int) -> float:
    """Accuracy on the photographs to ask of the first `known` classes, in percent."""
    places = np.concatenate(lesson.ask[:known])
    return 100 * accuracy(head.predict(data.features[places]).best, [data.labels[i] for i in places])


def compare(data: Photographs, lesson: Session) -> dict[str, float]:
    """Every head, and logistic regression refitted on all that was taught: accuracy at the end, in percent."""
    teach, ask = np.concatenate(lesson.teach), np.concatenate(lesson.ask)
    labels = np.array(data.labels)
    found = {}
    for name, make in contenders(data.bundle).items():
        head = make()
        head.learn(data.features[teach], labels[teach].tolist())
        found[name] = 100 * accuracy(head.predict(data.features[ask]).best, labels[ask].tolist())
    probe = linear_probe(data.features[teach], labels[teach], data.features[ask], labels[ask])
    return {**found, "logistic regression": 100 * probe.accuracy}


def plot(result: Mapping[str, Any]) -> Any:
    """The curves of the mixed set, what each consolidation did, and the heads at the end."""
    figure, (left, middle, right) = canvas(3, width=4.6, height=3.8)
    mixed = result["values"]["sets"]["mixed"]
    draw_curves(left, {_readout_name(r): _points(mixed[r]["curve"]) for r in READOUTS}, "photographs taught",
                "accuracy on the classes taught so far (%)", "Five near and five novel classes, one after another")
    steps = {f"{_readout_name('prototypes')}, {when} consolidation": _points(mixed["prototypes"][when])
             for when in ("after", "before")}
    draw_curves(middle, steps, "classes taught", "accuracy on the classes taught so far (%)",
                "Consolidation forced after each class")
    bars = {f"{sort}: {name}": (value["mean"], value["sd"]) for sort in ("near", "novel")
            for name, value in result["values"]["sets"][sort]["heads"].items()
            if name in ("fast", "fast, no statistics", "nearest_class_mean", "logistic regression")}
    draw_bars(right, bars, "accuracy at the end (%)", "Ten near, ten novel classes",
              span=(max(0.0, min(mean for mean, _ in bars.values()) - 3), 101.0))
    return figure


def _readout_name(readout: str) -> str:
    return {"class": "by class means", "prototypes": "by prototypes"}[readout]


def _points(curve: Mapping[str, Any]) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    return range(1, len(curve["mean"]) + 1), curve["mean"], curve["sd"]
