"""SwAV (Caron et al. 2020, arXiv 2006.09882): views of one picture must fall into the same of a few clusters.

Clusters are directions, the prototypes. Each large view is assigned to them so that the batch spreads evenly over all
(Sinkhorn, Cuturi 2013), and every other view of the picture, small ones too, has to predict that assignment.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.features.pretraining.families.network import Network
from engram.features.pretraining.loop import Batch
from engram.features.pretraining.photo_augmentation import RandomView
from engram.features.pretraining.photo_views import PhotoViews
from engram.features.pretraining.recipe import Recipe, projection
from engram.learner import InputError

LARGE = 2
"""Views of full size, of each picture."""


@torch.no_grad()
def sinkhorn(scores: Tensor, sharpness: float = 20.0, rounds: int = 3) -> Tensor:
    """Soft assignments of N examples to K prototypes that use every prototype equally.

    exp(sharpness · scores) is scaled by columns and rows in turn (Sinkhorn, Knopp 1967) towards columns that sum to
    N/K and rows that sum to 1; it ends with the rows.

    Args:
        scores: (N, K) cosines.
        sharpness: 1/ε of the paper.
        rounds: how often; many rounds reach both sums.

    >>> sinkhorn(torch.tensor([[1.0, 0.9], [1.0, 0.0]]), rounds=50).round().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    logs = sharpness * scores.double()
    examples, prototypes = logs.shape
    for _ in range(rounds):
        logs = logs - logs.logsumexp(0, keepdim=True) + torch.log(torch.tensor(examples / prototypes))
        logs = logs - logs.logsumexp(1, keepdim=True)
    return logs.exp().to(scores.dtype)


def swapped_prediction(scores: Tensor, views: int, temperature: float, assignments: Tensor) -> Tensor:
    """Mean cross-entropy of every view's prediction of each large view's assignment, its own left out.

    Args:
        scores: (views · N, K) cosines; the views of one kind stand together, the large ones first.
        views: of each picture.
        temperature: of the predictions.
        assignments: (LARGE · N, K), rows summing to 1.
    """
    predictions = functional.log_softmax(scores / temperature, 1).chunk(views)
    losses = [
        -(codes * predictions[other]).sum(1).mean()
        for own, codes in enumerate(assignments.chunk(LARGE)) for other in range(views) if other != own
    ]
    return torch.stack(losses).mean()


class SwAV(Recipe):
    """Two large and four small views of each picture; a queue of past projections makes small batches spread.

    Args:
        network, classes, side: see Recipe; the classes are ignored. Small views have half the side.
        prototypes: K.
        small: small views of each picture.
        temperature: of the predictions.
        width: of the projection in which prototypes lie.
        queue: past projections that join the assignment.

    Raises:
        InputError: the network takes pictures of one size only.
    """

    def __init__(
        self, network: Network, classes: int, side: int, prototypes: int = 300, small: int = 4,
        temperature: float = 0.1, width: int = 128, queue: int = 1024,
    ) -> None:
        super().__init__(network, classes, side)
        if network.one_size:
            raise InputError("SwAV shows views of two sizes, and this network takes one: choose another family.")
        self.views, self.temperature = LARGE + small, temperature
        self.passes = LARGE + small / 4
        self.large = PhotoViews(side, RandomView(area=(0.3, 1.0), close=0.0))
        self.small = PhotoViews(side // 2, RandomView(area=(0.08, 0.3), close=0.0))
        self.projection = projection(network.width, network.width, width)
        self.prototypes = nn.Parameter(torch.randn(prototypes, width))
        self.register_buffer("past", torch.zeros(queue, width))
        self.register_buffer("filled", torch.tensor(0))

    def batch(self, pictures: Tensor, classes: Tensor, generator: torch.Generator) -> Batch:
        """Large views (2N, C, S, S), and small ones (4N, C, S/2, S/2)."""
        large = self.large(torch.cat([pictures] * LARGE), generator)
        return large, self.small(torch.cat([pictures] * (self.views - LARGE)), generator)

    def forward(self, large: Tensor, small: Tensor) -> Tensor:
        """The loss of (2N, C, S, S) large views and the small ones, (4N, C, S/2, S/2)."""
        embedded = torch.cat([self.network.embed(large), self.network.embed(small)])
        projected = functional.normalize(self.projection(embedded).float())
        scores = projected @ functional.normalize(self.prototypes).T
        assignments = self._assigned(projected[: len(large)].detach(), scores[: len(large)].detach())
        return swapped_prediction(scores, self.views, self.temperature, assignments)

    @torch.no_grad()
    def _assigned(self, projected: Tensor, scores: Tensor) -> Tensor:
        """Assignments of the large views, each kind of view with the queue behind it."""
        past, filled = self.get_buffer("past"), self.get_buffer("filled")
        old = past[: int(filled)] @ functional.normalize(self.prototypes).T
        found = [sinkhorn(torch.cat([part, old]))[: len(part)] for part in scores.chunk(LARGE)]
        if self.training:
            fresh = projected[: len(projected) // LARGE]
            past.copy_(torch.cat([fresh, past])[: len(past)])
            filled.add_(len(fresh)).clamp_(max=len(past))
        return torch.cat(found)
