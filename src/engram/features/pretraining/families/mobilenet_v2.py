"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381): inverted residuals between narrow, linear bottlenecks."""

from __future__ import annotations

from torch import Tensor, nn

from engram.features.backbones.inverted_residuals import WIDTH
from engram.features.backbones.mobilenet_v2 import BLOCKS
from engram.features.pretraining.families.network import Network, initialise, linear

STEM = 32


class InvertedResidual(nn.Module):
    """Widen by 1×1, filter each channel by 3×3, narrow by 1×1 without activation; added to its input where they fit."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        widen = [_convolution(inputs, hidden, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *widen, _convolution(hidden, hidden, 3, stride, groups=hidden), nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, outputs, h, w)."""
        narrow: Tensor = self.conv(maps)
        return maps + narrow if self.adds else narrow


class MobileNetV2(Network):
    """Seventeen inverted residuals; with 1,000 classes at full width it has 3,504,872 parameters.

    Args:
        classes: outputs; 0 leaves the classifier out.
        channels: of the images; any resolution from 32 pixels on will do.
        multiplier: of every layer's channels, which stay multiples of 8; the last layer never gets narrower.
        stride: of the first convolution: 2 as published, 1 for small pictures.
        dropout: share of the features that is dropped before the classifier.
    """

    def __init__(
        self, classes: int = 1000, channels: int = 3, multiplier: float = 1.0, stride: int = 2, dropout: float = 0.2
    ) -> None:
        super().__init__()
        inputs = eighths(STEM * multiplier)
        layers: list[nn.Module] = [_convolution(channels, inputs, 3, stride)]
        for expansion, filters, repeats, first in BLOCKS:
            outputs = eighths(filters * multiplier)
            for repeat in range(repeats):
                layers.append(InvertedResidual(inputs, outputs, first if repeat == 0 else 1, expansion))
                inputs = outputs
        self.width = eighths(WIDTH * max(1.0, multiplier))
        self.features = nn.Sequential(*layers, _convolution(inputs, self.width, 1))
        self.classifier = nn.Sequential(nn.Dropout(dropout), linear(self.width, classes))
        initialise(self)

    def maps(self, images: Tensor) -> Tensor:
        """(N, width, H/32, W/32)."""
        maps: Tensor = self.features(images)
        return maps

    def classify(self, embedded: Tensor) -> Tensor:
        """(N, classes) logits."""
        logits: Tensor = self.classifier(embedded)
        return logits


def mobilenet_v2(
    classes: int = 1000, channels: int = 3, multiplier: float = 1.0, stride: int = 2, dropout: float = 0.2
) -> MobileNetV2:
    """See MobileNetV2."""
    return MobileNetV2(classes, channels, multiplier, stride, dropout)


def eighths(channels: float) -> int:
    """The nearest multiple of 8, never less than 9/10 of what was asked for, as in the paper's own code.

    >>> eighths(16.8), eighths(24 * 0.5), eighths(1.0)
    (16, 16, 8)
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _convolution(inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )
