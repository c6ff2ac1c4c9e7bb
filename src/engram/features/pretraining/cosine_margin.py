"""Classification by angle with a margin: CosFace (Wang et al. 2018, arXiv 1801.09414) and ArcFace (Deng et al. 2019,
arXiv 1801.07698). What is taught later is compared by cosine too, so features are trained for just that."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.features.pretraining.families.network import Network
from engram.features.pretraining.loop import Batch
from engram.features.pretraining.photo_views import PhotoViews
from engram.features.pretraining.recipe import Recipe

EDGE = 1e-6
"""Cosines stay this far from ±1, where the derivative of the angle is infinite."""


def margin_logits(
    cosines: Tensor, classes: Tensor, scale: float = 16.0, margin: float = 0.1, angle: float = 0.0
) -> Tensor:
    """s·(cos(θ + angle) − margin) for the true class, s·cos θ for the others.

    Args:
        cosines: (N, C).
        classes: (N,) the true ones.
        scale: s.
        margin: CosFace's, subtracted from the cosine.
        angle: ArcFace's, in radians, added to the angle; where θ + angle would pass π, the cosine falls on linearly,
            so that a larger angle is never the better answer.

    >>> margin_logits(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), 10.0, 0.2).tolist()
    [[8.0, 0.0]]
    """
    own = cosines.gather(1, classes[:, None])
    if angle:
        turned = torch.cos(torch.acos(own.clamp(-1 + EDGE, 1 - EDGE)) + angle)
        limit = torch.cos(torch.tensor(torch.pi - angle))
        moved = torch.where(own > limit, turned, own - limit - 1)
    else:
        moved = own
    return scale * cosines.scatter(1, classes[:, None], moved - margin)


class MarginClassifier(nn.Module):
    """Classes as directions; calling it gives the cross-entropy of `margin_logits`.

    Args:
        width: of the features.
        classes: how many.
        scale, margin, angle: see `margin_logits`.
    """

    def __init__(
        self, width: int, classes: int, scale: float = 16.0, margin: float = 0.1, angle: float = 0.0
    ) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(classes, width))
        self.scale, self.margin, self.angle = scale, margin, angle

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """The mean loss of (N, width) features of any length."""
        cosines = functional.normalize(features.float()) @ functional.normalize(self.directions).T
        return functional.cross_entropy(margin_logits(cosines, classes, self.scale, self.margin, self.angle), classes)


class CosineMargin(Recipe):
    """Cosine classification of the features themselves.

    Args:
        network, classes, side: see Recipe.
        scale, margin, angle: see `margin_logits`.
    """

    def __init__(
        self, network: Network, classes: int, side: int, scale: float = 16.0, margin: float = 0.1, angle: float = 0.0
    ) -> None:
        super().__init__(network, classes, side)
        self.views = PhotoViews(side)
        self.classifier = MarginClassifier(network.width, classes, scale, margin, angle)

    def batch(self, pictures: Tensor, classes: Tensor, generator: torch.Generator) -> Batch:
        """One view of each picture (N, C, S, S), and its class."""
        return self.views(pictures, generator), classes

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """The loss, a scalar, of (N, C, S, S) images and their (N,) classes."""
        loss: Tensor = self.classifier(self.network.embed(images), classes)
        return loss
