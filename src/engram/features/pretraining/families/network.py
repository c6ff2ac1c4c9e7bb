"""What all families have in common."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """Images -> logits when called; `embed` gives the features below the classifier.

    Attributes:
        width: of the features.
        one_size: whether it takes pictures of the size it was made for, and no other.
    """

    width: int
    one_size = False

    def maps(self, images: Tensor) -> Tensor:
        """Images (N, channels, H, W) -> the last feature maps, (N, width, h, w)."""
        raise NotImplementedError

    def embed(self, images: Tensor) -> Tensor:
        """(N, width) features."""
        return self.maps(images).mean((2, 3))

    def classify(self, embedded: Tensor) -> Tensor:
        """(N, classes) logits of features."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """(N, classes) logits."""
        return self.classify(self.embed(images))


class Embedding(nn.Module):
    """A network without its classifier, as a module of its own: images -> (N, width) features.

    Args:
        network: whose features.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(N, width) features."""
        return self.network.embed(images)


def linear(width: int, classes: int) -> nn.Module:
    """A linear classifier, or for 0 classes one that hands its input on."""
    return nn.Linear(width, classes) if classes else nn.Identity()


def initialise(network: nn.Module) -> None:
    """He initialisation for convolutions (He et al. 2015, arXiv 1502.01852, fan-out), 1 and 0 for normalisation."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def pooled(maps: Tensor) -> Tensor:
    """The largest value of each map: (N, C, H, W) -> (N, C)."""
    return torch.amax(maps, (2, 3))
