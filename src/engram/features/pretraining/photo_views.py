"""What a network in training is shown of a photograph: a random view, recoloured, in the network's own units."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from engram.features.backbones.preprocessing import IMAGENET, Preprocessing
from engram.features.pretraining.photo_augmentation import RandomView, Recolour


@dataclass(frozen=True)
class PhotoViews:
    """Photographs (N, 3, H, W) uint8 -> a random view of each, (N, 3, side, side), normalised as ImageNet's are.

    Attributes:
        side: of the views, in pixels.
        view: which part of a photograph is seen.
        recolour: how its colours change.
    """

    side: int
    view: RandomView = field(default_factory=lambda: RandomView(area=(0.3, 1.0), close=0.0))
    recolour: Recolour = field(default_factory=lambda: Recolour(0.4, 0.4, 0.4))

    def __call__(self, photographs: Tensor, generator: torch.Generator) -> Tensor:
        """(N, C, S, S) normalised views of (N, C, H, W) photographs."""
        seen = self.view(len(photographs), generator).render(photographs, self.side)
        return normalised(self.recolour(seen, generator))


def normalised(images: Tensor) -> Tensor:
    """(N, 3, H, W) from 0 to 255 -> as networks trained on ImageNet expect them (see `IMAGENET`)."""
    mean, scale = (images.new_tensor(part)[None, :, None, None] for part in (IMAGENET.mean, IMAGENET.scale))
    return (images - mean) * scale


def shown(side: int) -> Preprocessing:
    """How a network that was trained on views of this side is shown whole pictures."""
    return Preprocessing((side, side), fit="cover", mean=IMAGENET.mean, scale=IMAGENET.scale)
