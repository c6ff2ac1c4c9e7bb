"""Plain classification: softmax over the classes, cross-entropy, label smoothing (Szegedy et al. 2016, 1512.00567)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engram.features.pretraining.families.network import Network, linear
from engram.features.pretraining.loop import Batch
from engram.features.pretraining.photo_views import PhotoViews
from engram.features.pretraining.recipe import Recipe


class CrossEntropy(Recipe):
    """A linear classifier on the features.

    Args:
        network, classes, side: see Recipe.
        smoothing: share of the probability that is spread evenly over all classes.
    """

    def __init__(self, network: Network, classes: int, side: int, smoothing: float = 0.1) -> None:
        super().__init__(network, classes, side)
        self.smoothing = smoothing
        self.views = PhotoViews(side)
        self.classifier = linear(network.width, classes)

    def batch(self, pictures: Tensor, classes: Tensor, generator: torch.Generator) -> Batch:
        """One view of each picture (N, C, S, S), and its class."""
        return self.views(pictures, generator), classes

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """The loss, a scalar, of (N, C, S, S) images and their (N,) classes."""
        logits = self.classifier(self.network.embed(images))
        return functional.cross_entropy(logits, classes, label_smoothing=self.smoothing)
