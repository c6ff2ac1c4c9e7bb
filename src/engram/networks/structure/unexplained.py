"""How many units a layer lacks to carry new inputs as well as old ones: what neurogenesis grows by.

After T. J. Draelos et al., "Neurogenesis deep learning", IJCNN 2017 (arXiv 1612.03770), where a layer grows while it
reconstructs a new class worse than the old; here in closed form, without training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.networks.structure.evaluation_mode import evaluating
from engram.networks.structure.neurogenesis import Wiring

ROWS = 4000
"""So many inputs of a layer at most, or patches of a convolution, are looked at."""

NEGLIGIBLE = 1e-6
"""Errors of this share of the new inputs' own size are none."""

RIDGE = 1e-4
"""Of the decoder, as a share of the mean variance of the units."""


@torch.no_grad()
def unexplained(wiring: Wiring, old: Tensor, new: Tensor, tolerance: float = 1.2, most: int = 30) -> dict[str, int]:
    """For each linear layer and each convolution in two dimensions: the units to add, `most` at most.

    A linear decoder from the layer's outputs to its inputs is fitted to the old inputs. Where its mean squared error on
    the new ones is more than `tolerance` times that on the old, as many units are missing as there are principal
    directions to take out of the new errors until it is not.

    Args:
        old, new: (N, …), inputs of the whole network.

    >>> network = nn.Sequential(nn.Linear(4, 2, bias=False), nn.Linear(2, 2))
    >>> _ = network[0].weight.data.copy_(torch.eye(4)[:2])
    >>> old = torch.randn(50, 4) * torch.tensor([1.0, 1.0, 0.01, 0.01])
    >>> unexplained(Wiring(network, (4,)), old, old + torch.randn(50, 1) * torch.tensor([0.0, 0.0, 0.0, 5.0]))
    {'0': 1, '1': 0}
    """
    before, after = _seen(wiring, old), _seen(wiring, new)
    return {name: _missing(before[name], after[name], tolerance, most) for name in before}


def _missing(old: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor], tolerance: float, most: int) -> int:
    """The units that a layer lacks, by pairs of its inputs (N, D) and outputs (N, units)."""
    decoder = _decoder(*old)
    limit = tolerance * float(_error(decoder, *old).square().sum(dim=1).mean())
    errors = _error(decoder, *new)
    along = torch.linalg.svdvals(errors).square() / len(errors)
    left = along.sum() - functional.pad(along.cumsum(0), (1, 0))  # when 0, 1, … directions are taken out
    negligible = NEGLIGIBLE * float(new[0].square().sum(dim=1).mean())
    return min(most, int((left > limit + negligible).sum()))


def _decoder(inputs: Tensor, outputs: Tensor) -> Tensor:
    """(units + 1, D): ridge regression of inputs on outputs, with a constant."""
    rows = functional.pad(outputs, (0, 1), value=1.0)
    products = rows.T @ rows
    ridge = RIDGE * outputs.var(dim=0, correction=0).mean() * len(rows) + torch.finfo(rows.dtype).tiny ** 0.5
    found: Tensor = torch.linalg.solve(products + ridge * torch.eye(len(products)).to(products), rows.T @ inputs)
    return found


def _error(decoder: Tensor, inputs: Tensor, outputs: Tensor) -> Tensor:
    return inputs - functional.pad(outputs, (0, 1), value=1.0) @ decoder


def _seen(wiring: Wiring, inputs: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Inputs (N, D) and outputs (N, units) of each layer that this can be asked of."""
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def note(name: str, layer: nn.Module, taken: Tensor, made: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            padding: Any = layer.padding
            patches = functional.unfold(taken, layer.kernel_size, layer.dilation, padding, layer.stride)
            taken, made = patches.transpose(1, 2).flatten(0, 1), made.flatten(2).transpose(1, 2).flatten(0, 1)
        rows = torch.linspace(0, len(taken) - 1, min(ROWS, len(taken)), device=taken.device).long()
        found[name] = taken[rows].double(), made[rows].double()

    layers = {name: wiring.module.get_submodule(name) for name in wiring.units}
    hooks = [layer.register_forward_hook(lambda layer, given, made, name=name: note(name, layer, given[0], made))
             for name, layer in layers.items() if _is_asked(layer)]
    try:
        with evaluating(wiring.module):
            wiring.module(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _is_asked(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (
        isinstance(layer, nn.Conv2d) and isinstance(layer.padding, tuple) and layer.padding_mode == "zeros")
