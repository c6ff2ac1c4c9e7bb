"""A production line: six kinds of steel defects arriving one after another.

Fourteen pictures of each kind are taught one at a time, all of one kind before the next; after each kind the other
46 of every kind taught so far are asked about, and those of the kinds to come, which nobody has described yet, should
be refused. The backbone was trained on everyday photographs and has never seen steel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.heads.fast import FastHead
from engram.lab.data_sets.labelled_folder import few_of_each
from engram.lab.data_sets.steel_defects import KINDS, steel_defects
from engram.lab.evaluation import accuracy, auroc, confusion_matrix, share_accepted, share_refused
from engram.lab.evaluation.plots import canvas, draw_bars, draw_confusion, draw_curves
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.head.contenders import contenders, fast_head
from engram.lab.experiments.pretraining.linear_probe import linear_probe
from engram.lab.experiments.pretraining.mobilenet import mobilenet_bundle
from engram.lab.experiments.result import Figure, Values


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        teach, ask: pictures of each kind that are taught, and that are asked about.
    """

    teach: int = 14
    ask: int = 46


PUBLISHED: dict[str, Any] = {}

FIGURES = {"ldnn-line.final": Figure("final", "%", at_least=95.0)}


class Line(NamedTuple):
    """Features and kinds of all pictures; the kinds in the order in which they arrive; what is taught and asked."""

    bundle: Bundle
    features: npt.NDArray[Any]
    labels: npt.NDArray[np.str_]
    kinds: list[str]
    teach: list[npt.NDArray[np.intp]]
    ask: list[npt.NDArray[np.intp]]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the pictures and the order of the kinds."""
    progress(0.0, "features of the pictures")
    line = arrange(config, seed)
    head = fast_head(line.bundle)
    after: dict[str, list[float]] = {"accuracy": [], "refused": [], "accepted-new": [], "auroc-new": []}
    for known, (kind, places) in enumerate(zip(line.kinds, line.teach, strict=True), start=1):
        progress(0.1 + 0.6 * known / len(line.kinds), f"{kind} arrives")
        for place in places:
            head.learn(line.features[place], kind)
        for name, value in look(head, line, known).items():
            after[name].append(value)
    places = np.concatenate(line.ask)
    truth = line.labels[places].tolist()
    best = head.predict(line.features[places]).best
    progress(0.8, "the other heads")
    return {
        "final": 100 * accuracy(best, truth),
        **after,
        "confusion": confusion_matrix(best, truth, KINDS),
        "kinds": line.kinds,
        "heads": compare(line),
    }


def arrange(config: Config, seed: int) -> Line:
    """The data of one seed; features from the cache where they are in it."""
    pictures, bundle = steel_defects(), mobilenet_bundle()
    features = cached_features(bundle.backbone, "steel-defects", lambda: list(pictures.paths)).features
    rng = np.random.default_rng(seed)
    kinds = [KINDS[i] for i in rng.permutation(len(KINDS))]
    teach, ask = few_of_each(pictures.labels, kinds, config.teach, config.ask, rng)
    return Line(bundle, features, np.array(pictures.labels), kinds, teach, ask)


def look(head: FastHead, line: Line, known: int) -> dict[str, float]:
    """After `known` kinds: accuracy and share refused on these; acceptance and AUROC of the kinds to come."""
    places = np.concatenate(line.ask[:known])
    mine = head.predict(line.features[places])
    found = {
        "accuracy": 100 * accuracy(mine.best, line.labels[places].tolist()),
        "refused": 100 * share_refused(mine.known),
    }
    if known < len(line.kinds):
        new = head.predict(line.features[np.concatenate(line.ask[known:])])
        found["accepted-new"] = 100 * share_accepted(new.known)
        found["auroc-new"] = 100 * auroc(mine.familiarity, new.familiarity)
    return found


def compare(line: Line) -> dict[str, float]:
    """Every head, and logistic regression refitted on all that was taught: accuracy at the end, in percent."""
    teach, ask = np.concatenate(line.teach), np.concatenate(line.ask)
    found = {}
    for name, make in contenders(line.bundle).items():
        head = make()
        head.learn(line.features[teach], line.labels[teach].tolist())
        found[name] = 100 * accuracy(head.predict(line.features[ask]).best, line.labels[ask].tolist())
    probe = linear_probe(line.features[teach], line.labels[teach], line.features[ask], line.labels[ask])
    return {**found, "logistic regression": 100 * probe.accuracy}


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy as the kinds arrive, the confusion at the end, and the heads."""
    values = result["values"]
    figure, (left, middle, right) = canvas(3, width=4.6, height=3.8)
    kinds = range(1, len(KINDS) + 1)
    seen = values["accuracy"]
    new = values["accepted-new"]
    draw_curves(left, {"recognised": (kinds, seen["mean"], seen["sd"]),
                       "kinds to come taken for known": (kinds[:-1], new["mean"], new["sd"])},
                "kinds of defects taught", "share of the pictures (%)", "Kinds arriving one after another")
    draw_confusion(middle, np.asarray(values["confusion"]["mean"]).round(), [kind[:7] for kind in KINDS],
                   "After all six kinds (mean count)")
    bars = {name: (value["mean"], value["sd"]) for name, value in values["heads"].items()}
    draw_bars(right, bars, "accuracy at the end (%)", "Heads on the same features",
              span=(max(0.0, min(mean for mean, _ in bars.values()) - 3), 101.0))
    return figure
