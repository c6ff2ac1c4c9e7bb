"""What every recipe is: a loss around a network, and a way of looking at pictures."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from engram.features.pretraining.families.network import Network
from engram.features.pretraining.loop import Batch

Draw = Callable[[torch.Generator], Batch]


class Recipe(nn.Module):
    """An objective for `loop.train`: called with a batch it returns the loss.

    A subclass says in `batch` how it looks at pictures (one view, two, many crops, turned), and in `forward` what it
    makes of them.

    Attributes:
        network: what is trained, the rest being thrown away.
        passes: how many pictures of full size go through the network for each picture of a batch; recipes are
            compared at the same number of passes.

    Args:
        network: to be trained.
        classes: how many there are.
        side: of the square pictures that the network is shown.
    """

    passes: float = 1.0

    def __init__(self, network: Network, classes: int, side: int) -> None:
        super().__init__()
        self.network, self.classes, self.side = network, classes, side

    def batch(self, pictures: Tensor, classes: Tensor, generator: torch.Generator) -> Batch:
        """What `forward` is called with.

        Args:
            pictures: (N, C, H, W) uint8.
            classes: (N,) int64.
            generator: of all randomness.
        """
        raise NotImplementedError


def from_pictures(recipe: Recipe, pictures: Tensor, classes: Tensor, passes: int) -> Draw:
    """Batches for `loop.train`: pictures drawn at random, seen as the recipe sees them.

    Args:
        recipe: whose batches they are.
        pictures: (N, C, H, W) uint8, all there are.
        classes: (N,) int64.
        passes: pictures through the network for each batch; the recipe's own `passes` says how many pictures that is.
    """
    count = max(2, round(passes / recipe.passes))

    def draw(generator: torch.Generator) -> Batch:
        places = torch.randint(len(pictures), (count,), generator=generator)
        return recipe.batch(pictures[places], classes[places], generator)

    return draw


def projection(width: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two layers between features and loss: they take the loss's wish to collapse classes upon themselves and leave
    the features richer (Chen et al. 2020, arXiv 2002.05709, section 4.2)."""
    return nn.Sequential(
        nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs)
    )
