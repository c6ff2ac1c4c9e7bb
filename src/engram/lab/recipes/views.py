"""One image seen in several slightly different ways, its features averaged.

What an unfamiliar character's features owe to its exact place, slant and size averages out, which nothing in
training could teach the network for a character it never saw (averaging over crops: Krizhevsky, Sutskever,
Hinton 2012). The views are part of the network that is exported, so every user of it gets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class View(NamedTuple):
    """One way to look at an image; what moves in from outside is 0.

    Attributes:
        degrees: turn of the sampling grid.
        shear: slant, in pixels per pixel.
        right, down: shift of the sampling grid, as a share of half the image's side.
        scale: of the sampling grid; above 1 the character appears smaller.
    """

    degrees: float = 0.0
    shear: float = 0.0
    right: float = 0.0
    down: float = 0.0
    scale: float = 1.0


SIX_VIEWS = (
    View(degrees=8, scale=0.95), View(degrees=-8, scale=0.95),
    View(shear=0.12, right=1 / 14), View(shear=-0.12, right=-1 / 14),
    View(down=1 / 14, scale=1.05), View(down=-1 / 14, scale=1.05),
)
"""Turned, slanted and shifted one way and the other; settled on validation data."""


class Views(nn.Module):
    """A network applied to several views of each image (N, 1, S, S), its output averaged over them.

    Args:
        network: images -> (N, D).
        side: S.
        views: the ways to look.
    """

    def __init__(self, network: nn.Module, side: int, views: Sequence[View] = SIX_VIEWS) -> None:
        super().__init__()
        self.network = network
        grids = functional.affine_grid(
            torch.stack([_sampling(view) for view in views]), [len(views), 1, side, side], align_corners=False
        )
        self.register_buffer("grids", grids, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, D)."""
        grids: Tensor = self.get_buffer("grids")
        ways, count, side = grids.shape[0], images.shape[0], grids.shape[1]
        repeated = images[None].expand(ways, -1, -1, -1, -1).reshape(-1, 1, side, side)
        everywhere = grids[:, None].expand(-1, count, -1, -1, -1).reshape(-1, side, side, 2)
        moved = functional.grid_sample(repeated, everywhere, padding_mode="zeros", align_corners=False)
        outputs: Tensor = self.network(moved)
        return outputs.reshape(ways, -1, outputs.shape[1]).mean(0)


def _sampling(view: View) -> Tensor:
    """(2, 3): where each place of the view lies in the image, in shares of half its side."""
    angle = torch.deg2rad(torch.tensor(view.degrees))
    cosine, sine = float(view.scale * angle.cos()), float(view.scale * angle.sin())
    return torch.tensor([[cosine, view.shear - sine, view.right], [sine, cosine, view.down]])
