"""Putting a brain right: wrong labels that its audit finds, and strangers that a few counterexamples turn away.

All photographs are taught, a twentieth of them under a wrong label, drawn at random; how many of these stand in the
first tenth of the audit's list? Beside it: the list by the cosine to the own class mean less that to the best other
one, each photograph left out. And: ten classes are taught; three pictures of an eleventh are said not to be what they
were taken for; how many others of it are still accepted?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.brain import Brain
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.inputs.vectors import unit_length
from engram.lab.evaluation import share_accepted, share_refused
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.head.featured_sets import FeaturedSet, featured
from engram.lab.experiments.head.simple_rivals import class_means
from engram.lab.experiments.result import Figure, Values, averaged
from engram.learner import FloatArray

Places = npt.NDArray[np.intp]

SETS = {"": "photos-shipped", "mobilenet-": "photos-mobilenet"}
"""What the figures' names begin with on each set."""


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        draws: random choices of classes and examples.
        wrong: share of the labels taught that are wrong.
        looked_at: share of the audit's list that is looked at.
        classes, shots, ask: taught before the counterexamples, examples of each, and examples asked about.
        counterexamples: pictures of a strange class that are said not to be what they were taken for.
    """

    draws: int = 20
    wrong: float = 0.05
    looked_at: float = 0.1
    classes: int = 10
    shots: int = 14
    ask: int = 16
    counterexamples: int = 3


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "audit.found": Figure("found", "%", at_least=80.0),
    "audit.mobilenet-found": Figure("mobilenet-found", "%", at_least=80.0),
    "audit.simple-found": Figure("simple-found", "%"),
    "open.negative-gain": Figure("negative-gain", "ratio", at_most=0.5),
    "open.negative-refused": Figure("negative-refused", "points", at_most=0.5),
    "open.mobilenet.negative-gain": Figure("mobilenet-negative-gain", "ratio", at_most=0.5),
    "open.mobilenet.negative-refused": Figure("mobilenet-negative-refused", "points", at_most=0.5),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed; those of what a brain cannot do are left out."""
    values: Values = {}
    for i, (prefix, name) in enumerate(SETS.items()):
        progress(i / len(SETS), "features")
        data = featured(name)
        drawn: list[Values] = []
        for j in range(config.draws):
            progress((i + j / config.draws) / len(SETS), f"{name}, draw {j + 1}")
            rng = np.random.default_rng([seed, j])
            drawn.append({**wrong_labels(config, data, rng), **counterexamples(config, data, rng)})
        means = averaged(drawn)
        if "accepted-after" in means:
            means["negative-gain"] = means["accepted-after"] / max(means["accepted-before"], 1e-9)
            means["negative-refused"] = means["refused-after"] - means["refused-before"]
        values |= {prefix + key: value for key, value in means.items()}
    return values


def bundle_of(data: FeaturedSet) -> Bundle:
    """The set's bundle, for features in place of inputs."""
    return replace(data.bundle, backbone=VectorBackbone(data.features.shape[1]))


def wrong_labels(config: Config, data: FeaturedSet, rng: np.random.Generator) -> Values:
    """Wrong labels in the first part of the audit's list, in percent of all of them."""
    labels, classes = data.labels.copy(), np.array(data.classes)
    places = rng.permutation(len(labels))[: round(config.wrong * len(labels))]
    for place in places:
        labels[place] = rng.choice(classes[classes != labels[place]])
    orders = {"found": audited(data, labels), "simple-found": by_margin(unit_length(data.features.astype(np.float64)),
                                                                        labels)}
    first = round(config.looked_at * len(labels))
    return {name: 100 * float(np.isin(places, order[:first]).mean()) for name, order in orders.items()}


def audited(data: FeaturedSet, labels: npt.NDArray[Any]) -> Places:
    """Places by the audit of a brain that was taught them under (N,) labels; its folder gives the examples numbers."""
    with TemporaryDirectory(prefix="engram-") as made, Brain.create(Path(made) / "taught", bundle_of(data)) as brain:
        learned = brain.learn_examples(data.features, labels.tolist())
        where = {number: place for place, number in enumerate(learned.ids)}
        suspects = brain.audit(limit=len(labels)).suspects
        return np.array([where[one.example.id] for one in suspects if one.example is not None], np.intp)


def by_margin(rows: FloatArray, labels: npt.NDArray[Any]) -> Places:
    """Places of (N, D) rows by the cosine to the own class mean, without the example itself, less that to the best
    other mean.
    """
    means, classes = class_means(rows, labels)
    own = np.searchsorted(classes, labels)
    counts = np.bincount(own)[own][:, None]
    scores = unit_length(rows) @ unit_length(means).T
    without = means[own] * counts - rows
    mine = (unit_length(rows) * unit_length(without)).sum(axis=1)
    scores[np.arange(len(rows)), own] = -np.inf
    order: Places = (mine - scores.max(axis=1)).argsort(kind="stable")
    return order


def counterexamples(config: Config, data: FeaturedSet, rng: np.random.Generator) -> Values:
    """Strangers of one kind accepted and known refused, before and after a few of them were said to be none."""
    order = rng.permutation(data.classes)
    drawn = [rng.permutation(np.flatnonzero(data.labels == label)) for label in order[: config.classes + 1]]
    teach = np.concatenate([places[: config.shots] for places in drawn[1:]])
    ask = np.concatenate([places[config.shots : config.shots + config.ask] for places in drawn[1:]])
    told, others = np.split(drawn[0], [config.counterexamples])
    brain = Brain(bundle_of(data))
    brain.learn(data.features[teach], data.labels[teach].tolist())
    teach_not = getattr(brain, "learn_not", None)
    if teach_not is None:
        return {}

    def look() -> tuple[float, float]:
        return (100 * share_accepted(brain.predict(data.features[others]).known),
                100 * share_refused(brain.predict(data.features[ask]).known))

    accepted, refused = look()
    teach_not(data.features[told], brain.predict(data.features[told]).best)
    after = look()
    return {"accepted-before": accepted, "refused-before": refused, "accepted-after": after[0],
            "refused-after": after[1]}


def plot(result: Mapping[str, Any]) -> Any:
    """Wrong labels found, and what counterexamples change."""
    values = result["values"]
    figure, panels = canvas(2, width=4.4, height=3.4)
    for panel, title, names in ((panels[0], "Wrong labels found (%)", ("found", "simple-found")),
                                (panels[1], "Strangers accepted (%)", ("accepted-before", "accepted-after"))):
        bars = {prefix + name: (values[prefix + name]["mean"], values[prefix + name]["sd"])
                for prefix in SETS for name in names if prefix + name in values}
        if bars:
            draw_bars(panel, bars, title, title)
    return figure
