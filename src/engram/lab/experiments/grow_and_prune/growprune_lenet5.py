"""Grow and prune as data arrive: LeNet-5 on ten portions of MNIST, and what is left when it need not recover.

After the last portion the network is pruned further, without heed to neurons that are cut off: the size for a device
that only answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from engram.lab.experiments.experiment import Progress, part
from engram.lab.experiments.grow_and_prune.growprune_chain import PORTIONS, Chain, draw_steps, run_chain, summary
from engram.lab.experiments.grow_and_prune.growprune_published import LENET_5
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import steps_of
from engram.networks.strategies.update_recipe import UpdateRecipe

NETWORK = {"name": "lenet-5"}
SOURCE = "US 12,393,842 B2, FIGS. 7 and 11"


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        parameters: the most alive at rest, biases counted.
        compressed: the most alive after the last step without heed to recovery.
        constant_budget: examples at which the recipe's epochs are meant.
        last_times: how many times longer the last update is than one before it: what comes of it is shipped.
        rivals: methods that are measured in the last step alone, from all the data.
        device: of the training.
    """

    parameters: int = 5_900
    compressed: int = 3_950
    constant_budget: int = 27_500
    last_times: float = 4.0
    rivals: tuple[str, ...] = ("tfs",)
    device: str = "cpu"


PUBLISHED: Mapping[str, Any] = {"LeNet-5": LENET_5, "source": SOURCE}
FIGURES = {
    "growprune-lenet5.error": Figure("error", "%", at_most=0.75, published=0.83, source=SOURCE),
    "growprune-lenet5.parameters": Figure("parameters", "count", at_most=6_000, published=7_900, source=SOURCE),
    "growprune-lenet5.error-4000": Figure("compressed-error", "%", at_most=0.80, published=0.88, source=SOURCE),
    "growprune-lenet5.parameters-4000": Figure("compressed-parameters", "count", at_most=4_000, published=5_400,
                                               source=SOURCE),
    "growprune-lenet5.epochs": Figure("epochs", "epochs", published=43, source=SOURCE),
    "growprune-lenet5.steps-beaten": Figure("steps-beaten", "steps"),
    "growprune-lenet5.chain-epochs": Figure("chain-epochs", "epochs"),
    "growprune-lenet5.tfs-error": Figure("tfs-error", "%"),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """The chain of one seed, what it compresses to, and the last step of the rivals."""
    place = steps_of("growprune-lenet5", asdict(config), seed=seed)
    recipe = UpdateRecipe().with_epochs_of(config.constant_budget)
    chain = Chain("grow-and-prune", NETWORK, config.parameters, recipe, seed,
                  last_times=config.last_times, compressed=config.compressed, device=config.device)
    chains = {chain.method: chain}
    chains |= {method: replace(chain, method=method, first=PORTIONS, compressed=0) for method in config.rivals}
    found = {method: run_chain(one, f"{place}/{method}", part(progress, i, len(chains), method))
             for i, (method, one) in enumerate(chains.items())}
    return summary(found, LENET_5)


def plot(result: Mapping[str, Any]) -> Any:
    """Error, parameters and cost of every step, beside the published ones."""
    return draw_steps(result, LENET_5)
