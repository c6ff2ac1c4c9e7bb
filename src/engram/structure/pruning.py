"""Pruning: the connections that matter least become dormant (Han, Pool, Tran, Dally 2015, arXiv 1506.02626;
US 12,393,842 B2); recoverable where every neuron keeps a way in and a way out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from engram.learner import InputError
from engram.structure import masked
from engram.structure.growth import percentile
from engram.structure.masked import Masks

Scores = Mapping[str, Tensor]
ATTEMPTS = 8


def magnitudes(masks: Masks) -> dict[str, Tensor]:
    """|w| of every connection."""
    return {name: masks.weight(name).detach().abs() for name in masks}


@torch.no_grad()
def activation_scaled(masks: Masks, batches: Iterable[Any], ask: Callable[[Any], object]) -> dict[str, Tensor]:
    """|w| times the root mean square of what comes in through it (Wanda: Sun et al. 2023, arXiv 2306.11695).

    A large weight from a pixel that is always dark then counts for nothing. Recurrent layers are scored by |w|.

    Args:
        batches: what `ask` takes; a few hundred inputs will do.
        ask: runs the module on a batch.
    """
    squares = {name: torch.zeros(masks.weight(name).shape[1]) for name in masks}
    seen = dict.fromkeys(masks, 0)
    hooks = [masks.layer(name).register_forward_pre_hook(_squares(name, squares, seen)) for name in masks
             if isinstance(masks.layer(name), nn.Linear | nn.Conv1d | nn.Conv2d) or name.endswith("outputs.weight")]
    try:
        for batch in batches:
            ask(batch)
    finally:
        for hook in hooks:
            hook.remove()
    scores = magnitudes(masks)
    for name, count in seen.items():
        if count:
            size = (squares[name] / count).sqrt()
            scores[name] *= size.view(1, -1, *[1] * (scores[name].ndim - 2))
    return scores


def _squares(name: str, squares: dict[str, Tensor], seen: dict[str, int]) -> Callable[..., None]:
    def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        channels = inputs[0] if isinstance(layer, nn.Linear) else inputs[0].movedim(1, -1)
        flat = channels.reshape(-1, channels.shape[-1])
        squares[name] = squares[name].to(flat.device) + flat.square().sum(0)
        seen[name] += len(flat)

    return hook


@torch.no_grad()
def prune_percentile(masks: Masks, beta: float, scores: Scores | None = None, *, recoverable: bool = True) -> int:
    """Put the β percent of each layer's live connections with the smallest scores to rest.

    Args:
        beta: percent, 0 to 100; 3 to 5 in the patent.
        scores: of every connection; |w| where they are not given.
        recoverable: every neuron keeps its best connection on either side.

    Returns:
        How many connections were put to rest.
    """
    if not 0 <= beta <= 100:
        raise InputError(f"beta is a percentile from 0 to 100, not {beta}.")
    scores = magnitudes(masks) if scores is None else scores
    kept = {}
    for name, mask in masks.items():
        alive = scores[name][mask != 0]
        threshold = percentile(alive, beta) if len(alive) else 0.0
        kept[name] = (mask != 0) & (scores[name] >= threshold)
    if recoverable:
        keep_ways(masks, kept, scores)
    return _apply(masks, kept)


@torch.no_grad()
def prune_to(masks: Masks, live: int, scores: Scores | None = None, *, recoverable: bool = True) -> int:
    """Leave no more than `live` parameters, as far as `recoverable` allows: the connections of all layers together that
    have the largest scores.

    Args:
        live: parameters to stay alive, biases counted.
        scores, recoverable: as in `prune_percentile`.

    Returns:
        How many connections were put to rest.
    """
    scores = magnitudes(masks) if scores is None else scores
    alive = torch.cat([scores[name][mask != 0] for name, mask in masks.items()])
    wanted = len(alive) - (masks.live - live)
    if wanted >= len(alive):
        return 0
    kept: dict[str, Tensor] = {}
    for _ in range(ATTEMPTS):  # those kept for the sake of their neurons make others go
        threshold = alive.kthvalue(len(alive) - max(wanted, 1) + 1).values
        kept = {name: (mask != 0) & (scores[name] >= threshold) for name, mask in masks.items()}
        if recoverable:
            keep_ways(masks, kept, scores)
        over = _parameters(masks, kept) - live
        if over <= 0 or wanted <= 1:
            break
        wanted -= over
    return _apply(masks, kept)


def cubic(share: float, start: float, end: float) -> float:
    """From `start` to `end` as `share` goes from 0 to 1, fast first and slowly at last (Zhu, Gupta 2017,
    arXiv 1710.01878).

    >>> [cubic(share, 100, 20) for share in (0, 0.5, 1)]
    [100, 30.0, 20]
    """
    return end + (start - end) * (1 - min(max(share, 0.0), 1.0)) ** 3


def _parameters(masks: Masks, kept: dict[str, Tensor]) -> int:
    """What would be alive."""
    change = 0
    for name, mask in kept.items():
        change += int(mask.sum()) - int(masks[name].sum())
        if masks.bias(name) is not None:
            change += int(mask.flatten(1).any(1).sum()) - int(masked.rows(masks[name]).sum())
    return masks.live + change


def _apply(masks: Masks, kept: dict[str, Tensor]) -> int:
    before = sum(int(mask.sum()) for mask in masks.values())
    for name, mask in kept.items():
        masks[name] = mask
    return before - sum(int(mask.sum()) for mask in masks.values())


class Isolated(NamedTuple):
    """Neurons that are cut off: without a live connection from below, and without one to above."""

    without_input: int
    without_output: int


def isolated(masks: Masks) -> Isolated:
    """The first condition of recoverable pruning, checked: both numbers are zero where it holds.

    Neurons are the units and filters of every layer; the network's inputs are none, and its outputs lead nowhere.
    """
    no_input = sum(int((~alive.flatten(1).any(1)).sum()) for alive in (mask != 0 for mask in masks.values()))
    no_output = sum(int((~_columns(masks[name] != 0, width).any(0)).sum())
                    for name, width in _fan_out(masks).items())
    return Isolated(no_input, no_output)


def keep_ways(masks: Masks, kept: dict[str, Tensor], scores: Scores) -> None:
    """Add to `kept`, for each neuron that would be cut off, the best of its connections that are alive."""
    for name, mask in kept.items():
        alive = masks[name] != 0
        best = torch.where(alive, scores[name], -1.0).flatten(1)
        cut = ~mask.flatten(1).any(1) & alive.flatten(1).any(1)
        mask.view(len(mask), -1)[cut, best.argmax(1)[cut]] = True
    for name, width in _fan_out(masks).items():
        alive = _columns(masks[name] != 0, width)
        best = torch.where(alive, _columns(scores[name], width), -1.0)
        columns = _columns(kept[name], width)
        cut = ~columns.any(0) & alive.any(0)
        columns[best.argmax(0)[cut], cut.nonzero()[:, 0]] = True
        kept[name] = _uncolumns(columns, kept[name].shape, width)


def _fan_out(masks: Masks) -> dict[str, int]:
    """For each weight tensor above another: the values that one neuron below sends into it.

    That is 1, but for a linear layer that sees the flattened maps of a convolution.
    """
    names = list(masks)
    widths = {}
    for below, name in pairwise(names):
        inputs, neurons = masks[name].shape[1], masks[below].shape[0]
        flattened = masks[below].ndim > 2 and masks[name].ndim == 2 and inputs % neurons == 0
        widths[name] = inputs // neurons if flattened else 1
    return widths


def _columns(values: Tensor, width: int) -> Tensor:
    """(connections, neurons below): all that one neuron below sends, in one column."""
    by_input = values.transpose(0, 1).reshape(values.shape[1] // width, -1)
    return by_input.T.contiguous()


def _uncolumns(columns: Tensor, shape: torch.Size, width: int) -> Tensor:
    by_input = columns.T.reshape(shape[1], shape[0], *shape[2:])
    return by_input.transpose(0, 1).contiguous()
