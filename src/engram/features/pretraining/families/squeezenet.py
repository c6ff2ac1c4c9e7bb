"""SqueezeNet 1.1 (Iandola et al. 2016, arXiv 1602.07360): squeeze to few channels, expand with 1×1 and 3×3."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engram.features.pretraining.families.network import Network, initialise

POOL = (0, 0)
FIRES = (POOL, (16, 64), (16, 64), POOL, (32, 128), (32, 128), POOL, (48, 192), (48, 192), (64, 256), (64, 256))
"""Channels that each fire module squeezes to, and that each half of it expands to."""


class Fire(nn.Module):
    """Squeeze, then expand by two kinds of filters side by side."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, 2 · expanded, H, W)."""
        few = self.squeeze_activation(self.squeeze(maps))
        ones = self.expand1x1_activation(self.expand1x1(few))
        return torch.cat([ones, self.expand3x3_activation(self.expand3x3(few))], 1)


class SqueezeNet(Network):
    """Eight fire modules; with 1,000 classes it has 1,235,496 parameters. There is no batch normalisation in it.

    Args:
        classes: outputs; 0 leaves the classifier out.
        channels: of the images.
        dropout: share of the features that is dropped before the classifier.
    """

    def __init__(self, classes: int = 1000, channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, 64, 3, stride=2), nn.ReLU(inplace=True)]
        inputs = 64
        for fire in FIRES:
            if fire == POOL:
                layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
                continue
            layers.append(Fire(inputs, *fire))
            inputs = 2 * fire[1]
        self.width = inputs
        self.features = nn.Sequential(*layers)
        kernel: list[nn.Module] = [nn.Conv2d(self.width, classes, 1), nn.ReLU(inplace=True)] if classes else []
        self.classifier = nn.Sequential(nn.Dropout(dropout), *kernel) if classes else nn.Identity()
        initialise(self)
        if classes:
            nn.init.normal_(kernel[0].weight, std=0.01)  # type: ignore[arg-type]

    def maps(self, images: Tensor) -> Tensor:
        """(N, 512, about H/16, about W/16)."""
        maps: Tensor = self.features(images)
        return maps

    def classify(self, embedded: Tensor) -> Tensor:
        """Logits (N, classes) of (N, D) features."""
        return self._logits(embedded[:, :, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """(N, classes): the classifier looks at each place, and its answers are averaged."""
        return self._logits(self.maps(images))

    def _logits(self, maps: Tensor) -> Tensor:
        answers: Tensor = self.classifier(maps)
        return answers.mean((2, 3))


def squeezenet1_1(classes: int = 1000, channels: int = 3, dropout: float = 0.5) -> SqueezeNet:
    """See SqueezeNet."""
    return SqueezeNet(classes, channels, dropout)
