"""NeST: synthesis of a network from a sparse seed by growth and pruning (Dai, Yin, Jha 2019, arXiv 1711.02017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from engram.learner import InputError
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.structural import Structural
from engram.networks.structure.dynamic_sparsity import sparsify


class NeST(Structural):
    """With every arrival a new network grows from a sparse seed on everything there is, and is pruned.

    Args:
        seed_density: share of the parameters that are alive in the seed.
    """

    def __init__(self, network: nn.Module | Mapping[str, Any], *, seed_density: float = 0.1, **settings: Any) -> None:
        super().__init__(network, **settings)
        if not 0 < seed_density <= 1:
            raise InputError(f"seed_density must be above 0 and at most 1, not {seed_density}.")
        self.seed_density = seed_density

    def restructure(self, new: Kept, everything: Kept) -> None:
        """Grow from the seed on everything."""
        self.begin_anew()
        sparsify(self.masks, int(self.seed_density * self.masks.total), self.generator)
        for _ in range(self.recipe.growths):
            self.grow_connections(everything)
            self.fit(everything, self.recipe.new_epochs / self.recipe.growths, self.recipe.learning_rate)
        self.fit(everything, self.recipe.all_epochs, self.recipe.learning_rate)
        self.prune(everything)
