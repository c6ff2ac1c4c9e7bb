"""Random views of photographs: cropped, resized, mirrored, grey; then recoloured and blurred; on whole batches.

Where a network looks (`View`) is apart from how the pixels change (`Recolour`): a teacher and its student must see
the same part of a photograph (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent",
arXiv 2106.05237), while the student alone has to bear with other colours and focus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class View:
    """Which part of each photograph is seen.

    Attributes:
        boxes: (N, 4) float32: left, top, width, height as shares of the photograph's sides.
        mirrored: (N,) bool.
        grey: (N,) bool: without colours.
    """

    boxes: Tensor
    mirrored: Tensor
    grey: Tensor

    def at(self, *places: Tensor) -> Self:
        """The views at these places; one tensor of places for each leading axis."""
        return type(self)(self.boxes[places], self.mirrored[places], self.grey[places])

    def render(self, photographs: Tensor, side: int) -> Tensor:
        """Photographs (N, 3, H, W) uint8 as they are seen, (N, 3, side, side) float32 from 0 to 255, bilinear."""
        left, top, width, height = self.boxes.unbind(1)
        across = torch.where(self.mirrored, -width, width)
        zero = torch.zeros_like(left)
        rows = [
            torch.stack([across, zero, 2 * left + width - 1], 1), torch.stack([zero, height, 2 * top + height - 1], 1)
        ]
        shape = [len(photographs), 3, side, side]
        grid = functional.affine_grid(torch.stack(rows, 1), shape, align_corners=False)
        seen = functional.grid_sample(photographs.float(), grid, padding_mode="border", align_corners=False)
        return torch.where(self.grey[:, None, None, None], luma(seen), seen)


@dataclass(frozen=True)
class RandomView:
    """A crop of random area and proportions, mirrored half of the time (Szegedy et al. 2014, arXiv 1409.4842).

    Attributes:
        area: smallest and largest share of the photograph's area.
        close: share of the views that look closer, down to a quarter of the smallest area.
        aspect: largest ratio of width to height, and of height to width.
        grey: share of the views without colours.
    """

    area: tuple[float, float] = (0.35, 1.0)
    close: float = 0.15
    aspect: float = 4 / 3
    grey: float = 0.1

    def __call__(self, count: int, generator: torch.Generator) -> View:
        """Views of `count` photographs."""

        def uniform() -> Tensor:
            return torch.rand(count, generator=generator)

        least, most = self.area
        area = least + (most - least) * uniform()
        area = torch.where(uniform() < self.close, least * (0.25 + 0.75 * uniform()), area)
        slant = torch.exp((2 * uniform() - 1) * math.log(self.aspect) / 2)
        width, height = (area.sqrt() * slant).clamp(max=1), (area.sqrt() / slant).clamp(max=1)
        boxes = torch.stack([(1 - width) * uniform(), (1 - height) * uniform(), width, height], 1)
        return View(boxes, uniform() < 0.5, uniform() < self.grey)


@dataclass(frozen=True)
class Recolour:
    """Random brightness, contrast, saturation, and focus: softer or sharper (values from 0 to 255 or around).

    Attributes:
        brightness, contrast, saturation: each is multiplied by up to 1 ± this.
        focus: up to this share of a photograph's fine detail is taken away, or added.
    """

    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    focus: float = 0.0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (N, 3, H, W), each changed in its own way."""

        def factor(amount: float) -> Tensor:
            drawn = 1 + amount * (2 * torch.rand(len(images), generator=generator) - 1)
            return drawn[:, None, None, None]

        images = images * factor(self.brightness)
        grey = luma(images)
        images = torch.lerp(grey.expand_as(images), images, factor(self.saturation))
        middle = grey.mean((2, 3), keepdim=True).expand_as(images)
        images = torch.lerp(middle, images, factor(self.contrast))
        if self.focus:
            images = torch.lerp(blurred(images), images, factor(self.focus))
        return images.clamp(0, 255)


def luma(images: Tensor) -> Tensor:
    """(N, 1, H, W): ITU-R 601 luma of (N, 3, H, W)."""
    weights = images.new_tensor(LUMA)[None, :, None, None]
    return (images * weights).sum(1, keepdim=True)


def blurred(images: Tensor) -> Tensor:
    """(N, C, H, W) images, each value averaged with its eight neighbours, weighted 4, 2 and 1 (binomial)."""
    line = images.new_tensor([0.25, 0.5, 0.25])
    kernel = (line[:, None] * line)[None, None].repeat(images.shape[1], 1, 1, 1)
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernel, groups=images.shape[1])
