"""Small convolutional networks for greyscale characters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import InputError


def convolution(inputs: int, outputs: int, side: int, pool: bool = True) -> nn.Sequential:
    """Convolution, pooling, batch normalisation, ReLU. Pooling first makes the rest a quarter of the work."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)]
    if pool:
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs), nn.ReLU())


class CharacterNetwork(nn.Module):
    """Images (N, 1, S, S) from 0 (background) to 1 (ink) -> features (N, width), none negative.

    Each convolution but the first sees 3×3, the first 5×5; each halves the side (rounded up). One linear
    layer over all places follows, with batch normalisation and ReLU: the embedding, which is trained on.

    The features are the embedding beside the last convolution averaged over each quarter of the image, both
    at unit length. The embedding knows best what it was trained to tell apart; the layer below still keeps
    what nobody asked for, and that is what unseen characters need.

    Args:
        channels: of the convolutions, from first to last.
        embedding: width of the embedding.
        side: S, of the images.

    Raises:
        InputError: the images are too small for so many convolutions.
    """

    def __init__(self, channels: Sequence[int], embedding: int, side: int) -> None:
        super().__init__()
        self.width = embedding + 4 * channels[-1]
        depths = [1, *channels]
        self.convolutions = nn.Sequential(
            *(convolution(depths[i], depths[i + 1], 3 if i else 5) for i in range(len(channels)))
        )
        for _ in channels:
            side = (side + 1) // 2
        if side < 2:
            raise InputError(f"{len(channels)} convolutions leave nothing of a small image: take fewer.")
        self.quarters = nn.AvgPool2d((side + 1) // 2, side // 2)
        self.linear = nn.Linear(channels[-1] * side * side, embedding, bias=False)
        self.scaling = nn.BatchNorm1d(embedding)

    def forward(self, images: Tensor) -> Tensor:
        """The features: embedding and quarters, each of unit length (or all zeros)."""
        maps = self.convolutions(images)
        quarters = self.quarters(maps).flatten(1)
        parts = [functional.normalize(self._embedded(maps)), functional.normalize(quarters)]
        return torch.cat(parts, 1)

    def embed(self, images: Tensor) -> Tensor:
        """(N, embedding), not normalised."""
        return self._embedded(self.convolutions(images))

    def _embedded(self, maps: Tensor) -> Tensor:
        return functional.relu(self.scaling(self.linear(maps.flatten(1))))


class CosineClassifier(nn.Module):
    """Classes as directions; a logit is the cosine to one of them, times `sharpness`
    (Gidaris, Komodakis 2018, arXiv 1804.09458).

    What lies between the embedding and these directions is a linear projection: it takes the loss's wish to
    collapse each class into a point upon itself and leaves the embedding richer (Chen et al. 2020,
    arXiv 2002.05709, section 4.2).

    Args:
        width: of the embedding.
        projection: width of the space in which directions are compared.
        classes: how many.
        sharpness: the largest logit.
    """

    def __init__(self, width: int, projection: int, classes: int, sharpness: float = 16.0) -> None:
        super().__init__()
        self.projection = nn.Linear(width, projection)
        self.directions = nn.Parameter(torch.randn(classes, projection))
        self.sharpness = sharpness

    def project(self, embedded: Tensor) -> Tensor:
        """(N, projection), each row of unit length."""
        return functional.normalize(self.projection(embedded).float())

    def logits(self, projected: Tensor) -> Tensor:
        """(N, classes) from what `project` returned."""
        return self.sharpness * projected @ functional.normalize(self.directions).T

    def forward(self, embedded: Tensor) -> Tensor:
        """(N, classes) logits."""
        return self.logits(self.project(embedded))
