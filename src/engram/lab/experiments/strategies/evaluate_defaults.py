"""What `engram evaluate` says of each strategy by default, beside what it says under the strategy's own best setting.

A small folder of pictures, one folder for each class (scikit-learn's digits), arrives class by class, two classes at a
time, as the terminal reads it. For every strategy of the table the settings of a grid, the default among them, are
tried on training pictures held out, with a seed of their own; the default and the best of them then learn from all
training pictures and are asked about the test pictures. The figure is the largest difference of any strategy. The
defaults themselves were chosen on other data: forty images of each of MNIST's digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from engram.files import make_folder
from engram.lab.by_name import BATCH, make_learner
from engram.lab.evaluation import evaluate
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.lab.streams import class_incremental, data_set, flattened, from_folder
from engram.networks.strategies import STRATEGIES


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        each: pictures of each class in the folder; a fifth of them is asked about.
        side: pixels of each side.
        trial_seed: of the trials; no seed that is tested.
        steps: of an experience, tried.
        learning_rates: tried.
        strengths: of EWC, tried.
        temperatures, weights: of LwF, tried; weight 0 stands for 1/n in the n-th experience.
        methods: strategies by name; none for all.
    """

    each: int = 60
    side: int = 8
    trial_seed: int = 100
    steps: tuple[int, ...] = (300, 1000)
    learning_rates: tuple[float, ...] = (1e-3, 3e-3)
    strengths: tuple[float, ...] = (1.0, 10.0, 100.0, 1e3, 1e4)
    temperatures: tuple[float, ...] = (1.0, 2.0)
    weights: tuple[float, ...] = (0.0, 0.5)
    methods: tuple[str, ...] = ()


FIGURES = {"evaluate.default-under-best": Figure("default-under-best", "points", at_most=3.0)}


def grid(config: Config, method: str) -> list[dict[str, Any]]:
    """The settings that a strategy is tried with; the first, without any, is the default."""
    if method == "elastic_weight_consolidation":
        return [{}, *({"strength": strength} for strength in config.strengths)]
    if method == "learning_without_forgetting":
        return [{}, *({"temperature": temperature, "weight": weight or None}
                      for temperature, weight in product(config.temperatures, config.weights))]
    both = product(config.steps, config.learning_rates)
    if STRATEGIES.load(method).__mro__[1].__name__ == "Structural":
        return [{}, *({"recipe": {"constant_budget": steps * BATCH, "learning_rate": rate}} for steps, rate in both)]
    return [{}, *({"steps": steps, "learning_rate": rate} for steps, rate in both)]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, in percent: for each strategy the default's and the best setting's accuracy."""
    trials = steps_of("evaluate-defaults", asdict(config))
    mine = steps_of("evaluate-defaults", asdict(config), seed=seed)
    methods = config.methods or tuple(STRATEGIES)
    values: Values = {"chosen": {}}
    for i, method in enumerate(methods):
        progress(i / len(methods), method)
        settings = grid(config, method)
        tried = [measured(f"{trials}/{method}-{place}",
                          partial(measure, config, method, chosen, config.trial_seed, True))
                 for place, chosen in enumerate(settings)]
        best = int(np.argmax([trial["accuracy"] for trial in tried]))
        values["chosen"][method] = settings[best]
        for name, place in (("default", 0), ("best", best)):
            found = measured(f"{mine}/{method}-{place}", partial(measure, config, method, settings[place], seed, False))
            values[f"{method}.{name}"] = found["accuracy"]
    values["default-under-best"] = max(values[f"{method}.best"] - values[f"{method}.default"] for method in methods)
    return values


def measure(config: Config, method: str, chosen: Mapping[str, Any], seed: int, validation: bool) -> Values:
    """A fresh strategy on the folder, as `engram evaluate` makes both, in percent."""
    with TemporaryDirectory() as place:
        write_folder(Path(place), config.each)
        folder = from_folder(place, side=config.side, seed=seed)
        stream = class_incremental(folder, seed=seed, shuffle=True, held_out=0.2 if validation else 0).map(flattened)
        if validation:
            stream = stream.validation()
        learner = make_learner(method, chosen, stream, seed)
        report = evaluate(learner, stream, forward=False)
    return {"accuracy": 100 * report.accuracy, "shown": report.costs[-1].shown}


def write_folder(place: Path, each: int) -> None:
    """So many pictures of each digit, a folder for each."""
    digits = data_set("digits")
    labels = digits.train_labels
    for label in np.unique(labels):
        own = place / str(label)
        make_folder(own)
        for number in np.flatnonzero(labels == label)[:each]:
            Image.fromarray(digits.train_inputs[np.array([number])][0]).save(own / f"{number}.png")


def plot(result: Mapping[str, Any]) -> Any:
    """For each strategy the accuracy by default and under its best setting."""
    figure, (axes,) = canvas(1, width=6, height=6)
    values = result["values"]
    bars = {f"{method}, {name}": (values[f"{method}.{name}"]["mean"], values[f"{method}.{name}"]["sd"])
            for method in reversed(STRATEGIES) for name in ("best", "default") if f"{method}.{name}" in values}
    draw_bars(axes, bars, "accuracy on the test pictures (%)", "engram evaluate, a small folder", span=(0, 100))
    return figure
