"""Split-MNIST by methods that give each task a part of one network: XdG, PackNet, HAT and supermasks.

Task-incremental, as in `split-mnist`: the question names the task's two digits. Network, optimiser and passes are those
of `split-mnist`. What PackNet prunes, what HAT asks for and how many weights a supermask has are the papers' values;
the share of units that XdG switches off, its rate and that of the supermasks are chosen on training images held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Values
from engram.lab.experiments.strategies.comparison import Method, bars, compared, figures_of, on_perceptron


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set by its name; with "digits" everything runs in seconds.
        hidden: units of each layer.
        epochs: passes over an experience; PackNet makes as many before it prunes as after.
        held_out: training images on which settings are chosen.
        trial_seed: of these trials; no seed that is tested.
        xdg_gated, xdg_learning_rate: what XdG tries: shares of the units that a task switches off, and rates.
        packnet_pruned: share of a task's weights that PackNet leaves to later ones.
        hat_largest, hat_sparsity: s_max and c of HAT.
        supsup_used: share of the weights in a supermask.
        supsup_learning_rate: rates that supermasks try.
    """

    data: str = "mnist"
    hidden: tuple[int, ...] = (400, 400)
    epochs: int = 5
    held_out: int = 6000
    trial_seed: int = 100
    xdg_gated: tuple[float, ...] = (0.7, 0.8, 0.9, 0.95)
    xdg_learning_rate: tuple[float, ...] = (1e-3, 3e-3)
    packnet_pruned: float = 0.75
    hat_largest: float = 400.0
    hat_sparsity: float = 0.75
    supsup_used: float = 0.5
    supsup_learning_rate: tuple[float, ...] = (1e-3, 3e-3, 1e-2)


TITLES = {"xdg": "XdG", "packnet": "PackNet", "hat": "HAT", "supsup": "supermasks"}


def methods(config: Config) -> dict[str, Method]:
    """Each method with the settings that it is tried with."""
    def strategy(name: str, place: str, *grid: Mapping[str, Any]) -> Method:
        return Method(TITLES[name], on_perceptron(place, config.hidden), [{"epochs": config.epochs, **s} for s in grid])

    return {
        "xdg": strategy("xdg", "context_dependent_gating:ContextDependentGating", *(
            {"gated": gated, "learning_rate": rate}
            for gated in config.xdg_gated for rate in config.xdg_learning_rate)),
        "packnet": strategy("packnet", "packnet:PackNet", {"pruned": config.packnet_pruned}),
        "hat": strategy("hat", "hard_attention:HardAttention", {
            "largest": config.hat_largest, "sparsity": config.hat_sparsity}),
        "supsup": strategy("supsup", "supermasks:Supermasks", *(
            {"used": config.supsup_used, "learning_rate": rate} for rate in config.supsup_learning_rate)),
    }


CELLS = [("task", name) for name in TITLES]
PUBLISHED: dict[str, Any] = {}
FIGURES = figures_of("split-mnist", CELLS, PUBLISHED, {f"task.{name}": {"at_least": 99.0} for name in TITLES})


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed: accuracy after all experiences, in percent, of each method."""
    return compared("split-mnist-isolation", config, seed, progress, methods(config), CELLS)


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy after all experiences."""
    return bars(result, TITLES, ["task"])
