"""Dynamic sparse training: never dense, connections move while training (SET: Mocanu et al. 2018, arXiv 1707.04780;
RigL: Evci et al. 2020, arXiv 1911.11134)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.schedule import annealed
from engram.networks.strategies.structural import Structural
from engram.networks.structure.dynamic_sparsity import exchange, sparsify
from engram.networks.structure.pruning import prune_to

EXCHANGE_EVERY = 100  # steps


class DynamicSparseTraining(Structural):
    """A sparse network from the first step on, with as many parameters as it has at rest.

    Args:
        wake: "gradient" wakes the connections with the largest gradients (RigL), "random" any (SET).
        exchanged: share of a layer's connections that move at first; it falls to zero along half a cosine.
        anew: whether every arrival starts from a new random network, or goes on with what there is.
    """

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, wake: Literal["gradient", "random"] = "gradient",
        exchanged: float = 0.3, anew: bool = False, **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        if wake not in ("gradient", "random") or not 0 <= exchanged <= 1:
            raise InputError("wake must be 'gradient' or 'random', exchanged a share from 0 to 1.")
        self.wake, self.exchanged, self.anew = wake, exchanged, anew

    def restructure(self, new: Kept, everything: Kept) -> None:
        """Train and exchange; there is nothing to prune."""
        if self.anew or len(everything) == len(new):
            self.begin_anew()
            sparsify(self.masks, self.parameters, self.generator)
        prune_to(self.masks, self.parameters)  # outputs of new labels came with all their connections
        self.fit(everything, self.recipe.epochs, self.recipe.learning_rate,
                 lambda step, steps: self._move(everything, step, steps))
        prune_to(self.masks, self.parameters)  # a neuron that got connections again got its bias too

    def _move(self, data: Kept, step: int, steps: int) -> None:
        share = step / (steps * self.recipe.prune_share or 1)
        if step % EXCHANGE_EVERY == 0 and 0 < share < 1:
            exchange(self.masks, self.exchanged * annealed(share), self._wanted(data))

    def _wanted(self, data: Kept) -> dict[str, Tensor]:
        if self.wake == "gradient":
            return self.gradients_on_some(data).magnitude
        return {name: torch.rand(mask.shape, generator=self.generator).to(mask.device)
                for name, mask in self.masks.items()}
