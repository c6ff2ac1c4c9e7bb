"""Split-MNIST: the digits two by two, task-, domain- and class-incremental, by five methods and two heads.

The network is that of the papers compared with: two layers of 400 rectified units, Adam at 0.001, batches of 128. The
settings of replay, EWC and LwF are chosen on training images held out, with a seed of their own; then every method
learns from all training images and is asked about the test images. What is asked: which of all ten digits
(class-incremental), which of the task's two (task-incremental), or only whether it is the first or the second of its
task, which nobody names (domain-incremental).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Values
from engram.lab.experiments.strategies.comparison import (
    SCENARIOS,
    Method,
    bars,
    compared,
    figures_of,
    head,
    on_perceptron,
)


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


STRATEGIES = {"naive": "naive", "ewc": "EWC", "lwf": "LwF", "er": "replay, 200 examples", "joint": "joint"}
HEADS = {"fast": "fast head on pixels", "streaming_lda": "streaming LDA on pixels"}
TITLES = STRATEGIES | HEADS


def methods(config: Config) -> dict[str, Method]:
    """The strategies with the settings that they are tried with, and the heads."""
    def strategy(name: str, place: str, *grid: Mapping[str, Any]) -> Method:
        return Method(STRATEGIES[name], on_perceptron(place, config.hidden), grid)

    return {
        "naive": strategy("naive", "naive:Naive", {"epochs": config.epochs}),
        "ewc": strategy("ewc", "elastic_weight_consolidation:ElasticWeightConsolidation", *(
            {"epochs": config.epochs, "strength": strength} for strength in config.ewc_strength)),
        "lwf": strategy("lwf", "learning_without_forgetting:LearningWithoutForgetting", *(
            {"epochs": config.epochs, "temperature": temperature, "weight": weight or None}
            for temperature in config.lwf_temperature for weight in config.lwf_weight)),
        "er": strategy("er", "experience_replay:ExperienceReplay", *(
            {"epochs": config.er_epochs, "capacity": config.capacity, "replayed": replayed, "learning_rate": rate}
            for replayed in config.er_replayed for rate in config.er_learning_rate)),
        "joint": strategy("joint", "joint:Joint", {"epochs": config.joint_epochs}),
    } | {name: Method(title, head(name)) for name, title in HEADS.items()}


CELLS = [*((scenario, name) for scenario in SCENARIOS for name in STRATEGIES), *(("class", head) for head in HEADS)]
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
FIGURES = figures_of("split-mnist", CELLS, PUBLISHED, FLOORS)


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed: accuracy after all experiences, in percent, for each scenario and method."""
    return compared("split-mnist", config, seed, progress, methods(config), CELLS)


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy after all experiences: a panel for each scenario."""
    return bars(result, TITLES, list(SCENARIOS))
