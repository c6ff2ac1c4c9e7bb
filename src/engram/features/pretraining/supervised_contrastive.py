"""Supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, L_out): examples of one class attract
each other, all others repel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engram.features.pretraining.families.network import Network
from engram.features.pretraining.loop import Batch
from engram.features.pretraining.photo_views import PhotoViews
from engram.features.pretraining.recipe import Recipe, projection


def supervised_contrastive(directions: Tensor, classes: Tensor, temperature: float = 0.1) -> Tensor:
    """The mean loss of the examples that have a companion of their class in the batch.

    Args:
        directions: (N, D), each row of unit length.
        classes: (N,) integers.
        temperature: the smaller, the more the nearest examples count.

    >>> supervised_contrastive(torch.eye(2)[[0, 0, 1, 1]], torch.tensor([0, 0, 1, 1])).item() < 1e-3
    True
    """
    itself = torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    similarity = (directions @ directions.T / temperature).masked_fill(itself, -1e9)
    companions = (classes[:, None] == classes[None]) & ~itself
    log_share = similarity - similarity.logsumexp(1, keepdim=True)
    total = (log_share * companions).sum(1)
    count = companions.sum(1)
    return -(total / count.clamp_min(1))[count > 0].mean()


class SupervisedContrastive(Recipe):
    """Two views of each picture, gathered by class in a projection of the features.

    Args:
        network, classes, side: see Recipe.
        temperature: see `supervised_contrastive`.
        width: of the projection.
    """

    passes = 2.0

    def __init__(
        self, network: Network, classes: int, side: int, temperature: float = 0.1, width: int = 128
    ) -> None:
        super().__init__(network, classes, side)
        self.temperature = temperature
        self.views = PhotoViews(side)
        self.projection = projection(network.width, network.width, width)

    def batch(self, pictures: Tensor, classes: Tensor, generator: torch.Generator) -> Batch:
        """Two views of each picture (2N, C, S, S), and their classes."""
        return self.views(torch.cat([pictures, pictures]), generator), torch.cat([classes, classes])

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """The loss, a scalar, of (2N, C, S, S) views and the (2N,) classes of the pictures."""
        projected = self.projection(self.network.embed(images))
        return supervised_contrastive(functional.normalize(projected.float()), classes, self.temperature)
