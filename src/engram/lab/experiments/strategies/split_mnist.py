"""Split-MNIST: the digits two by two, task-, domain- and class-incremental, by five methods and two heads.

The network is that of the papers compared with: two layers of 400 rectified units, Adam at 0.001, batches of 128. The
settings of replay, EWC and LwF are chosen on training images held out, with a seed of their own; then every method
learns from all training images and is asked about the test images. What is asked: which of all ten digits
(class-incremental), which of the task's two (task-incremental), or only whether it is the first or the second of its
task, which nobody names (domain-incremental).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from engram.heads import make as make_head
from engram.lab.evaluation import evaluate
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.lab.streams import (
    DataSet,
    Stream,
    class_incremental,
    data_set,
    domain_incremental,
    flattened,
    task_incremental,
)
from engram.learner import Learner

SCENARIOS: dict[str, Callable[..., Stream]] = {
    "class": class_incremental, "task": task_incremental, "domain": domain_incremental,
}


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set by its name; with "digits" everything runs in seconds.
        hidden: units of each layer.
        epochs: passes over an experience: naive, EWC and LwF (five are 470 steps; the papers take 2,000).
        joint_epochs: passes over everything so far.
        capacity: examples that replay keeps.
        held_out: training images on which settings are chosen.
        trial_seed: of these trials; no seed that is tested.
        ewc_strength: the λ tried.
        lwf_temperature, lwf_weight: what LwF tries; weight 0 stands for 1/n in the n-th experience.
        er_epochs: passes over an experience: replay. More of them wear the few kept examples out.
        er_replayed, er_learning_rate: old examples in a step, and the learning rates, that replay tries.
    """

    data: str = "mnist"
    hidden: tuple[int, ...] = (400, 400)
    epochs: int = 5
    joint_epochs: int = 2
    capacity: int = 200
    held_out: int = 6000
    trial_seed: int = 100
    ewc_strength: tuple[float, ...] = (1e3, 1e4, 1e5, 1e6, 1e7)
    lwf_temperature: tuple[float, ...] = (1.0, 2.0)
    lwf_weight: tuple[float, ...] = (0.0, 0.5)
    er_epochs: int = 1
    er_replayed: tuple[int, ...] = (128, 512)
    er_learning_rate: tuple[float, ...] = (1e-3, 5e-4, 2.5e-4)


class Method(NamedTuple):
    """A method: how it is called, where its class lives, and the settings it is tried with."""

    title: str
    place: str
    grid: Callable[[Config], list[dict[str, Any]]]


METHODS = {
    "naive": Method("naive", "naive:Naive", lambda c: [{"epochs": c.epochs}]),
    "ewc": Method("EWC", "elastic_weight_consolidation:ElasticWeightConsolidation", lambda c: [
        {"epochs": c.epochs, "strength": strength} for strength in c.ewc_strength]),
    "lwf": Method("LwF", "learning_without_forgetting:LearningWithoutForgetting", lambda c: [
        {"epochs": c.epochs, "temperature": temperature, "weight": weight or None}
        for temperature in c.lwf_temperature for weight in c.lwf_weight]),
    "er": Method("replay, 200 examples", "experience_replay:ExperienceReplay", lambda c: [
        {"epochs": c.er_epochs, "capacity": c.capacity, "replayed": replayed, "learning_rate": rate}
        for replayed in c.er_replayed for rate in c.er_learning_rate]),
    "joint": Method("joint", "joint:Joint", lambda c: [{"epochs": c.joint_epochs}]),
}
HEADS = {"fast": "fast head on pixels", "streaming_lda": "streaming LDA on pixels"}
TITLES = {name: method.title for name, method in METHODS.items()} | HEADS

