"""How a backbone gets features worth having: one training loop, one loss or augmentation per file, recipes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from engram.learner import InputError

if TYPE_CHECKING:
    from engram.features.pretraining.families.network import Network
    from engram.features.pretraining.recipe import Recipe


class Entry(NamedTuple):
    """Where a recipe is, whether it asks for labels, and what it does."""

    maker: str
    labelled: bool
    summary: str


HOME = "engram.features.pretraining."
RECIPES = {
    "cross-entropy": Entry(HOME + "cross_entropy:CrossEntropy", True, "tell the classes apart"),
    "cosine-margin": Entry(HOME + "cosine_margin:CosineMargin", True, "tell them apart by angle, with a margin"),
    "supervised-contrastive": Entry(HOME + "supervised_contrastive:SupervisedContrastive", True,
                                    "gather each class, push the others away"),
    "rotation-classes": Entry(HOME + "rotation:RotationClasses", True,
                              "each class in each of four rotations is a class of its own"),
    "combination": Entry(HOME + "combination:Combination", True,
                         "cosine margin and supervised contrastive over rotated classes"),
    "rotation": Entry(HOME + "rotation:Rotation", False, "say by which quarter turns a picture was turned"),
    "swav": Entry(HOME + "swav:SwAV", False, "predict one view's cluster from another view"),
    "cpc": Entry(HOME + "contrastive_predictive_coding:ContrastivePredictiveCoding", False,
                 "predict patches from those above them"),
}
"""Every recipe that needs pictures alone (or with their classes), by name; imported when it is asked for."""


def make_recipe(name: str, network: Network, classes: int, side: int, *, seed: int = 0, **options: Any) -> Recipe:
    """A recipe around a network: an objective for `loop.train`.

    Args:
        name: a key of RECIPES.
        network: what is to be trained.
        classes: how many classes the pictures have; a recipe without labels ignores it.
        side: of the square pictures that the network is shown.
        seed: of the recipe's own initial weights.
        options: settings of the recipe; see its class.

    Raises:
        InputError: no such recipe, a setting it does not have, or fewer than two classes where it needs them.
    """
    import torch

    if name not in RECIPES:
        raise InputError(f"No recipe {name!r}. There are: {', '.join(RECIPES)}.")
    entry = RECIPES[name]
    if entry.labelled and classes < 2:
        raise InputError(f"The recipe {name} needs two classes or more, not {classes}; rotation and swav need none.")
    module, _, kind = entry.maker.partition(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            recipe: Recipe = getattr(import_module(module), kind)(network, classes, side, **options)
        except TypeError as error:
            raise InputError(f"The recipe {name} cannot be made with {sorted(options)}: {error}") from error
    return recipe
