"""Methods beside each other on one data set: settings chosen on examples held out, then every cell measured.

A cell is a scenario (how the data set arrives) and a method. Each measurement is kept on disk as soon as it is there,
the trials of settings for all seeds, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib import import_module
from typing import Any, ClassVar, NamedTuple, Protocol

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


class Settings(Protocol):
    """What the Config of every such experiment tells.

    Attributes:
        data: a data set by its name.
        held_out: training examples on which settings are chosen.
        trial_seed: of these trials; no seed that is tested.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def data(self) -> str: ...
    @property
    def held_out(self) -> int: ...
    @property
    def trial_seed(self) -> int: ...


class Method(NamedTuple):
    """A method: how it is called, how a fresh learner is made, the settings it is tried with, and what it sees.

    Attributes:
        make: (stream as seen, settings, seed) -> a learner that was taught nothing.
        grid: each one is tried on examples held out; a single one needs no trial.
        view: (stream, seed) -> the stream that the learner sees.
    """

    title: str
    make: Callable[[Stream, Mapping[str, Any], int], Learner]
    grid: Sequence[Mapping[str, Any]] = ({},)
    view: Callable[[Stream, int], Stream] = lambda stream, seed: stream.map(flattened)


def on_perceptron(place: str, hidden: Sequence[int]) -> Callable[[Stream, Mapping[str, Any], int], Learner]:
    """A maker of learners by a strategy, `module:Class`, on a perceptron; where the stream tells the task, only the
    labels of the experience compete."""
    def make(stream: Stream, settings: Mapping[str, Any], seed: int) -> Learner:
        module, _, name = place.partition(":")
        network = {"name": "perceptron", "inputs": list(stream.input_shape), "hidden": list(hidden), "slope": 0.0,
                   "seed": seed}
        active = "all" if stream[0].among is None else "experience"
        made: Learner = getattr(import_module(f"engram.networks.strategies.{module}"), name)(
            network, **{"active": active, "seed": seed, **settings})
        return made
    return make


def head(name: str) -> Callable[[Stream, Mapping[str, Any], int], Learner]:
    """A maker of heads, by a key of `engram.heads.HEADS`."""
    return lambda stream, settings, seed: make_head(name, **settings)


def figures_of(
    experiment: str, cells: Sequence[tuple[str, str]], published: Mapping[str, Mapping[str, Any]],
    floors: Mapping[str, Mapping[str, float]],
) -> dict[str, Figure]:
    """The figures "EXPERIMENT.SCENARIO.METHOD" of these cells, beside what others published, with their floors.

    Args:
        published: "SCENARIO.METHOD": {"value": percent, "source": text}.
        floors: "SCENARIO.METHOD": {"at_least": percent, "at_most": percent}, either or both.
    """
    return {
        f"{experiment}.{cell}": Figure(cell, "%", published=published.get(cell, {}).get("value"),
                                       source=published.get(cell, {}).get("source"), **floors.get(cell, {}))
        for cell in (f"{scenario}.{method}" for scenario, method in cells)
    }


def bars(result: Mapping[str, Any], titles: Mapping[str, str], scenarios: Sequence[str]) -> Any:
    """Accuracy after all experiences as bars, a panel for each scenario; `titles` names the methods."""
    figure, panels = canvas(len(scenarios), width=4.2, height=max(3.2, 0.28 * len(titles)))
    values = result["values"]
    for axes, scenario in zip(panels, scenarios, strict=True):
        found = {title: values[f"{scenario}.{method}"] for method, title in titles.items()
                 if f"{scenario}.{method}" in values}
        heights = {title: (value["mean"], value["sd"]) for title, value in reversed(found.items())}
        draw_bars(axes, heights, "accuracy on the test images (%)", f"{scenario}-incremental", span=(0, 112))
    return figure


def compared(
    experiment: str, config: Settings, seed: int, progress: Progress, methods: Mapping[str, Method],
    cells: Sequence[tuple[str, str]],
) -> Values:
    """All values of one seed: accuracy after all experiences, in percent, for each cell (scenario, method).

    Returns:
        "SCENARIO.METHOD": percent; "details" with what `measure` says of each cell, "chosen" with the settings, and
        "trials" with all that were tried.
    """
    settings = asdict(config)
    trials, mine = steps_of(experiment, settings), steps_of(experiment, settings, seed=seed)
    data = data_set(config.data)
    values: Values = {"trials": {}, "chosen": {}, "details": {}}
    for i, (scenario, name) in enumerate(cells):
        cell, method = f"{scenario}.{name}", methods[name]
        progress(i / len(cells), f"{scenario}-incremental, {method.title}")
        chosen, values["trials"][cell] = choose(config, data, scenario, method, f"{trials}/{cell}")
        values["chosen"][cell] = chosen
        stream = SCENARIOS[scenario](data, seed=seed)
        found = measured(f"{mine}/{cell}", partial(measure, stream, method, chosen, seed))
        values["details"][cell] = found
        values[cell] = found["accuracy"]
    return values


def choose(
    config: Settings, data: DataSet, scenario: str, method: Method, trials: str
) -> tuple[Mapping[str, Any], list[Values]]:
    """The settings that are best on the examples held out, and each setting with its accuracy; one needs no trial.

    Args:
        trials: begins the names under which trials are kept on disk.
    """
    if len(method.grid) == 1:
        return method.grid[0], []
    stream = SCENARIOS[scenario](data, held_out=config.held_out, seed=config.trial_seed).validation()
    tried = []
    for i, settings in enumerate(method.grid):
        found = measured(f"{trials}-{i}", partial(measure, stream, method, settings, config.trial_seed))
        tried.append({"settings": settings, "accuracy": found["accuracy"]})
    return max(tried, key=lambda trial: trial["accuracy"])["settings"], tried


def measure(stream: Stream, method: Method, settings: Mapping[str, Any], seed: int) -> Values:
    """A fresh learner, taught the stream and asked; shares in percent, seconds of learning, bytes of all and of
    what is replayed, and examples kept."""
    stream = method.view(stream, seed)
    report = evaluate(method.make(stream, settings, seed), stream, forward=False)
    figures = report.figures()
    memory = getattr(report.trained, "memory", None)
    return {
        "accuracy": 100 * report.accuracy, "forgetting": 100 * report.forgetting,
        "matrix": 100 * np.nan_to_num(report.matrix), "seconds": figures["seconds-learning"],
        "bytes": figures["bytes"], "samples": figures["samples"], "memory": getattr(memory, "nbytes", 0),
    }
