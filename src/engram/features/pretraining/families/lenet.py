"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998) as it is built today: ReLU, max pooling, full connections."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from engram.features.pretraining.families.network import Network, linear
from engram.learner import InputError

KERNEL = 5


class LeNet5(Network):
    """Two convolutions of 6 and 16 filters, layers of 120 and 84 units, the latter being the features.

    With 10 classes on grey images of 32×32 pixels it has 61,706 parameters.

    Args:
        classes: outputs; 0 leaves the classifier out.
        channels: of the images.
        side: of the images: 32 as published (28 pixels padded by 2); every even side from 16 will do.

    Raises:
        InputError: images too small for two convolutions of 5×5.
    """

    one_size = True

    def __init__(self, classes: int = 10, channels: int = 1, side: int = 32) -> None:
        super().__init__()
        left = ((side - KERNEL + 1) // 2 - KERNEL + 1) // 2
        if left < 1:
            raise InputError(f"LeNet-5 sees images of 16×16 pixels or more, not {side}×{side}.")
        self.width = 84
        self.conv1 = nn.Conv2d(channels, 6, KERNEL)
        self.conv2 = nn.Conv2d(6, 16, KERNEL)
        self.fc1 = nn.Linear(16 * left * left, 120)
        self.fc2 = nn.Linear(120, self.width)
        self.fc3 = linear(self.width, classes)

    def maps(self, images: Tensor) -> Tensor:
        """(N, 16, h, w)."""
        first = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        return functional.max_pool2d(functional.relu(self.conv2(first)), 2)

    def embed(self, images: Tensor) -> Tensor:
        """(N, 84) features."""
        hidden = functional.relu(self.fc1(self.maps(images).flatten(1)))
        return functional.relu(self.fc2(hidden))

    def classify(self, embedded: Tensor) -> Tensor:
        """(N, classes) logits."""
        logits: Tensor = self.fc3(embedded)
        return logits


def lenet5(classes: int = 10, channels: int = 1, side: int = 32) -> LeNet5:
    """See LeNet5."""
    return LeNet5(classes, channels, side)
