"""Grow and prune as it was published: the patent's own recipe, in its own length, beside its three baselines.

Constant learning rates, no distillation, no averaging, five percent of each layer pruned at a time for as long as
retraining brings the accuracy back. LeNet-300-100 learns ten portions of MNIST, by growing and pruning and from
scratch (TFS); the other two baselines (NFT, NeST) are measured in the last step. LeNet-5 learns its last portion, from
a network that has learned the nine before it at once. "Within noise" of an error means within two standard deviations
of what 10,000 test images tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from engram.lab.experiments.experiment import Progress, part
from engram.lab.experiments.grow_and_prune import growprune_lenet5, growprune_lenet300
from engram.lab.experiments.grow_and_prune.growprune_chain import PORTIONS, Chain, draw_steps, run_chain, summary
from engram.lab.experiments.grow_and_prune.growprune_published import LENET_5, LENET_300_100
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import steps_of
from engram.networks.strategies.update_recipe import PATENT

IMAGES = 10_000  # of MNIST's test part
LAST = ("error", "parameters", "epochs")


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        methods: of LeNet-300-100, each in all ten steps.
        branches: methods that learn the last portion from where growing and pruning stands before it.
        rivals: methods that are measured in the last step, from all the data.
        lenet5: methods of LeNet-5, in the last step.
        device: of the training.
    """

    methods: tuple[str, ...] = ("grow-and-prune", "tfs")
    branches: tuple[str, ...] = ("nft",)
    rivals: tuple[str, ...] = ("nest",)
    lenet5: tuple[str, ...] = ("grow-and-prune", "tfs")
    device: str = "cpu"


SOURCE = "US 12,393,842 B2, FIGS. 10 and 11"
PUBLISHED: Mapping[str, Any] = {"LeNet-300-100": LENET_300_100, "LeNet-5": LENET_5, "source": SOURCE}


def _figures() -> dict[str, Figure]:
    """Each method's last step; the errors of growing and pruning have the published ones, and noise, as floors."""
    found = {}
    small = Config.methods + Config.branches + Config.rivals
    for network, table, methods in (("", LENET_300_100, small), ("lenet5-", LENET_5, Config.lenet5)):
        for method, (what, unit) in product(methods, zip(LAST, ("%", "count", "epochs"), strict=True)):
            known = table[method][what][-1]
            published = None if known is None else 1000 * known if what == "parameters" else known
            floor = published if what == "error" and method == "grow-and-prune" else None
            value = f"{network}{method}.{what}"
            most = None if floor is None else floor + noise(floor)
            found[f"growprune-patent.{value}"] = Figure(value, unit, at_most=most, published=published, source=SOURCE)
    return found


def noise(error: float) -> float:
    """Two standard deviations of an error in percent on the test images: a binomial's.

    >>> round(noise(1.33), 2)
    0.23
    """
    return 2 * math.sqrt(error * (100 - error) / IMAGES)


FIGURES = _figures()


def run(config: Config, seed: int, progress: Progress) -> Values:
    """The chains of one seed, and the last step of the others."""
    place = steps_of("growprune-patent", asdict(config), seed=seed)
    small, large = (Chain("grow-and-prune", network, 1, PATENT, seed, device=config.device)
                    for network in (growprune_lenet300.NETWORK, growprune_lenet5.NETWORK))
    chains = {method: replace(small, method=method, branches=config.branches if method == small.method else ())
              for method in config.methods}
    chains |= {method: replace(small, method=method, first=PORTIONS) for method in config.rivals}
    chains |= {f"lenet5-{method}": replace(large, method=method, first=PORTIONS - (method == large.method))
               for method in config.lenet5}
    found = {name: run_chain(chain, f"{place}/{name}", part(progress, i, len(chains), name))
             for i, (name, chain) in enumerate(chains.items())}
    last = {name: steps[-1] for name, steps in found.items()} | found[small.method][-1]["branches"]
    whole = summary({method: found[method] for method in config.methods}, LENET_300_100)
    return {f"{name}.{what}": step[what] for name, step in last.items() for what in LAST} | {
        key: whole[key] for key in ("steps-beaten", "worst-step", "steps")} | {
        "chain-epochs": {method: sum(step["all-data-epochs"] for step in found[method]) for method in config.methods}}


def plot(result: Mapping[str, Any]) -> Any:
    """Error, parameters and cost of every step, beside the published ones."""
    return draw_steps(result, LENET_300_100)
