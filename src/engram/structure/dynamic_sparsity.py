"""Dynamic sparse training: a network of constant size whose connections move (SET: Mocanu et al. 2018,
arXiv 1707.04780; RigL: Evci et al. 2020, arXiv 1911.11134)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engram.learner import InputError
from engram.structure.masked import Masks


@torch.no_grad()
def exchange(masks: Masks, share: float, wanted: Mapping[str, Tensor]) -> int:
    """In each layer, the share of live connections with the smallest |w| gives place to as many dormant ones.

    Args:
        share: 0 to 1.
        wanted: for each weight tensor, how much a connection is wanted: the magnitude of its gradient (RigL), or random
            numbers (SET). Connections wake with the weight zero.

    Returns:
        How many connections were exchanged.

    >>> layer = torch.nn.Linear(4, 1, bias=False)
    >>> masks = Masks(layer)
    >>> layer.weight.data = torch.tensor([[3.0, 0.1, 0.0, 0.0]])
    >>> masks["weight"] = torch.tensor([[1, 1, 0, 0]])
    >>> exchange(masks, 0.5, {"weight": torch.tensor([[9.0, 9.0, 1.0, 2.0]])})
    1
    >>> masks["weight"].tolist()
    [[1.0, 0.0, 0.0, 1.0]]
    """
    if not 0 <= share <= 1:
        raise InputError(f"A share is from 0 to 1, not {share}.")
    moved = 0
    for name, mask in masks.items():
        alive = (mask != 0).flatten()
        count = min(int(share * alive.sum()), int((~alive).sum()))
        if not count:
            continue
        weights = masks.weight(name).detach().abs().flatten()
        leaving = torch.where(alive, weights, torch.inf).topk(count, largest=False).indices
        waking = torch.where(alive, -torch.inf, wanted[name].flatten()).topk(count).indices
        alive[leaving] = False
        alive[waking] = True
        masks[name] = alive.view_as(mask)
        moved += count
    return moved


@torch.no_grad()
def sparsify(masks: Masks, live: int, generator: torch.Generator) -> None:
    """Keep about `live` parameters, connections drawn at random: in each layer in proportion to its units in and out
    (Erdős–Rényi, as SET and RigL begin)."""
    sizes = {name: mask.numel() for name, mask in masks.items()}
    edges = {name: sum(mask.shape[:2]) * mask[0, 0].numel() for name, mask in masks.items()}
    spent = masks.total - sum(sizes.values())
    low, high = 0.0, float(max(sizes.values()))
    for _ in range(60):  # bisection: a full layer leaves its share to the others
        scale = (low + high) / 2
        count = sum(min(sizes[name], scale * edges[name]) for name in sizes)
        low, high = (scale, high) if count < live - spent else (low, scale)
    for name, mask in masks.items():
        density = min(1.0, low * edges[name] / sizes[name])
        chosen = torch.rand(mask.shape, generator=generator).to(mask.device) < density
        masks[name] = chosen | _one_each(mask, generator)


def _one_each(mask: Tensor, generator: torch.Generator) -> Tensor:
    """One random connection for every neuron, so that none begins cut off."""
    chosen = torch.zeros_like(mask, dtype=torch.bool)
    flat = chosen.view(len(mask), -1)
    flat[torch.arange(len(mask)), torch.randint(flat.shape[1], (len(mask),), generator=generator)] = True
    return chosen
