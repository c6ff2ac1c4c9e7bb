"""How a backbone gets features worth having: one training loop, one loss or augmentation per file, recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engram.extension import Extension, Extensions

if TYPE_CHECKING:
    from engram.features.pretraining.families.network import Network
    from engram.features.pretraining.recipe import Recipe


HOME = "engram.features.pretraining."
LABELLED, UNLABELLED = ("pictures", "labels"), ("pictures",)
RECIPES = Extensions("recipe", {
    "cross-entropy": Extension(
        path=HOME + "cross_entropy:CrossEntropy", takes=LABELLED, needs=("train",),
        summary="tell the classes apart",
    ),
    "cosine-margin": Extension(
        path=HOME + "cosine_margin:CosineMargin", takes=LABELLED, needs=("train",),
        summary="tell the classes apart by angle, with a margin",
    ),
    "supervised-contrastive": Extension(
        path=HOME + "supervised_contrastive:SupervisedContrastive", takes=LABELLED, needs=("train",),
        summary="gather each class, push the others away", source="Khosla et al. 2020",
    ),
    "rotation-classes": Extension(
        path=HOME + "rotation:RotationClasses", takes=LABELLED, needs=("train",),
        summary="each class in each of four rotations is a class of its own",
    ),
    "combination": Extension(
        path=HOME + "combination:Combination", takes=LABELLED, needs=("train",),
        summary="cosine margin and supervised contrastive over rotated classes",
    ),
    "rotation": Extension(
        path=HOME + "rotation:Rotation", takes=UNLABELLED, needs=("train",),
        summary="say by which quarter turns a picture was turned", source="Gidaris et al. 2018",
    ),
    "swav": Extension(
        path=HOME + "swav:SwAV", takes=UNLABELLED, needs=("train",),
        summary="predict one view's cluster from another view", source="Caron et al. 2020",
    ),
    "cpc": Extension(
        path=HOME + "contrastive_predictive_coding:ContrastivePredictiveCoding", takes=UNLABELLED, needs=("train",),
        summary="predict patches from those above them", source="van den Oord et al. 2018",
    ),
})
"""Every recipe that needs pictures alone, or with their labels. To add one: a file in this folder, and a row here."""


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
    maker = RECIPES.load(name)

    import torch

    from engram.learner import InputError

    if "labels" in RECIPES[RECIPES.name_of(name)].takes and classes < 2:
        free = ", ".join(unlabelled())
        raise InputError(f"The recipe {name} needs two classes or more, not {classes}. Recipes that need none: {free}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            recipe: Recipe = maker(network, classes, side, **options)
        except TypeError as error:
            raise InputError(f"The recipe {name} cannot be made with {sorted(options)}: {error}") from error
    return recipe


def unlabelled() -> list[str]:
    """The names of the recipes that need no labels."""
    return [name for name, row in RECIPES.items() if "labels" not in row.takes]
