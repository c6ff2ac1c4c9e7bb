"""Random changes that leave a picture what it is, as operations on whole batches of tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Affine:
    """How far an image may be turned, stretched, slanted and moved; every amount is drawn uniformly.

    Attributes:
        degrees: turn by up to this angle either way.
        stretch: natural logarithm of the largest scale, drawn for each axis by itself.
        shear: slant by up to this many pixels per pixel.
        shift: move by up to this share of half the image's side, on each axis.
        ripple: standard deviation of a smooth random displacement (5×5 control points, bicubic between
            them; Simard, Steinkraus, Platt 2003), in the same unit as `shift`. 0 leaves it out.
        mirrored: left and right change places, half of the time; not for characters.
    """

    degrees: float = 12.0
    stretch: float = 0.12
    shear: float = 0.15
    shift: float = 2 / 14
    ripple: float = 0.0
    mirrored: bool = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images (N, C, H, W), each changed in its own way; what moves in from outside is 0."""
        count, _, height, width = images.shape

        def draw(amount: float) -> Tensor:
            return (2 * torch.rand(count, generator=generator) - 1) * amount

        angle = draw(self.degrees * torch.pi / 180)
        wide, high = torch.exp(draw(self.stretch)), torch.exp(draw(self.stretch))
        if self.mirrored:
            wide = wide * draw(1.0).sign()
        first = torch.stack([angle.cos() * wide, draw(self.shear) - angle.sin() * high, draw(self.shift)], 1)
        second = torch.stack([angle.sin() * wide, angle.cos() * high, draw(self.shift)], 1)
        turned = torch.stack([first, second], 2).to(images.device)  # drawn where the generator lives
        grid = sampling_grid(turned, height, width)
        if self.ripple:
            points = torch.randn(count, 2, 5, 5, generator=generator) * self.ripple
            field = functional.interpolate(points, (height, width), mode="bicubic", align_corners=True)
            grid = grid + field.permute(0, 2, 3, 1).to(images.device)
        return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def sampling_grid(turned: Tensor, height: int, width: int) -> Tensor:
    """Where each pixel comes from, (N, H, W, 2), the ends of either side being at -1 and 1.

    The same as `torch.nn.functional.affine_grid`, whose many tiny matrix products take three times as long on a CPU.

    Args:
        turned: (N, 3, 2), what x, y and 1 are multiplied with.
    """
    across, down = ((2 * torch.arange(side, device=turned.device) + 1) / side - 1 for side in (width, height))
    by_x, by_y, shift = (part[:, None, None] for part in turned.unbind(1))
    return across[:, None] * by_x + (down[:, None, None] * by_y + shift)
