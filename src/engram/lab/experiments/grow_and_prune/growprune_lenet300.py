"""Grow and prune as data arrive: LeNet-300-100 on ten portions of MNIST, beside training from scratch and fine-tuning.

After every portion the network has to be compact and accurate again. Compared: error, parameters, and what the update
cost, in epochs. The rivals learn the last step with the same recipe (augmentation, schedule), and training from scratch
also with more epochs, until it is as accurate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from engram.lab.experiments.experiment import Progress, part
from engram.lab.experiments.grow_and_prune.growprune_chain import PORTIONS, Chain, draw_steps, run_chain, summary
from engram.lab.experiments.grow_and_prune.growprune_published import LENET_300_100
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import steps_of
from engram.networks.strategies.update_recipe import UpdateRecipe

NETWORK = {"name": "perceptron", "inputs": [1, 28, 28], "hidden": [300, 100]}
SOURCE = "US 12,393,842 B2, FIG. 10"


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        parameters: the most alive at rest, biases counted.
        branches: methods that learn the last portion from where growing and pruning stands before it.
        rivals: methods that are measured in the last step, from all the data.
        scratch_budgets: how many times our epochs training from scratch is given in the last step.
        device: of the training.
    """

    parameters: int = 11_900
    branches: tuple[str, ...] = ("nft",)
    rivals: tuple[str, ...] = ("nest", "set", "rigl")
    scratch_budgets: tuple[int, ...] = (1, 3)
    device: str = "cpu"


PUBLISHED: Mapping[str, Any] = {"LeNet-300-100": LENET_300_100, "source": SOURCE}
FIGURES = {
    "growprune-lenet300.error": Figure("error", "%", at_most=1.20, published=1.33, source=SOURCE),
    "growprune-lenet300.parameters": Figure("parameters", "count", at_most=12_000, published=21_700, source=SOURCE),
    "growprune-lenet300.epochs": Figure("epochs", "epochs", at_most=16, published=49, source=SOURCE),
    "growprune-lenet300.steps-beaten": Figure("steps-beaten", "steps", at_least=9),
    "growprune-lenet300.worst-step": Figure("worst-step", "points", at_most=0.05),
    "growprune-lenet300.chain-epochs": Figure("chain-epochs", "epochs", at_most=160, published=386, source=SOURCE),
    "growprune-lenet300.minutes": Figure("minutes", "min", at_most=10),
    "growprune-lenet300.isolated": Figure("isolated", "count", at_most=0),
    "growprune-lenet300.accuracy-lost": Figure("accuracy-lost", "points"),
    "growprune-lenet300.nft-error": Figure("nft-error", "%"),
    "growprune-lenet300.tfs-error": Figure("tfs-error", "%"),
    "growprune-lenet300.tfs-3x-error": Figure("tfs-3x-error", "%"),
    "growprune-lenet300.nest-error": Figure("nest-error", "%"),
    "growprune-lenet300.set-error": Figure("set-error", "%"),
    "growprune-lenet300.rigl-error": Figure("rigl-error", "%"),
    "growprune-lenet300.tfs-cost": Figure("tfs-cost", "ratio"),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """The chain of one seed, and the last step of the rivals."""
    place = steps_of("growprune-lenet300", asdict(config), seed=seed)
    chain = Chain("grow-and-prune", NETWORK, config.parameters, UpdateRecipe(), seed, branches=config.branches,
                  device=config.device)
    chains = {chain.method: chain} | _rivals(config, chain)
    found = {name: run_chain(one, f"{place}/{name}", part(progress, i, len(chains), name))
             for i, (name, one) in enumerate(chains.items())}
    return summary(found, LENET_300_100)


def _rivals(config: Config, chain: Chain) -> dict[str, Chain]:
    """The last step alone, from all the data."""
    last = replace(chain, first=PORTIONS, branches=())
    longer = {"tfs" if times == 1 else f"tfs-{times}x":
              replace(last, method="tfs", recipe=chain.recipe.longer(times)) for times in config.scratch_budgets}
    return longer | {name: replace(last, method=name) for name in config.rivals}


def plot(result: Mapping[str, Any]) -> Any:
    """Error, parameters and cost of every step, beside the published ones."""
    return draw_steps(result, LENET_300_100)
