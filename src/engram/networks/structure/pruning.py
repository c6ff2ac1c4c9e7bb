"""Pruning: the connections that matter least become dormant (Han, Pool, Tran, Dally 2015, arXiv 1506.02626;
US 12,393,842 B2); recoverable where every neuron keeps a way in and a way out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.structure.masks import Masks
from engram.networks.structure.masks import rows as live_rows

Scores = Mapping[str, Tensor]


def magnitudes(masks: Masks) -> dict[str, Tensor]:
    """`|w|` of every connection, by parameter, each of the parameter's shape."""
    return {name: masks.weight(name).detach().abs() for name in masks}


@torch.no_grad()
def activation_scaled(masks: Masks, batches: Iterable[Any], ask: Callable[[Any], object]) -> dict[str, Tensor]:
    """`|w|` times the root of the mean, over examples, of the energy that comes in through it (Wanda: Sun et al. 2023,
    arXiv 2306.11695).

    A large weight from a pixel that is always dark then counts for nothing. A weight that is used at P places of an
    image counts as all of its P uses: without that, ranked beside those of other layers, a filter's few weights would
    go first. Recurrent layers are scored by `|w|`.

    Args:
        batches: what `ask` takes, as many examples as its length says; a few hundred will do.
        ask: runs the module on a batch.
    """
    found: dict[str, _Incoming] = {}
    hooks = [masks.layer(name).register_forward_hook(_watching(name, found))
             for name in masks if _seen_by(masks.layer(name), name)]
    examples = 0
    try:
        for batch in batches:
            ask(batch)
            examples += len(batch)
    finally:
        for hook in hooks:
            hook.remove()
    scores = magnitudes(masks)
    for name, incoming in found.items():
        groups, filters = getattr(masks.layer(name), "groups", 1), len(scores[name])
        energy = incoming.squares / incoming.vectors * incoming.uses / examples
        size = energy.sqrt().view(groups, -1).repeat_interleave(filters // groups, 0)
        scores[name] *= size.view(*size.shape, *[1] * (scores[name].ndim - 2))
    return scores


def _seen_by(layer: nn.Module, name: str) -> bool:
    """Whether the layer multiplies this tensor, and no other, with its input."""
    return isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) or (
        name.endswith("outputs.weight") and not isinstance(layer, nn.Embedding))


class _Incoming(NamedTuple):
    """Of each channel the sum of squares, over so many vectors; and how often a weight was used."""

    squares: Tensor
    vectors: int
    uses: int


