"""A quadratic penalty on parameters: each is held where it was, the more it mattered. EWC, SI and MAS share it, and
differ in what tells how much a parameter mattered."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The parameters that train, by name."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def held(model: nn.Module, importance: Mapping[str, Tensor], centre: Mapping[str, Tensor]) -> Tensor | None:
    """Σ importance · (θ − centre)², a scalar; None where nothing is held. Rows that came later are free.

    >>> layer = nn.Linear(1, 1)
    >>> round(held(layer, {"bias": torch.tensor([3.0])}, {"bias": layer.bias.detach() - 2}).item(), 3)
    12.0
    """
    total: Tensor | None = None
    for name, parameter in trained(model):
        if name in importance:
            now = parameter if parameter.shape == centre[name].shape else parameter[: len(centre[name])]
            term = ((now - centre[name]).square() * importance[name]).sum()
            total = term if total is None else total + term
    return total


def fitted(tensor: Tensor | None, parameter: Tensor) -> Tensor:
    """The tensor with zeros for rows that the parameter got since; zeros for all where there is none."""
    whole = torch.zeros_like(parameter, requires_grad=False)
    if tensor is not None:
        whole[: len(tensor)] = tensor
    return whole
