"""How a network changes shape in one update: the switches, and the two recipes that are published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal

from engram.learner import InputError


@dataclass(frozen=True, slots=True)
class UpdateRecipe:
    """The settings of one update. The defaults are ours; `PATENT` has those of US 12,393,842 B2.

    Attributes:
        constant_budget: examples that an update trains on, however many data there are: the epochs below say how they
            are divided. 0: epochs are passes over the data.
        new_epochs: passes over what is new, growing on the way ("new data first").
        growths: how often the network grows during these passes.
        alpha: percentile of a layer's dormant connections, by the mean magnitude of their gradients, that stays dormant
            in a growth.
        eta: a connection wakes with -eta times its mean gradient.
        all_epochs: passes over everything, before pruning.
        prune_epochs: passes over everything while and after pruning (the most there may be, for "percentile").
        pruning: "cubic": fewer and fewer connections until `parameters` are left, by the best scores of the whole
            network; "percentile": `beta` percent of each layer at a time, trained until the accuracy is met again.
        prune_share: share of the prune_epochs in which connections go; the rest is for what remains.
        beta: percent of each layer's connections that go at a time.
        tolerance: points of validation accuracy that pruning may cost ("percentile").
        gate: points of validation accuracy below the grown network's at which gradual pruning waits for training to
            catch up; what is not pruned when the epochs are over stays. None: down to the size whatever it costs.
        scores: "magnitude", or "activation": magnitude scaled by what comes in.
        regrowth: share of the connections that is exchanged for dormant ones of large gradient at each pruning.
        distillation: weight of the grown network's answers in the loss while pruning (Hinton et al. 2015); 0: none.
        temperature: at which these answers are compared.
        learning_rate, prune_rate: Adam's, before and while pruning.
        anneal: whether the rates fall to zero along half a cosine, or stay.
        averaging: decay of the running average of the weights, which is what rests; 0: the weights as they are.
        recoverable: whether every neuron keeps a way in and a way out.

    Raises:
        InputError: a value that cannot be.
    """

    constant_budget: int = 825_000
    new_epochs: float = 1.0
    growths: int = 1
    alpha: float = 30.0
    eta: float = 0.1
    all_epochs: float = 5.0
    prune_epochs: float = 9.0
    pruning: Literal["cubic", "percentile"] = "cubic"
    prune_share: float = 0.6
    beta: float = 5.0
    tolerance: float = 0.0
    gate: float | None = None
    scores: Literal["magnitude", "activation"] = "activation"
    regrowth: float = 0.0
    distillation: float = 0.0
    temperature: float = 2.0
    learning_rate: float = 2e-3
    prune_rate: float = 3e-3
    anneal: bool = True
    averaging: float = 0.999
    recoverable: bool = True

    def __post_init__(self) -> None:
        shares = {"prune_share": self.prune_share, "regrowth": self.regrowth, "distillation": self.distillation,
                  "averaging": self.averaging}
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise InputError(f"{name} must be a share from 0 to 1, not {value}.")
        for name, value in {"alpha": self.alpha, "beta": self.beta}.items():
            if not 0 <= value <= 100:
                raise InputError(f"{name} must be a percentile from 0 to 100, not {value}.")
        if self.pruning not in ("cubic", "percentile") or self.scores not in ("magnitude", "activation"):
            raise InputError("pruning must be 'cubic' or 'percentile', scores 'magnitude' or 'activation'.")
        if not isinstance(self.growths, int):
            raise InputError(f"growths must be a whole number, not {self.growths}.")
        positive = {"learning_rate": self.learning_rate, "prune_rate": self.prune_rate, "growths": self.growths,
                    "temperature": self.temperature}
        for name, value in positive.items():
            if not value > 0:
                raise InputError(f"{name} must be above 0, not {value}.")
        counts = {"constant_budget": self.constant_budget, "new_epochs": self.new_epochs, "all_epochs": self.all_epochs,
                  "prune_epochs": self.prune_epochs, "eta": self.eta, "tolerance": self.tolerance}
        for name, value in counts.items():
            if not 0 <= value < math.inf:
                raise InputError(f"{name} must be 0 or more, not {value}.")

    @property
    def epochs(self) -> float:
        """Of a whole update."""
        return self.new_epochs + self.all_epochs + self.prune_epochs

    def longer(self, times: float) -> UpdateRecipe:
        """The same with so many times the epochs and examples.

        >>> UpdateRecipe(all_epochs=5).longer(3).all_epochs
        15
        """
        return replace(self, new_epochs=times * self.new_epochs, all_epochs=times * self.all_epochs,
                       prune_epochs=times * self.prune_epochs, constant_budget=round(times * self.constant_budget))

    @property
    def epoch(self) -> float:
        """Examples in an epoch; 0: as many as there are."""
        return self.constant_budget / self.epochs if self.epochs else 0.0

    def with_epochs_of(self, examples: int) -> UpdateRecipe:
        """The same epochs, each of so many examples.

        >>> UpdateRecipe().with_epochs_of(1000).constant_budget
        15000
        """
        return replace(self, constant_budget=round(examples * self.epochs))

    def repeats(self, examples: int) -> float:
        """By how much every number of epochs is multiplied for so many examples.

        >>> UpdateRecipe().repeats(5_500)
        10.0
        """
        return self.epoch / examples if self.constant_budget else 1.0


PATENT = UpdateRecipe(
    constant_budget=0, new_epochs=15, growths=3, alpha=40, eta=0.1, all_epochs=20, prune_epochs=60,
    pruning="percentile", beta=5, scores="magnitude", distillation=0, learning_rate=1e-3, prune_rate=5e-4,
    anneal=False, averaging=0,
)


def recipe_of(recipe: UpdateRecipe | Mapping[str, Any]) -> UpdateRecipe:
    """The recipe, or one with these fields.

    Raises:
        InputError: a field that a recipe does not have, or neither a recipe nor fields.

    >>> recipe_of({"alpha": 5}).alpha
    5
    """
    if isinstance(recipe, UpdateRecipe):
        return recipe
    if not isinstance(recipe, Mapping):
        raise InputError("recipe is an UpdateRecipe, such as PATENT of engram.networks.strategies.update_recipe, or "
                         f"its fields as in {{'alpha': 40}}, not {recipe!r}.")
    known = [field.name for field in fields(UpdateRecipe)]
    for name in recipe:
        if name not in known:
            near = get_close_matches(str(name), known, 1, 0)
            raise InputError(f"A recipe has no field {name!r}. The nearest is {near[0]!r}.")
    return UpdateRecipe(**recipe)
