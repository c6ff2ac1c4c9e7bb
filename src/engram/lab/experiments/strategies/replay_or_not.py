"""Is replay worth it? Gain, time and memory against the budget; which examples to keep; which ratio; when it over-fits.

Two answers contradict each other in the literature: that a few kept examples are enough (Chaudhry et al. 2019), and
that a small memory is learned by heart and gains little (Verwimp, De Lange, Tuytelaars 2021, "Rehearsal revealed").
Here the digits arrive two by two, a tenth of MNIST, and one thing is changed at a time around a memory of 100 examples.
Every seed draws the order of the digits, the images and the network, and all settings meet the same: gains are
differences within a seed, and their spread is that over seeds.

`over-fit` is the accuracy on what is kept minus that on training images that are not, both of the labels before the
last experience, in points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from engram.heads import make as make_head
from engram.lab.evaluation import evaluate
from engram.lab.evaluation.plots import canvas
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.lab.streams import DataSet, Stream, class_incremental, data_set, flattened
from engram.learner import Learner
from engram.networks.strategies.experience_replay import RULES, ExperienceReplay
from engram.networks.strategies.joint import Joint
from engram.networks.strategies.naive import Naive


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set by its name; with "digits" everything runs in seconds.
        images: of it that are taught.
        hidden: units of each layer.
        batch, epochs: new examples in a step, and passes over an experience.
        budgets: examples kept.
        budget: of these, the one around which the rest is changed.
        replayed: kept examples in a step, as many as there are new ones where nothing else is said.
        passes: over an experience, in place of `epochs`.
    """

    data: str = "mnist"
    images: int = 6000
    hidden: tuple[int, ...] = (100,)
    batch: int = 32
    epochs: int = 5
    budgets: tuple[int, ...] = (10, 30, 100, 300, 1000)
    budget: int = 100
    replayed: tuple[int, ...] = (4, 16, 64, 256)
    passes: tuple[int, ...] = (1, 20)


def cells(config: Config) -> dict[str, dict[str, Any]]:
    """Every setting of replay that is measured, by name."""
    usual = {"capacity": config.budget, "epochs": config.epochs, "batch": config.batch}
    return {
        **{f"kept-{budget}": usual | {"capacity": budget} for budget in config.budgets},
        **{f"keep-{rule}": usual | {"keep": rule} for rule in RULES if rule != "reservoir"},
        **{f"replayed-{count}": usual | {"replayed": count} for count in config.replayed},
        **{f"passes-{count}": usual | {"epochs": count} for count in config.passes},
    }


USUAL = cells(Config())
FIGURES = {
    **{f"replay-or-not.gain-{name}": Figure(f"gain/{name}", "points") for name in USUAL},
    **{f"replay-or-not.over-fit-{name}": Figure(f"over-fit/{name}", "points") for name in USUAL},
    **{f"replay-or-not.time-{name}": Figure(f"time/{name}", "ratio") for name in USUAL},
    "replay-or-not.naive": Figure("accuracy/naive", "%"),
    "replay-or-not.joint": Figure("accuracy/joint", "%"),
    "replay-or-not.head": Figure("accuracy/head", "%"),
    "replay-or-not.gain-joint": Figure("gain/joint", "points"),
}
PUBLISHED: dict[str, Any] = {
    "a few are enough": "Chaudhry et al., On tiny episodic memories in continual learning, arXiv 1902.10486",
    "learned by heart": "Verwimp, De Lange, Tuytelaars, Rehearsal revealed, ICCV 2021, arXiv 2104.07446",
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed: accuracy in percent, gain over naive in points, time as a multiple of naive's, and
    what is over-fitted in points."""
    steps = steps_of("replay-or-not", asdict(config), seed=seed)
    stream = class_incremental(some_of(data_set(config.data), config.images, seed), seed=seed).map(flattened)
    network = {"name": "perceptron", "inputs": list(stream.input_shape), "hidden": list(config.hidden), "seed": seed}
    usual: dict[str, Any] = {"epochs": config.epochs, "batch": config.batch, "seed": seed}
    makers: dict[str, Any] = {
        "naive": partial(Naive, network, **usual), "joint": partial(Joint, network, **usual),
        "head": partial(make_head, "fast"),
        **{name: partial(ExperienceReplay, network, seed=seed, **own) for name, own in cells(config).items()},
    }
    values: Values = {}
    for i, (name, make) in enumerate(makers.items()):
        progress(i / len(makers), name)
        found = measured(f"{steps}/{name}", partial(measure, make, stream))
        values |= {f"{key}/{name}": value for key, value in found.items() if value is not None}
    for name in makers:
        values[f"gain/{name}"] = values[f"accuracy/{name}"] - values["accuracy/naive"]
        values[f"time/{name}"] = values[f"seconds/{name}"] / values["seconds/naive"]
    return values


def some_of(data: DataSet, images: int, seed: int) -> DataSet:
    """The data set with so many of its training images."""
    chosen = np.random.default_rng(seed).permutation(len(data.train_labels))[:images]
    return DataSet(data.name, data.train_inputs[chosen], data.train_labels[chosen], data.test_inputs, data.test_labels)


def measure(make: Any, stream: Stream) -> Values:
    """A fresh learner after all experiences: accuracy in percent, seconds of learning, bytes of all that it holds, and
    what it over-fits, if it keeps examples."""
    report = evaluate(make(), stream, forward=False)
    figures = report.figures()
    return {"accuracy": 100 * report.accuracy, "seconds": figures["seconds-learning"], "bytes": figures["bytes"],
            "over-fit": over_fit(report.trained, stream)}


def over_fit(learner: Learner | None, stream: Stream) -> float | None:
    """Points by which it is righter about what it keeps than about what it does not; None where it keeps nothing or
    everything."""
    if not isinstance(learner, ExperienceReplay):
        return None
    kept = {row.tobytes() for row in learner.everything_kept()[0].numpy()}
    right: dict[bool, list[bool]] = {True: [], False: []}
    for experience in list(stream)[:-1]:
        inputs, labels = experience.train.inputs.astype(np.float32), experience.train.labels
        for row, answer, label in zip(inputs, learner.predict(inputs).best, labels, strict=True):
            right[row.tobytes() in kept].append(answer == label)
    return 100 * float(np.mean(right[True]) - np.mean(right[False])) if right[True] and right[False] else None


def plot(result: Mapping[str, Any]) -> Any:
    """Gain and over-fitting against the budget, and what ratio, rule and passes change at the middle one."""
    figure, (left, right) = canvas(2, width=4.6, height=3.4)
    values, config = result["values"], result["config"]
    for name, title in (("gain", "gain over naive"), ("over-fit", "right about the kept over others")):
        found = [values[f"{name}/kept-{budget}"] for budget in config["budgets"]]
        left.errorbar(config["budgets"], [one["mean"] for one in found], [one["sd"] for one in found], label=title,
                      marker="o", capsize=3)
    left.axhline(values["gain/joint"]["mean"], linestyle=":", color="grey", label="trained on everything")
    left.set_xscale("log")
    left.set_xlabel("examples kept")
    left.set_ylabel("points")
    left.legend()
    names = [name for name in (key.removeprefix("gain/") for key in values if key.startswith("gain/"))
             if name.startswith(("keep-", "replayed-", "passes-"))]
    middle = values[f"gain/kept-{config['budget']}"]["mean"]
    means = [values[f"gain/{name}"]["mean"] - middle for name in names]
    right.barh(names, means, xerr=[values[f"gain/{name}"]["sd"] for name in names])
    right.set_xlabel(f"points over a reservoir of {config['budget']}")
    return figure
