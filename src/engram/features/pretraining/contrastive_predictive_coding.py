"""Contrastive predictive coding of images (van den Oord, Li, Vinyals 2018, arXiv 1807.03748; Hénaff et al. 2019,
arXiv 1905.09272): from the patches above, tell the patch that follows below from the patches of all pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.features.pretraining.families.network import Network
from engram.features.pretraining.loop import Batch
from engram.features.pretraining.photo_augmentation import RandomView
from engram.features.pretraining.photo_views import PhotoViews
from engram.features.pretraining.recipe import Recipe
from engram.learner import InputError


def info_nce(predicted: Tensor, targets: Tensor, places: Tensor, temperature: float = 0.1) -> Tensor:
    """Mean of −ln of the softmax share that each prediction gives to its own target among all targets.

    Args:
        predicted: (P, D).
        targets: (T, D).
        places: (P,) which target each prediction means.
        temperature: divides the cosines.

    >>> info_nce(torch.eye(2), torch.eye(2), torch.tensor([0, 1])).item() < 1e-3
    True
    """
    similarity = functional.normalize(predicted) @ functional.normalize(targets).T / temperature
    return functional.cross_entropy(similarity, places)


def patches(images: Tensor, grid: int, side: int) -> Tensor:
    """Overlapping square patches at even distances.

    Args:
        images: (N, C, S, S).
        grid: patches along each side.
        side: of a patch.

    Returns:
        (N · grid · grid, C, side, side), the patches of an image together, row by row.
    """
    starts = [round(i * (images.shape[-1] - side) / (grid - 1)) for i in range(grid)]
    cut = [images[:, :, top : top + side, left : left + side] for top in starts for left in starts]
    return torch.stack(cut, 1).flatten(0, 1)


class Above(nn.Module):
    """Context of each patch: what stands in its own row and in those above, never below (van den Oord et al. 2016,
    arXiv 1606.05328, the vertical stack).

    Args:
        width: of a patch's features.
        layers: each sees one row further up.
    """

    def __init__(self, width: int, layers: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(width, width, (2, 3)) for _ in range(layers))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, D, grid, grid) -> the same."""
        for layer in self.layers:
            maps = maps + functional.relu(layer(functional.pad(maps, (1, 1, 1, 0))))
        return maps


class ContrastivePredictiveCoding(Recipe):
    """The network sees patches one by one; a context of rows predicts the features of rows further down.

    Rows are skipped as long as their patches overlap: pixels that both share would make it too easy.

    Args:
        network, classes, side: see Recipe; the classes are ignored.
        grid: patches along each side.
        share: of the picture's side, a patch's side.
        width: in which predictions and targets are compared.
        temperature: see `info_nce`.

    Raises:
        InputError: the network takes pictures of one size only.
    """

    def __init__(
        self, network: Network, classes: int, side: int, grid: int = 5, share: float = 0.375, width: int = 64,
        temperature: float = 0.1,
    ) -> None:
        super().__init__(network, classes, side)
        if network.one_size:
            raise InputError("CPC shows patches, and this network takes whole pictures only: choose another family.")
        self.grid, self.temperature = grid, temperature
        self.patch = round(side * share)
        self.passes = (grid * self.patch / side) ** 2
        distance = (side - self.patch) / (grid - 1)
        self.first = min(grid - 1, int(self.patch // distance) + (self.patch % distance > 1))
        self.views = PhotoViews(side, RandomView(area=(0.5, 1.0), close=0.0))
        self.reduce = nn.Linear(network.width, width)
        self.above = Above(width)
        self.steps = nn.ModuleList(nn.Linear(width, width) for _ in range(self.first, grid))

    def batch(self, pictures: Tensor, classes: Tensor, generator: torch.Generator) -> Batch:
        """Patches of one view of each picture, (N · grid², C, P, P)."""
        return (patches(self.views(pictures, generator), self.grid, self.patch),)

    def forward(self, images: Tensor) -> Tensor:
        """The loss of the (N · grid², C, P, P) patches of N pictures, averaged over how far down is predicted."""
        codes = self.reduce(self.network.embed(images)).float()
        maps = codes.reshape(-1, self.grid, self.grid, codes.shape[1]).permute(0, 3, 1, 2)
        context = self.above(maps).permute(0, 2, 3, 1)
        numbers = torch.arange(len(codes), device=codes.device).reshape(-1, self.grid, self.grid)
        losses = []
        for further, step in enumerate(self.steps, self.first):
            predicted = step(context[:, : self.grid - further]).flatten(0, 2)
            losses.append(info_nce(predicted, codes, numbers[:, further:].flatten(), self.temperature))
        return torch.stack(losses).mean()
