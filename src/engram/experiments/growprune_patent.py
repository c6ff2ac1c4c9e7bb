"""Grow and prune as it was published: the patent's own recipe, in its own length, beside its three baselines.

LeNet-300-100 learns ten portions of MNIST by all four methods with `PATENT`: constant learning rates, no distillation,
no averaging, five percent of each layer pruned at a time for as long as retraining brings the accuracy back. LeNet-5
learns its last portion, from a network that has learned the nine before it at once. Test errors on 10,000 images differ
by about 0.11 points from one draw to another at 1.3% (binomial), which is what "within noise" means here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engram.experiments import growprune_lenet5, growprune_lenet300
from engram.experiments.experiment import Progress, part
from engram.experiments.growprune_chain import PORTIONS, Chain, draw_steps, run_chain, summary
from engram.experiments.growprune_published import LENET_5, LENET_300_100
from engram.experiments.result import Figure, Values
from engram.strategies.recipe import PATENT

NOISE = 2 * 0.11
LAST = ("error", "parameters", "epochs")


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        methods: of LeNet-300-100, each in all ten steps.
        last_methods: of LeNet-5, in the last step.
        device: of the training.
    """

    methods: tuple[str, ...] = ("grow-and-prune", "tfs", "nest", "nft")
    last_methods: tuple[str, ...] = ("grow-and-prune", "tfs")
    device: str = "cpu"


PUBLISHED: Mapping[str, Any] = {
    "LeNet-300-100": LENET_300_100, "LeNet-5": LENET_5, "source": "US 12,393,842 B2, FIGS. 10 and 11"}


def _figures() -> dict[str, Figure]:
    """Each method's last step; the errors of growing and pruning have the published ones as floors."""
    found = {}
    for network, table, methods in (("", LENET_300_100, Config.methods), ("lenet5-", LENET_5, Config.last_methods)):
        for method in methods:
            for what, unit in zip(LAST, ("%", "count", "epochs"), strict=True):
                known = table[method][what][-1]
                published = None if known is None else 1000 * known if what == "parameters" else known
                most = published + NOISE if published and what == "error" and method == "grow-and-prune" else None
                value = f"{network}{method}.{what}"
                found[f"growprune-patent.{value}"] = Figure(
                    value, unit, at_most=most, published=published, source=str(PUBLISHED["source"]))
    return found


FIGURES = _figures()


def run(config: Config, seed: int, progress: Progress) -> Values:
    """The chains of one seed."""
    small, large = (Chain("growprune-patent", "grow-and-prune", network, 1, PATENT, seed, device=config.device)
                    for network in (growprune_lenet300.NETWORK, growprune_lenet5.NETWORK))
    chains = {method: replace(small, method=method) for method in config.methods}
    chains |= {f"lenet5-{method}": replace(large, method=method,
                                           first=PORTIONS - (method == "grow-and-prune"))
               for method in config.last_methods}
    found = {name: run_chain(chain, part(progress, i, len(chains), name))
             for i, (name, chain) in enumerate(chains.items())}
    last = {f"{name}.{what}": steps[-1][what] for name, steps in found.items() for what in LAST}
    return last | {"chain-epochs": {name: sum(step["all-data-epochs"] for step in found[name])
                                    for name in config.methods},
                   **{key: value for key, value in summary(
                       {name: found[name] for name in config.methods}, LENET_300_100).items()
                      if key in ("steps-beaten", "worst-step", "steps")}}


def plot(result: Mapping[str, Any]) -> Any:
    """Error, parameters and cost of every step, beside the published ones."""
    return draw_steps(result, LENET_300_100)
