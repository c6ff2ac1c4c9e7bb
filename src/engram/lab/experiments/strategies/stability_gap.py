"""The stability gap: how far what was learned earlier falls while something new is learned, and how much comes back.

The digits two by two, class-incremental, one pass, taught a hundred at a time; after each hundred the learner is asked
about every fifth test image of the digits before (De Lange, van de Ven, Tuytelaars, ICLR 2023, arXiv 2205.13452).
Accuracy after an experience hides what happens on the way: someone who asks meanwhile is answered by the worst of it.
The heads learn in closed form, from pixels and from random patches cut from the first digits. Replay keeps 200 or 2,000
images and takes one step for every portion of 100.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from engram.features.backbones import BACKBONES
from engram.lab.evaluation import evaluate
from engram.lab.evaluation.plots import canvas, draw_curves
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.lab.experiments.strategies.comparison import Method, head, on_perceptron
from engram.lab.streams import DataSet, Stream, class_incremental, data_set


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set by its name; with "digits" everything runs in seconds.
        every: images between two times of asking.
        asked: every how many-th test image is asked about.
        hidden: units of each layer of replay's network.
        filters: of the random patches.
    """

    data: str = "mnist"
    every: int = 100
    asked: int = 5
    hidden: tuple[int, ...] = (400, 400)
    filters: int = 30


def on_patches(filters: int, stream: Stream, seed: int) -> Stream:
    """The stream's images as random patches, cut from the first experience."""
    first = stream[0].train
    backbone = BACKBONES.load("random-patches").cut(first.inputs[:300], filters=filters, seed=seed)
    return stream.map(backbone.features)


def methods(config: Config) -> dict[str, Method]:
    """Who is asked."""
    patches = partial(on_patches, config.filters)
    replay = on_perceptron("experience_replay:ExperienceReplay", config.hidden)
    settings = {"replayed": 128, "learning_rate": 1e-3}
    return {
        "fast": Method("fast head on random patches", head("fast"), view=patches),
        "lda": Method("streaming LDA on random patches", head("streaming_lda"), view=patches),
        "fast-pixels": Method("fast head on pixels", head("fast")),
        "er": Method("replay, 200 images", replay, ({**settings, "capacity": 200},)),
        "er-2000": Method("replay, 2,000 images", replay, ({**settings, "capacity": 2000},)),
        "naive": Method("naive", on_perceptron("naive:Naive", config.hidden)),
    }


TITLES = {name: method.title for name, method in methods(Config()).items()}
PUBLISHED: dict[str, Any] = {}
FIGURES = {
    f"gap.{name}{more}": Figure(f"{name}.{value}", "points")
    for name in TITLES for more, value in {"": "gap", "-back": "back"}.items()
} | {f"gap.{name}-worst-case": Figure(f"{name}.worst-case", "%") for name in TITLES}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """For each learner: how far earlier digits fell at worst, how much of it came back, accuracies; in points."""
    mine = steps_of("stability-gap", asdict(config), seed=seed)
    data = thinned(data_set(config.data), config.asked)
    values: Values = {"curves": {}}
    for i, (name, method) in enumerate(methods(config).items()):
        progress(i / len(TITLES), method.title)
        found = measured(f"{mine}/{name}", partial(measure, config, method, data, seed))
        values["curves"][name] = found.pop("curve")
        values |= {f"{name}.{key}": value for key, value in found.items()}
    return values


def thinned(data: DataSet, asked: int) -> DataSet:
    """The same data with every `asked`-th test image."""
    kept = np.arange(0, len(data.test_labels), asked)
    return DataSet(data.name, data.train_inputs, data.train_labels, data.test_inputs[kept], data.test_labels[kept])


def measure(config: Config, method: Method, data: DataSet, seed: int) -> Values:
    """A fresh learner on the stream, asked every so often."""
    stream = method.view(class_incremental(data, seed=seed), seed)
    report = evaluate(method.make(stream, method.grid[0], seed), stream, forward=False, every=config.every)
    gap = 100 * report.stability_gap.mean(axis=0)
    sums = np.array(report.totals).sum(axis=1)
    curve = [[100 * float((np.array(asked[1:])[:i] / sums[:i]).mean()) for asked in times]
             for i, times in enumerate(report.during) if i]
    return {"gap": gap[0], "back": gap[1], "worst-case": 100 * report.worst_case, "accuracy": 100 * report.accuracy,
            "curve": curve[-1][:100]}


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy on the digits before while the last two are learned."""
    figure, (axes,) = canvas(1, width=6.0, height=3.4)
    curves: dict[str, tuple[list[float], list[float], list[float]]] = {}
    for name, title in TITLES.items():
        runs = np.array(result["values"]["curves"][name]["values"], float)
        spread = runs.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(runs.shape[1])
        taught = [float(result["config"]["every"] * (k + 1)) for k in range(runs.shape[1])]
        curves[title] = taught, runs.mean(axis=0).tolist(), spread.tolist()
    draw_curves(axes, curves, "images of the last two digits taught", "accuracy on the eight digits before (%)",
                "Asked while it learns")
    return figure