VAN_DE_VEN = "van de Ven, Tolias, arXiv 1809.10635"
SCENARIOS_PAPER = "van de Ven, Tolias, arXiv 1904.07734"
PUBLISHED: dict[str, Any] = {
    **{f"{scenario}.{method}": {"value": value, "source": VAN_DE_VEN}
       for method, values in {"naive": (19.90, 85.15, 57.33), "lwf": (24.17, 99.60, 71.02),
                              "joint": (97.93, 99.64, 98.41)}.items()
       for scenario, value in zip(SCENARIOS, values, strict=True)},
    **{f"{scenario}.ewc": {"value": value, "source": SCENARIOS_PAPER + f" (arXiv 1809.10635: {other})"}
       for scenario, value, other in zip(SCENARIOS, (20.01, 98.64, 63.95), (19.90, 85.48, 57.80), strict=True)},
    "class.er": {"value": 80.4, "source": "Buzzega et al., arXiv 2004.07211, 200 examples"},
}
FLOORS: dict[str, dict[str, float]] = {
    "class.naive": {"at_least": 18.9, "at_most": 20.9},
    "class.joint": {"at_least": 96.93, "at_most": 98.93},
    "class.er": {"at_least": 80.4},
    "task.ewc": {"at_least": 98.14},
    "task.lwf": {"at_least": 99.10},
}
FIGURES = {
    f"split-mnist.{cell}": Figure(cell, "%", published=PUBLISHED.get(cell, {}).get("value"),
                                  source=PUBLISHED.get(cell, {}).get("source"), **FLOORS.get(cell, {}))
    for cell in (*(f"{scenario}.{method}" for scenario in SCENARIOS for method in METHODS),
                 *(f"class.{head}" for head in HEADS))
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed: accuracy after all experiences, in percent, for each scenario and method.

    Every evaluation is kept as soon as it is there, the trials of settings for all seeds.
    """
    trials = steps_of("split-mnist", asdict(config))
    mine = steps_of("split-mnist", asdict(config), seed=seed)
    data = data_set(config.data)
    cells = [(scenario, method) for scenario in SCENARIOS for method in METHODS] + [("class", head) for head in HEADS]
    values: Values = {"trials": {}, "chosen": {}, "details": {}}
    for i, (scenario, method) in enumerate(cells):
        cell = f"{scenario}.{method}"
        progress(i / len(cells), f"{scenario}-incremental, {TITLES[method]}")
        settings, values["trials"][cell] = choose(config, data, scenario, method, trials)
        values["chosen"][cell] = settings
        stream = SCENARIOS[scenario](data, seed=seed)
        found = measured(f"{mine}/{cell}", partial(measure, config, stream, method, settings, seed))
        values["details"][cell] = found
        values[cell] = found["accuracy"]
    return values


def choose(
    config: Config, data: DataSet, scenario: str, method: str, folder: str
) -> tuple[dict[str, Any], list[Values]]:
    """The settings that are best on the held-out images, and each setting with its accuracy; one needs no trial."""
    grid = METHODS[method].grid(config) if method in METHODS else [{}]
    if len(grid) == 1:
        return grid[0], []
    stream = SCENARIOS[scenario](data, held_out=config.held_out, seed=config.trial_seed).validation()
    tried = []
    for i, settings in enumerate(grid):
        found = measured(f"{folder}/{scenario}.{method}-{i}",
                         partial(measure, config, stream, method, settings, config.trial_seed))
        tried.append({"settings": settings, "accuracy": found["accuracy"]})
    return max(tried, key=lambda trial: trial["accuracy"])["settings"], tried


def measure(config: Config, stream: Stream, method: str, settings: Mapping[str, Any], seed: int) -> Values:
    """A fresh learner, taught the stream's pixels and asked; shares in percent."""
    stream = stream.map(flattened)
    learner = make_head(method) if method in HEADS else strategy(config, stream, method, settings, seed)
    report = evaluate(learner, stream, forward=False)
    figures = report.figures()
    return {
        "accuracy": 100 * report.accuracy, "forgetting": 100 * report.forgetting,
        "matrix": 100 * np.nan_to_num(report.matrix), "seconds": figures["seconds-learning"],
        "bytes": figures["bytes"], "samples": figures["samples"],
    }


def strategy(config: Config, stream: Stream, method: str, settings: Mapping[str, Any], seed: int) -> Learner:
    """A fresh learner by a method; where the stream tells the task, it learns task by task."""
    module, _, name = METHODS[method].place.partition(":")
    network = {"name": "perceptron", "inputs": list(stream.input_shape), "hidden": list(config.hidden), "slope": 0.0,
               "seed": seed}
    active = "all" if stream[0].among is None else "experience"
    made: Learner = getattr(import_module(f"engram.networks.strategies.{module}"), name)(
        network, active=active, seed=seed, **settings)
    return made


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy after all experiences: a panel for each scenario."""
    figure, panels = canvas(len(SCENARIOS), width=4.2, height=3.2)
    values = result["values"]
    for axes, scenario in zip(panels, SCENARIOS, strict=True):
        found = {title: values[f"{scenario}.{method}"] for method, title in TITLES.items()
                 if f"{scenario}.{method}" in values}
        bars = {title: (value["mean"], value["sd"]) for title, value in reversed(found.items())}
        draw_bars(axes, bars, "accuracy on the test images (%)", f"{scenario}-incremental", span=(0, 112))
    return figure
