"""Permuted MNIST: the same ten digits in ten orders of their pixels, one after another; nobody names the order.

SI, EWC, IMM (three orders, as published), variational continual learning with and without a coreset, and active
dendrites, which infer the context. Settings are chosen on training images held out, on the first three orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.lab.experiments.strategies.comparison import Method, measure, on_perceptron
from engram.lab.streams import data_set, permuted


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set by its name.
        orders, imm_orders: experiences, and those of IMM.
        trial_orders, held_out, trial_seed: of the trials of settings: experiences, images held out, and their seed.
        hidden, vcl_hidden: units of each layer; those of VCL are its paper's.
        epochs, vcl_epochs: passes over an experience.
        si_strength, ewc_strength, imm_strength: the c and λ tried.
        vcl_spread: ln σ at first.
        vcl_learning_rate: rates tried.
        coreset: images of each order that VCL keeps, as in its paper.
        winners: the share of a layer's units that answer, tried by active dendrites.
    """

    data: str = "mnist"
    orders: int = 10
    imm_orders: int = 3
    trial_orders: int = 3
    held_out: int = 6000
    trial_seed: int = 100
    hidden: tuple[int, ...] = (400, 400)
    vcl_hidden: tuple[int, ...] = (100, 100)
    epochs: int = 1
    vcl_epochs: int = 5
    si_strength: tuple[float, ...] = (0.1, 1.0, 10.0)
    ewc_strength: tuple[float, ...] = (1e2, 1e3, 1e4)
    imm_strength: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    vcl_spread: float = -3.0
    vcl_learning_rate: tuple[float, ...] = (1e-3, 3e-3)
    coreset: int = 200
    winners: tuple[float, ...] = (0.05, 0.1, 0.2)


class Row(NamedTuple):
    """A method, and how many orders it learns."""

    method: Method
    orders: int


TITLES = {"si": "SI", "ewc": "EWC", "imm-3": "IMM, three orders", "vcl": "VCL", "vcl-coreset": "VCL with coreset",
          "active-dendrites": "active dendrites"}


def rows(config: Config) -> dict[str, Row]:
    """Each method with the settings that it is tried with."""
    def row(name: str, place: str, *grid: Mapping[str, Any], hidden: tuple[int, ...] = config.hidden,
            epochs: int = config.epochs, orders: int = config.orders) -> Row:
        return Row(Method(TITLES[name], on_perceptron(place, hidden), [{"epochs": epochs, **s} for s in grid]), orders)

    rates = [{"spread": config.vcl_spread, "learning_rate": rate} for rate in config.vcl_learning_rate]
    return {
        "si": row("si", "synaptic_intelligence:SynapticIntelligence", *(
            {"strength": strength} for strength in config.si_strength)),
        "ewc": row("ewc", "elastic_weight_consolidation:ElasticWeightConsolidation", *(
            {"strength": strength} for strength in config.ewc_strength)),
        "imm-3": row("imm-3", "incremental_moment_matching:IncrementalMomentMatching", *(
            {"strength": strength} for strength in config.imm_strength), orders=config.imm_orders),
        "vcl": row("vcl", VCL, *rates, hidden=config.vcl_hidden, epochs=config.vcl_epochs),
        "vcl-coreset": row("vcl-coreset", VCL, *({"coreset": config.coreset, **rate} for rate in rates),
                           hidden=config.vcl_hidden, epochs=config.vcl_epochs),
        "active-dendrites": row("active-dendrites", "active_dendrites:ActiveDendrites", *(
            {"winners": winners, "segments": config.orders} for winners in config.winners)),
    }


VCL = "variational_continual_learning:VariationalContinualLearning"
VAN_DE_VEN = "van de Ven, Tolias, arXiv 1809.10635"
PUBLISHED: dict[str, Any] = {
    "si": {"value": 95.33, "source": VAN_DE_VEN}, "ewc": {"value": 94.31, "source": VAN_DE_VEN},
    "imm-3": {"value": 98.0, "source": "Lee et al., arXiv 1703.08475"},
    "vcl": {"value": 90.0, "source": "Nguyen et al., arXiv 1710.10628"},
    "vcl-coreset": {"value": 93.0, "source": "Nguyen et al., arXiv 1710.10628"},
    "active-dendrites": {"value": 90.0, "source": "Iyer et al., arXiv 2201.00042: above 90"},
}
FLOORS = {"si": 94.83, "ewc": 93.81, "imm-3": 97.5, "vcl": 90.0, "vcl-coreset": 93.0, "active-dendrites": 92.0}
FIGURES = {
    f"permuted-mnist.{name}": Figure(name, "%", at_least=FLOORS[name], published=PUBLISHED[name]["value"],
                                     source=PUBLISHED[name]["source"])
    for name in TITLES
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed: the accuracy over all orders in the end, in percent, of each method."""
    trials, mine = (steps_of("permuted-mnist", asdict(config), **more) for more in ({}, {"seed": seed}))
    data = data_set(config.data)
    values: Values = {"chosen": {}, "trials": {}, "details": {}}
    for i, (name, (method, orders)) in enumerate(rows(config).items()):
        progress(i / len(TITLES), method.title)
        few = permuted(data, config.trial_orders, held_out=config.held_out, seed=config.trial_seed).validation()
        tried = [measured(f"{trials}/{name}-{place}", partial(measure, few, method, settings, config.trial_seed))
                 for place, settings in enumerate(method.grid)] if len(method.grid) > 1 else []
        best = max(range(len(method.grid)), key=lambda place: tried[place]["accuracy"] if tried else 0.0)
        found = measured(f"{mine}/{name}", partial(
            measure, permuted(data, orders, seed=seed), method, method.grid[best], seed))
        values["chosen"][name] = method.grid[best]
        values["trials"][name] = [{"settings": settings, "accuracy": trial["accuracy"]}
                                  for settings, trial in zip(method.grid, tried, strict=bool(tried))]
        values["details"][name], values[name] = found, found["accuracy"]
    return values


def plot(result: Mapping[str, Any]) -> Any:
    """The accuracy over all orders in the end."""
    figure, (axes,) = canvas(1, width=5.0, height=2.6)
    bars = {title: (result["values"][name]["mean"], result["values"][name]["sd"]) for name, title in TITLES.items()}
    draw_bars(axes, bars, "accuracy on the test images (%)", "Permuted MNIST", span=(50, 102))
    return figure
