"""Dynamic sparse training: a network of constant size whose connections move (SET: Mocanu et al. 2018,
arXiv 1707.04780; RigL: Evci et al. 2020, arXiv 1911.11134)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from engram.learner import InputError
from engram.networks.structure import pruning
from engram.networks.structure.masks import Masks


@torch.no_grad()
def exchange(masks: Masks, share: float, wanted: Mapping[str, Tensor], *, recoverable: bool = False) -> int:
    """In each layer, the share of live connections with the smallest |w| gives place to as many dormant ones.

    Args:
        share: 0 to 1.
        wanted: for each weight tensor, how much a connection is wanted: the magnitude of its gradient (RigL), or random
            numbers (SET). Connections wake with the weight zero.
        recoverable: every neuron keeps its largest connection on either side; the published methods do not mind.

    Returns:
        How many connections were exchanged.

    Raises:
        InputError: the share is not from 0 to 1.

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
        raise InputError(f"A share must be from 0 to 1, not {share}.")
    sizes = pruning.magnitudes(masks)
    staying: dict[str, Tensor] = {}
    for name, mask in masks.items():
        alive = (mask != 0).flatten()
        count = min(int(share * int(alive.sum())), int((~alive).sum()))
        leaving = torch.where(alive, sizes[name].flatten(), torch.inf).topk(count, largest=False).indices
        staying[name] = alive.index_fill(0, leaving, False).reshape(mask.shape)
    if recoverable:
        pruning.keep_ways(masks, staying, sizes)
    moved = 0
    for name, stay in staying.items():
        alive = masks[name] != 0
        count = int(alive.sum()) - int(stay.sum())
        waking = torch.where(alive, -torch.inf, wanted[name]).flatten().topk(count).indices
        masks[name] = stay.flatten().index_fill(0, waking, True).reshape(stay.shape)
        moved += count
    return moved


@torch.no_grad()
def sparsify(masks: Masks, live: int, generator: torch.Generator) -> None:
    """Keep `live` parameters, or a few less: connections drawn at random, in each layer in proportion to its units in
    and out (Erdős–Rényi, as SET and RigL begin), but one at least into every neuron and out of it."""
    for name, mask in masks.items():
        masks[name] = torch.ones_like(mask)
    lots = {name: torch.rand(mask.shape, generator=generator).to(mask.device) for name, mask in masks.items()}
    needed = {name: torch.zeros_like(mask, dtype=torch.bool) for name, mask in masks.items()}
    pruning.keep_ways(masks, needed, lots)
    least = {name: int(ways.sum()) for name, ways in needed.items()}
    sizes = {name: mask.numel() for name, mask in masks.items()}
    edges = {name: sum(mask.shape[:2]) * math.prod(mask.shape[2:]) for name, mask in masks.items()}
    spare = live - (masks.total - sum(sizes.values()))

    def counts(scale: float) -> dict[str, int]:
        return {name: min(size, max(least[name], int(scale * edges[name]))) for name, size in sizes.items()}

    low, high = 0.0, float(max(sizes.values()))
    for _ in range(60):  # bisection: a full layer leaves its share to the others
        scale = (low + high) / 2
        low, high = (scale, high) if sum(counts(scale).values()) <= spare else (low, scale)
    for name, count in counts(low).items():
        drawn = (lots[name] + needed[name]).flatten().topk(count).indices
        masks[name] = torch.zeros_like(lots[name]).flatten().index_fill(0, drawn, 1.0).reshape(lots[name].shape)
