"""Small convolutional networks for greyscale characters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def convolution(inputs: int, outputs: int, side: int, pool: bool = True) -> nn.Sequential:
    """Convolution, pooling, batch normalisation, ReLU. Pooling first makes the rest a quarter of the work."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)]
    if pool:
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs), nn.ReLU())


class CharacterNetwork(nn.Module):
    """Images (N, 1, S, S) from 0 (background) to 1 (ink) -> features (N, width), none negative.

    Each convolution but the first sees 3×3, the first 5×5; each halves the side (rounded up). One linear
    layer over all places follows, with batch normalisation and ReLU.

    Args:
        channels: of the convolutions, from first to last.
        width: D, of the features.
        side: S, of the images.
    """

    def __init__(self, channels: Sequence[int], width: int, side: int) -> None:
        super().__init__()
        self.channels, self.width, self.side = tuple(channels), width, side
        depths = [1, *channels]
        self.convolutions = nn.Sequential(
            *(convolution(depths[i], depths[i + 1], 3 if i else 5) for i in range(len(channels)))
        )
        for _ in channels:
            side = (side + 1) // 2
        self.embedding = nn.Linear(channels[-1] * side * side, width, bias=False)
        self.scaling = nn.BatchNorm1d(width)

    def forward(self, images: Tensor) -> Tensor:
        """The features."""
        return functional.relu(self.scaling(self.embedding(self.convolutions(images).flatten(1))))


class CosineClassifier(nn.Module):
    """Classes as directions; a logit is the cosine to one of them, times `sharpness`
    (Gidaris, Komodakis 2018, arXiv 1804.09458).

    What lies between the features and these directions is a linear projection: it takes the loss's wish to
    collapse each class into a point upon itself and leaves the features richer (Chen et al. 2020,
    arXiv 2002.05709, section 4.2).

    Args:
        width: D, of the features.
        projection: width of the space in which directions are compared.
        classes: how many.
        sharpness: the largest logit.
    """

    def __init__(self, width: int, projection: int, classes: int, sharpness: float = 16.0) -> None:
        super().__init__()
        self.projection = nn.Linear(width, projection)
        self.directions = nn.Parameter(torch.randn(classes, projection))
        self.sharpness = sharpness

    def project(self, features: Tensor) -> Tensor:
        """(N, projection), each row of unit length."""
        return functional.normalize(self.projection(features).float())

    def logits(self, projected: Tensor) -> Tensor:
        """(N, classes) from what `project` returned."""
        return self.sharpness * projected @ functional.normalize(self.directions).T

    def forward(self, features: Tensor) -> Tensor:
        """(N, classes) logits."""
        return self.logits(self.project(features))