def _watching(name: str, found: dict[str, _Incoming]) -> Callable[..., None]:
    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        channels, out = (one if isinstance(layer, nn.Linear) else one.movedim(1, -1) for one in (inputs[0], output))
        flat = channels.reshape(-1, channels.shape[-1])
        squares, vectors, uses = found.get(name, (0.0, 0, 0))
        found[name] = _Incoming(squares + flat.square().sum(0), vectors + len(flat),
                                uses + out.numel() // out.shape[-1])

    return hook


@torch.no_grad()
def prune_percentile(masks: Masks, beta: float, scores: Scores | None = None, *, recoverable: bool = True) -> int:
    """Put the β percent of each layer's live connections with the smallest scores to rest.

    Args:
        beta: percent, 0 to 100; 3 to 5 in the patent.
        scores: of every connection; `|w|` where they are not given.
        recoverable: every neuron keeps its best connection on either side.

    Returns:
        How many connections were put to rest.

    Raises:
        InputError: β is not from 0 to 100.
    """
    if not 0 <= beta <= 100:
        raise InputError(f"beta must be a percentile from 0 to 100, not {beta}.")
    scores = magnitudes(masks) if scores is None else scores
    kept = {}
    for name, mask in masks.items():
        alive = mask != 0
        worst = scores[name][alive].argsort(stable=True)[: int(beta * int(alive.sum()) / 100)]
        staying = torch.ones(int(alive.sum()), dtype=torch.bool, device=mask.device)
        staying[worst] = False  # as many as β says, also where scores are equal
        kept[name] = alive.clone()
        kept[name][alive] = staying
    if recoverable:
        keep_ways(masks, kept, scores)
    return _apply(masks, kept)


@torch.no_grad()
def prune_to(masks: Masks, live: int, scores: Scores | None = None, *, recoverable: bool = True) -> int:
    """Leave no more than `live` parameters, unless `recoverable` needs more: of all layers together the connections of
    the largest scores, beside those that keep the neurons connected.

    Args:
        live: parameters to stay alive, biases counted.
        scores, recoverable: as in `prune_percentile`.

    Returns:
        How many connections were put to rest.

    Raises:
        InputError: nothing is to stay alive.
    """
    if live < 1:
        raise InputError(f"live must be at least 1, not {live}: a network needs parameters to answer.")
    if masks.live <= live:
        return 0
    scores = magnitudes(masks) if scores is None else scores
    kept = {name: torch.zeros(mask.shape, dtype=torch.bool, device=mask.device) for name, mask in masks.items()}
    if recoverable:
        keep_ways(masks, kept, scores)
    _keep_best(masks, kept, scores, live - _parameters(masks, kept))
    return _apply(masks, kept)


def fewest(masks: Masks) -> int:
    """Recoverable pruning never leaves fewer parameters alive than these; where the best connections of two neurons are
    not the same one, it leaves a few more.

    Each neuron needs a way in and a way out, and one connection is both, for the two neurons that it joins.
    """
    ways, count = _fan_out(masks), masks.live
    for name, mask in masks.items():
        alive = mask != 0
        ways_in = int(live_rows(mask).sum())
        ways_out = int(_columns(alive, ways[name]).any(0).sum()) if name in ways else 0
        count += max(ways_in, ways_out) - int(alive.sum())
    return count


def _keep_best(masks: Masks, kept: dict[str, Tensor], scores: Scores, spare: int) -> None:
    """Add to `kept` the other connections in the order of their scores, for as long as `spare` parameters pay for them
    and for the biases that come alive with them."""
    free = {name: (masks[name] != 0) & ~mask for name, mask in kept.items()}
    values = torch.cat([scores[name][mask] for name, mask in free.items()])
    best = values.topk(min(max(spare, 0), len(values))).indices
    price = torch.ones_like(best) + _opens_neuron(masks, kept, free, best)
    chosen = torch.zeros_like(values, dtype=torch.bool)
    chosen[best[price.cumsum(0) <= spare]] = True
    parts = torch.split(chosen, [int(mask.sum()) for mask in free.values()])
    for (name, mask), part in zip(free.items(), parts, strict=True):
        kept[name][mask] = part


def _opens_neuron(masks: Masks, kept: Mapping[str, Tensor], free: Mapping[str, Tensor], best: Tensor) -> Tensor:
    """For the free connections of the places `best`, in this order: 1 where a neuron with a bias gets its first."""
    neurons, closed, count = [], [], 0
    for name, mask in free.items():
        neurons.append(mask.nonzero()[:, 0] + count)
        closed.append(~kept[name].flatten(1).any(1) & (masks.bias(name) is not None))
        count += len(mask)
    order = torch.arange(len(best), device=best.device)
    first = torch.full((count,), len(best), device=best.device)
    first.scatter_reduce_(0, torch.cat(neurons)[best], order, "amin")
    opens = torch.zeros(len(best) + 1, dtype=best.dtype, device=best.device)
    opens[first[torch.cat(closed)]] = 1
    return opens[:-1]


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
            change += int(mask.flatten(1).any(1).sum()) - int(live_rows(masks[name]).sum())
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
    no_output = sum(int((~_columns(masks[name] != 0, way).any(0)).sum())
                    for name, way in _fan_out(masks).items())
    return Isolated(no_input, no_output)


def hidden_alive(masks: Masks) -> Tensor:
    """For each layer below the outputs, (neurons,) booleans: whether a neuron has an input and an output connection."""
    names = list(masks)
    if len(names) < 2:
        return torch.zeros(0, dtype=torch.bool)
    ways_in = [(masks[name] != 0).flatten(1).any(1) for name in names[:-1]]
    ways_out = [_columns(masks[name] != 0, way).any(0) for name, way in _fan_out(masks).items()]
    return torch.cat([way_in & way_out for way_in, way_out in zip(ways_in, ways_out, strict=True)])


@torch.no_grad()
def trim(masks: Masks) -> int:
    """Put to rest what is alive for nothing after non-recoverable pruning: what leads into a neuron without a way out,
    and what comes from one without a way in. A neuron that would lose its last way in, and with it its bias, keeps it.
    The answers stay as they are where an activation makes 0 of 0, as all rectifiers do.

    Returns:
        How many connections were put to rest.

    Raises:
        InputError: the layers do not follow each other, as in a residual network.
    """
    ways = _fan_out(masks)
    pairs = list(pairwise(masks))
    follow = [ways[above].groups * masks[above].shape[1] == ways[above].inputs * len(masks[below])
              for below, above in pairs]
    if not all(follow):
        raise InputError("Only layers that follow each other can be trimmed.")
    live = _connections(masks)
    while True:
        before = _connections(masks)
        for below, above in pairs:
            low, high = masks[below] != 0, _columns(masks[above] != 0, ways[above])
            fed = _uncolumns(high & low.flatten(1).any(1), masks[above].shape, ways[above])
            masks[above] = torch.where(fed.flatten(1).any(1).view(-1, *[1] * (fed.ndim - 1)), fed, masks[above] != 0)
            masks[below] = low & high.any(0).view(-1, *[1] * (low.ndim - 1))
        if _connections(masks) == before:
            return live - before


def _connections(masks: Masks) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


def keep_ways(masks: Masks, kept: dict[str, Tensor], scores: Scores) -> None:
    """Add to `kept` (masks, each of its tensor's shape), for each neuron that would be cut off, the best of its
    connections
    that are alive."""
    for name, mask in kept.items():
        alive, flat = (masks[name] != 0).flatten(1), mask.flatten(1)
        best = torch.where(alive, scores[name].flatten(1), -1.0)
        cut = ~flat.any(1) & alive.any(1)
        flat[cut, best.argmax(1)[cut]] = True
        kept[name] = flat.reshape(mask.shape)
    for name, way in _fan_out(masks).items():
        alive = _columns(masks[name] != 0, way)
        best = torch.where(alive, _columns(scores[name], way), -1.0)
        columns = _columns(kept[name], way)
        cut = ~columns.any(0) & alive.any(0)
        columns[best.argmax(0)[cut], cut.nonzero()[:, 0]] = True
        kept[name] = _uncolumns(columns, kept[name].shape, way)


class _Way(NamedTuple):
    """How a weight tensor sees the neurons below: each as so many inputs, and only those of its own group."""

    inputs: int
    groups: int


def _fan_out(masks: Masks) -> dict[str, _Way]:
    """For each weight tensor above another: how it sees the neurons below.

    Each is one input, but for a linear layer that sees the flattened maps of a convolution.
    """
    ways = {}
    for below, name in pairwise(masks):
        inputs, neurons = masks[name].shape[1], masks[below].shape[0]
        flattened = masks[below].ndim > 2 and masks[name].ndim == 2 and neurons and inputs % neurons == 0
        ways[name] = _Way(inputs // neurons if flattened else 1, getattr(masks.layer(name), "groups", 1))
    return ways


def _columns(values: Tensor, way: _Way) -> Tensor:
    """(connections, neurons below): all that one neuron below sends, in one column."""
    inputs = way.groups * values.shape[1]
    by_input = values.reshape(way.groups, -1, *values.shape[1:]).transpose(1, 2)
    return by_input.reshape(inputs // way.inputs, -1).T.contiguous()


def _uncolumns(columns: Tensor, shape: torch.Size, way: _Way) -> Tensor:
    by_input = columns.T.reshape(way.groups, shape[1], shape[0] // way.groups, *shape[2:])
    return by_input.transpose(1, 2).reshape(shape)
