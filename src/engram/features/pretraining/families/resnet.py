"""Residual networks (He et al. 2015, arXiv 1512.03385), their parameters named as in torchvision.

ResNet-18, -34 and -50 take published weights; `small_resnet` is narrower, with a lighter stem, for small photographs.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from engram.features.pretraining.families.network import Network, initialise, linear


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and what goes around them.

    Args:
        inputs, outputs: channels.
        stride: of the first convolution.
    """

    expansion = 1

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride), none negative."""
        changed = functional.relu(self.bn1(self.conv1(maps)))
        changed = self.bn2(self.conv2(changed))
        around = maps if self.downsample is None else self.downsample(maps)
        return functional.relu(changed + around)


class Bottleneck(nn.Module):
    """1×1 down, 3×3, 1×1 up to four times the channels, and what goes around them; the stride is in the 3×3.

    Args:
        inputs: channels.
        middle: channels of the 3×3 convolution; the outputs are four times as many.
        stride: of the 3×3 convolution.
    """

    expansion = 4

    def __init__(self, inputs: int, middle: int, stride: int = 1) -> None:
        super().__init__()
        outputs = middle * self.expansion
        self.conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, 4 · middle, H / stride, W / stride), none negative."""
        changed = functional.relu(self.bn1(self.conv1(maps)))
        changed = functional.relu(self.bn2(self.conv2(changed)))
        changed = self.bn3(self.conv3(changed))
        around = maps if self.downsample is None else self.downsample(maps)
        return functional.relu(changed + around)


class ResNet(Network):
    """A stem, then four stages of blocks.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        depths: blocks of each of the four stages.
        widths: channels of each stage (of a bottleneck's middle).
        strides: of each stage's first block.
        stem: channels of the first convolution, which halves the side.
        kernel: of the first convolution.
        pool: whether the stem ends in a 3×3 maximum with stride 2.
        classes: outputs of the classifier; 0 leaves it out.
        channels: of the images.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        widths: Sequence[int] = (64, 128, 256, 512),
        *,
        strides: Sequence[int] = (1, 2, 2, 2),
        stem: int = 64,
        kernel: int = 7,
        pool: bool = True,
        classes: int = 1000,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, stem, kernel, 2, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if pool else nn.Identity()
        inputs = stem
        stages = []
        for depth, width, stride in zip(depths, widths, strides, strict=True):
            blocks = []
            for place in range(depth):
                blocks.append(block(inputs, width, stride if place == 0 else 1))
                inputs = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.width = inputs
        self.fc = linear(inputs, classes)
        initialise(self)

    def maps(self, images: Tensor) -> Tensor:
        """The maps of the last stage, (N, C, H, W)."""
        maps = self.maxpool(functional.relu(self.bn1(self.conv1(images))))
        last: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        return last

    def classify(self, embedded: Tensor) -> Tensor:
        """(N, classes)."""
        logits: Tensor = self.fc(embedded)
        return logits


def resnet18(classes: int = 1000, channels: int = 3, multiplier: float = 1.0) -> ResNet:
    """ResNet-18, 11.7 million parameters; `multiplier` scales its channels."""
    return _plain(BasicBlock, (2, 2, 2, 2), classes, channels, multiplier)


def resnet34(classes: int = 1000, channels: int = 3, multiplier: float = 1.0) -> ResNet:
    """ResNet-34, 21.8 million parameters."""
    return _plain(BasicBlock, (3, 4, 6, 3), classes, channels, multiplier)


def resnet50(classes: int = 1000, channels: int = 3, multiplier: float = 1.0) -> ResNet:
    """ResNet-50 (the stride in the 3×3, as torchvision has it), 25.6 million parameters."""
    return _plain(Bottleneck, (3, 4, 6, 3), classes, channels, multiplier)


def small_resnet(classes: int = 0, channels: int = 3) -> ResNet:
    """Seven blocks and 4.5 million parameters for photographs of 64 to 128 pixels: 320 maps of a 16th of the side."""
    return ResNet(
        BasicBlock, (2, 2, 2, 1), (64, 128, 256, 320), strides=(2, 2, 2, 1), stem=32, kernel=3, pool=False,
        classes=classes, channels=channels,
    )


def _plain(
    block: type[BasicBlock] | type[Bottleneck], depths: Sequence[int], classes: int, channels: int, multiplier: float
) -> ResNet:
    widths = [max(8, 8 * round(width * multiplier / 8)) for width in (64, 128, 256, 512)]
    return ResNet(block, depths, widths, stem=widths[0], classes=classes, channels=channels)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
