"""Split-MNIST by methods that store no examples: SI, MAS, IMM, GPM, LwF with zero targets, and an energy-based model.

As in `split-mnist`, task-, domain- and class-incremental on the same network with the same optimiser; settings are
chosen on training images held out.
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
    on_perceptron,
)


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set by its name; with "digits" everything runs in seconds.
        hidden: units of each layer; the energy-based model has its last one behind the labels, in place of outputs.
        epochs: passes over an experience.
        held_out: training images on which settings are chosen.
        trial_seed: of these trials; no seed that is tested.
        si_strength, mas_strength: the c and λ tried.
        imm_strength: the λ tried, with the mode of the mixture.
        gpm_threshold: shares of the inputs' length that a basis holds, tried.
        lwf_temperature: the T tried.
        ebm_learning_rate: the rates tried.
    """

    data: str = "mnist"
    hidden: tuple[int, ...] = (400, 400)
    epochs: int = 3
    held_out: int = 6000
    trial_seed: int = 100
    si_strength: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    mas_strength: tuple[float, ...] = (0.01, 0.1, 1.0)
    imm_strength: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    gpm_threshold: tuple[float, ...] = (0.9, 0.95, 0.99)
    lwf_temperature: tuple[float, ...] = (1.0, 2.0)
    ebm_learning_rate: tuple[float, ...] = (3e-5, 1e-4, 3e-4)


TITLES = {"si": "SI", "mas": "MAS", "imm": "IMM", "gpm": "GPM", "lwf-zero": "LwF, zero targets", "ebm": "EBM"}


def methods(config: Config) -> dict[str, Method]:
    """Each method with the settings that it is tried with."""
    def strategy(name: str, place: str, *grid: Mapping[str, Any], hidden: tuple[int, ...] = config.hidden) -> Method:
        return Method(TITLES[name], on_perceptron(place, hidden), [{"epochs": config.epochs, **s} for s in grid])

    return {
        "si": strategy("si", "synaptic_intelligence:SynapticIntelligence", *(
            {"strength": strength} for strength in config.si_strength)),
        "mas": strategy("mas", "memory_aware_synapses:MemoryAwareSynapses", *(
            {"strength": strength} for strength in config.mas_strength)),
        "imm": strategy("imm", "incremental_moment_matching:IncrementalMomentMatching", *(
            {"strength": strength} for strength in config.imm_strength)),
        "gpm": strategy("gpm", "gradient_projection_memory:GradientProjectionMemory", *(
            {"threshold": threshold} for threshold in config.gpm_threshold)),
        "lwf-zero": strategy("lwf-zero", "learning_without_forgetting:LearningWithoutForgetting", *(
            {"zero_targets": True, "temperature": temperature} for temperature in config.lwf_temperature)),
        "ebm": strategy("ebm", "energy_based_model:EnergyBasedModel", *(
            {"learning_rate": rate} for rate in config.ebm_learning_rate), hidden=config.hidden[:-1]),
    }


CELLS = [
    ("class", "lwf-zero"), ("class", "ebm"), *((scenario, name) for scenario in SCENARIOS for name in ("si", "mas")),
    ("task", "imm"), ("task", "gpm"),
]
VAN_DE_VEN = "van de Ven, Tolias, arXiv 1809.10635"
PUBLISHED: dict[str, Any] = {
    **{f"{scenario}.si": {"value": value, "source": VAN_DE_VEN}
       for scenario, value in zip(SCENARIOS, (20.04, 99.14, 63.77), strict=True)},
    "class.lwf-zero": {"value": 24.17, "source": VAN_DE_VEN},
    "class.ebm": {"value": 53.12, "source": "Li et al., arXiv 2011.12216"},
}
FLOORS: dict[str, dict[str, float]] = {
    "task.si": {"at_least": 98.64}, "domain.si": {"at_least": 63.27}, "class.lwf-zero": {"at_least": 23.7},
    "class.ebm": {"at_least": 53.13},
}
FIGURES = figures_of("split-mnist", CELLS, PUBLISHED, FLOORS)


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed: accuracy after all experiences, in percent, for each scenario and method."""
    return compared("split-mnist-weights", config, seed, progress, methods(config), CELLS)


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy after all experiences: a panel for each scenario."""
    return bars(result, TITLES, list(SCENARIOS))
