"""SimpleNet (Hasanpour et al. 2016, arXiv 1608.06037): thirteen plain convolutions, no shortcuts, no branches."""

from __future__ import annotations

from torch import Tensor, nn

from engram.features.pretraining.families.network import Network, initialise, linear, pooled

POOL = 0
LAYERS = (64, 128, 128, 128, POOL, 128, 128, 256, POOL, 256, 256, POOL, 512, POOL, 2048, 256, POOL, 256)
"""Filters of each convolution; all see 3×3 except those with 2048 filters and after, which see one place."""


class SimpleNet(Network):
    """Convolutions with batch normalisation and ReLU, halved five times, then the largest value of each map.

    With 10 classes it has the paper's 5.48 million parameters.

    Args:
        classes: outputs; 0 leaves the classifier out.
        channels: of the images.
        multiplier: of every layer's filters.
        dropout: share of the maps that is dropped after each pooling.
    """

    def __init__(
        self, classes: int = 10, channels: int = 3, multiplier: float = 1.0, dropout: float = 0.1
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for filters in LAYERS:
            if filters == POOL:
                layers += [nn.MaxPool2d(2), nn.Dropout2d(dropout)]
                continue
            outputs = max(1, round(filters * multiplier))
            side = 1 if filters == 2048 or inputs == round(2048 * multiplier) else 3
            layers += [
                nn.Conv2d(inputs, outputs, side, padding=side // 2), nn.BatchNorm2d(outputs, momentum=0.05),
                nn.ReLU(inplace=True),
            ]
            inputs = outputs
        self.width = inputs
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.classifier = linear(self.width, classes)
        initialise(self)

    def maps(self, images: Tensor) -> Tensor:
        """(N, width, H/32, W/32)."""
        maps: Tensor = self.features(images)
        return maps

    def embed(self, images: Tensor) -> Tensor:
        """(N, width) features: the largest value of each map."""
        return pooled(self.maps(images))

    def classify(self, embedded: Tensor) -> Tensor:
        """(N, classes) logits."""
        logits: Tensor = self.classifier(self.dropout(embedded))
        return logits


def simplenet(
    classes: int = 10, channels: int = 3, multiplier: float = 1.0, dropout: float = 0.1
) -> SimpleNet:
    """See SimpleNet."""
    return SimpleNet(classes, channels, multiplier, dropout)
