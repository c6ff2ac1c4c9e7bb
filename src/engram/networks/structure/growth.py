"""Gradient-based growth: dormant connections that the loss asks for come alive (NeST: Dai, Yin, Jha 2019,
arXiv 1711.02017; US 12,393,842 B2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from engram.learner import InputError
from engram.networks.structure.masks import Masks

Batch = TypeVar("Batch")


class Gradients(NamedTuple):
    """Averages over the batches of an epoch, for each weight tensor: of the gradient, and of its magnitude."""

    mean: dict[str, Tensor]
    magnitude: dict[str, Tensor]


def mean_gradients(masks: Masks, batches: Iterable[Batch], loss: Callable[[Batch], Tensor]) -> Gradients:
    """The mean gradient of every connection, alive or dormant, over the batches, by parameter. The weights stay.

    Args:
        batches: an epoch of whatever `loss` takes.
        loss: batch -> scalar.

    Raises:
        InputError: no batches.
    """
    weights = {name: masks.weight(name) for name in masks if masks.weight(name).requires_grad}
    mean = {name: torch.zeros_like(masks.weight(name), requires_grad=False) for name in masks}
    magnitude = {name: torch.zeros_like(zeros) for name, zeros in mean.items()}
    count = 0
    for batch in batches:
        gradients = torch.autograd.grad(loss(batch), list(weights.values()), materialize_grads=True)
        for name, gradient in zip(weights, gradients, strict=True):
            mean[name] += gradient
            magnitude[name] += gradient.abs()
        count += 1
    if not count:
        raise InputError("No batches to average gradients over.")
    for name in weights:
        mean[name] /= count
        magnitude[name] /= count
    return Gradients(mean, magnitude)


@torch.no_grad()
def grow(masks: Masks, gradients: Gradients, alpha: float, rate: float) -> int:
    """Wake the dormant connections whose mean |gradient| reaches the α-th percentile of their layer.

    A connection wakes with the weight -rate · mean gradient: the step that descent would take from zero.

    Args:
        alpha: percentile over the layer's dormant connections, 0 to 100; 30 to 50 in the patent.
        rate: η, the learning rate.

    Returns:
        How many connections woke.

    Raises:
        InputError: α is not from 0 to 100.

    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> masks = Masks(layer)
    >>> masks["weight"] = torch.zeros(1, 2)
    >>> wanted = torch.tensor([[0.1, -2.0]])
    >>> grow(masks, Gradients({"weight": wanted}, {"weight": wanted.abs()}), alpha=50, rate=0.5)
    1
    >>> layer.weight.abs().tolist()
    [[0.0, 1.0]]
    """
    if not 0 <= alpha <= 100:
        raise InputError(f"alpha must be a percentile from 0 to 100, not {alpha}.")
    woken = 0
    for name, mask in masks.items():
        dormant = mask == 0
        if not dormant.any():
            continue
        magnitude = gradients.magnitude[name]
        waking = dormant & (magnitude >= percentile(magnitude[dormant], alpha)) & (magnitude > 0)
        masks[name] = mask + waking
        masks.weight(name)[waking] = -rate * gradients.mean[name][waking]
        woken += int(waking.sum())
    return woken


def percentile(values: Tensor, percent: float) -> Tensor:
    """The value that `percent` of (N,) values come before in ascending order (rounded down); for 100 the largest."""
    rank = min(int(percent * len(values) / 100), len(values) - 1)
    return values.kthvalue(rank + 1).values
