"""Rotations as classes: which way is up can only be told by who knows the thing (Gidaris, Singh, Komodakis 2018,
arXiv 1803.07728). With labels, each class in each rotation is a class of its own (Lee, Hwang, Shin 2020,
arXiv 1910.05872): four times the classes, and features that keep the pose."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engram.features.pretraining.families.network import Network, linear
from engram.features.pretraining.loop import Batch
from engram.features.pretraining.photo_views import PhotoViews
from engram.features.pretraining.recipe import Recipe

TURNS = 4


def rotated(images: Tensor, turns: Tensor) -> Tensor:
    """Each square image turned anticlockwise by its own number of quarter turns.

    Args:
        images: (N, C, S, S).
        turns: (N,) integers from 0 to 3.

    >>> rotated(torch.tensor([[[[1, 2], [3, 4]]]]), torch.tensor([1])).tolist()
    [[[[2, 4], [1, 3]]]]
    """
    out = torch.empty_like(images)
    for turn in range(TURNS):
        mine = turns == turn
        out[mine] = torch.rot90(images[mine], turn, (2, 3))
    return out


def draw_turns(count: int, generator: torch.Generator) -> Tensor:
    """(count,) numbers of quarter turns, at random."""
    return torch.randint(TURNS, (count,), generator=generator)


class RotationClasses(Recipe):
    """A linear classifier of (class, rotation) on the features.

    Args:
        network, classes, side: see Recipe.
        smoothing: share of the probability that is spread evenly over all classes.
    """

    def __init__(self, network: Network, classes: int, side: int, smoothing: float = 0.1) -> None:
        super().__init__(network, classes, side)
        self.smoothing = smoothing
        self.views = PhotoViews(side)
        self.classifier = linear(network.width, TURNS * classes)

    def batch(self, pictures: Tensor, classes: Tensor, generator: torch.Generator) -> Batch:
        """One view of each picture, turned (N, C, S, S), and its joint class, 4·class + turns."""
        turns = draw_turns(len(pictures), generator)
        return rotated(self.views(pictures, generator), turns), TURNS * classes + turns

    def forward(self, images: Tensor, joint: Tensor) -> Tensor:
        """The loss, a scalar, of (N, C, S, S) images and their (N,) joint classes."""
        logits = self.classifier(self.network.embed(images))
        return functional.cross_entropy(logits, joint, label_smoothing=self.smoothing)


class Rotation(RotationClasses):
    """Without labels: all pictures are of one class, and only their rotation is asked for.

    Args:
        network, classes, side: see Recipe; the classes are ignored.
    """

    def __init__(self, network: Network, classes: int, side: int) -> None:
        super().__init__(network, 1, side, smoothing=0.0)

    def batch(self, pictures: Tensor, classes: Tensor, generator: torch.Generator) -> Batch:
        """One view of each picture, turned (N, C, S, S), and its turns."""
        return super().batch(pictures, torch.zeros_like(classes), generator)
