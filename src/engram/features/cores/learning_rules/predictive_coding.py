"""Predictive coding (Whittington and Bogacz 2017; Millidge et al. 2020, arXiv 2006.04182): gradients by local errors.

Every node of a network predicts its own value from its parents', and keeps the error of that prediction. An error
settles where it balances what the errors of the node's children send back to it, with predictions held as they were
when the input came ("fixed prediction assumption"): there it is the derivative of the loss by the node's value, and a
weight learns from its own node's error alone. Any feed-forward graph will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from engram.learner import InputError

INPUT = "input"
"""The parent that is the network's input."""

Order = Literal["incremental", "together"]
"""Nodes settle one after the other, from the last to the first, each by what its children have become; or all at once,
each by what its children were."""


class Node(NamedTuple):
    """What predicts a value, and out of whose values."""

    module: nn.Module
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Settling:
    """How errors settle.

    Attributes:
        order: see `Order`.
        rate: the share of the way to their balance that errors go in a pass.
        passes: over all nodes, at most.
        tolerance: the change of all errors, relative to their size, below which they have settled.
    """

    order: Order = "incremental"
    rate: float = 1.0
    passes: int = 1
    tolerance: float = 0.0


def chain(modules: Iterable[nn.Module]) -> dict[str, Node]:
    """The graph of modules that follow each other.

    >>> [node.parents for node in chain([nn.Linear(2, 3), nn.ReLU()]).values()]
    [('input',), ('0',)]
    """
    return {str(place): Node(module, (str(place - 1) if place else INPUT,)) for place, module in enumerate(modules)}


def predictive_coding(
    nodes: Mapping[str, Node], inputs: Tensor, loss: Callable[[Tensor], Tensor], settling: Settling | None = None
) -> float:
    """Add to the gradient of every parameter what its node's settled error says, as `loss.backward()` would.

    Args:
        nodes: by name, parents before their children; the last one is what the loss looks at.
        inputs: the network's.
        loss: the last node's value -> a scalar.
        settling: how errors settle.

    Returns:
        The loss.

    Raises:
        InputError: a parent that is no earlier node, or a setting out of range.
    """
    how = settling or Settling()
    _check(nodes, how)
    entries: dict[str, tuple[Tensor, ...]] = {}
    values: dict[str, Tensor] = {INPUT: inputs}
    for name, node in nodes.items():
        entries[name] = tuple(values[parent].detach().requires_grad_() for parent in node.parents)
        values[name] = node.module(*entries[name])
    top = list(nodes)[-1]
    seen = values[top].detach().requires_grad_()
    total = loss(seen)
    errors = {name: torch.zeros_like(values[name]) for name in nodes}
    (errors[top],) = torch.autograd.grad(total, seen)
    for _ in range(how.passes):
        if _settle(nodes, values, entries, errors, how) <= how.tolerance:
            break
    for name, node in nodes.items():
        learned = [parameter for parameter in node.module.parameters() if parameter.requires_grad]
        if learned:
            slopes = torch.autograd.grad(values[name], learned, errors[name])
            for parameter, slope in zip(learned, slopes, strict=True):
                parameter.grad = slope if parameter.grad is None else parameter.grad + slope
    return float(total.item())


def _settle(
    nodes: Mapping[str, Node], values: Mapping[str, Tensor], entries: Mapping[str, tuple[Tensor, ...]],
    errors: dict[str, Tensor], how: Settling,
) -> float:
    """One pass over all nodes; by how much errors changed, relative to their size."""
    top = list(nodes)[-1]
    heard = {name: torch.zeros_like(error) for name, error in errors.items() if name != top}
    changed = size = 0.0
    after = dict(errors)
    for name in reversed(list(nodes)):
        if name != top:
            after[name] = errors[name] + how.rate * (heard[name] - errors[name]) if how.order == "incremental" else (
                errors[name])
        if name != top and how.order == "incremental":
            changed += float((after[name] - errors[name]).square().sum())
            size += float(after[name].square().sum())
        if any(parent != INPUT for parent in nodes[name].parents):
            sent = torch.autograd.grad(values[name], entries[name], after[name], retain_graph=True)
            for parent, part in zip(nodes[name].parents, sent, strict=True):
                if parent != INPUT:
                    heard[parent] += part
    if how.order == "together":
        for name, part in heard.items():
            after[name] = errors[name] + how.rate * (part - errors[name])
            changed += float((after[name] - errors[name]).square().sum())
            size += float(after[name].square().sum())
    errors.update(after)
    return (changed / size) ** 0.5 if size else 0.0


def _check(nodes: Mapping[str, Node], how: Settling) -> None:
    known = {INPUT}
    for name, node in nodes.items():
        if not node.parents or not known.issuperset(node.parents):
            raise InputError(f"Node {name!r} has parents {node.parents}: name {INPUT!r} or nodes that come before it.")
        known.add(name)
    if not nodes:
        raise InputError("A graph has one node or more.")
    if how.order not in get_args(Order) or not 0 < how.rate <= 1 or how.passes < 1 or how.tolerance < 0:
        raise InputError(f"Errors settle in one of the orders {', '.join(get_args(Order))}, at a rate above 0 and at "
                         f"most 1, in one pass or more; not {how}.")
