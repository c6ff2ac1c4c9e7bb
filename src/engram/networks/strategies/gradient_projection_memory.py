"""Gradient projection memory (GPM): each step is orthogonal to the inputs that the layers got in earlier tasks.

G. Saha, I. Garg, K. Roy, "Gradient projection memory for continual learning", ICLR 2021 (arXiv 2103.09762).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import Consolidation, InputError
from engram.networks.memory import Reservoir
from engram.networks.strategies.strategy import Strategy
from engram.networks.structure.evaluation_mode import evaluating
from engram.networks.structure.units import Units, layers_of_units

COLUMNS = 4096
"""At most so many inputs of a layer are taken apart: a convolution has one for each place of its map."""


class GradientProjectionMemory(Strategy):
    """Where an experience ends, a basis of the inputs of each layer (with a 1 for the bias) gets the directions that
    hold a share of what the basis does not hold yet. What a step changes in a layer's weights is projected onto the
    rest, so that its answers to those inputs stay; so is what momentum adds, and any optimiser will do.

    The output rows are free: with `active="experience"` those of other tasks have no slopes.

    Args:
        threshold: the share of the squared length of the inputs that the basis holds after an experience.
        samples: how many examples of each experience they are taken from.

    >>> learner = GradientProjectionMemory({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.consolidate().details  # two inputs span two
    {'directions': 2}
    """

    boundaries = True
    bases: dict[str, Tensor]
    recent: Reservoir

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, threshold: float = 0.97, samples: int = 300, **settings: Any
    ) -> None:
        super().__init__(network, **settings)
        if not 0 < threshold <= 1:
            raise InputError(f"threshold must be in (0, 1], not {threshold!r}.")
        if not all(_projected(units.layer) for units in layers_of_units(self.network)):
            raise InputError("Only linear layers and two-dimensional convolutions without groups or padding by name "
                             "can be projected.")
        self.threshold, self.samples = threshold, samples
        self.register(bases={}, recent=Reservoir(samples))

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,); keep a sample of the inputs until the next `consolidate`."""
        super().train(inputs, targets)
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        self.recent.add(rng, inputs.cpu().numpy())

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step on `inputs` (N, …) and `targets` (N,), without what lies in the bases."""
        layers = [units for units in layers_of_units(self.network) if units.name in self.bases]
        before = [_rows(units) for units in layers]
        loss = super().training_step(inputs, targets)
        with torch.no_grad():
            for units, rows in zip(layers, before, strict=True):
                basis = self.bases[units.name]
                change = (_rows(units) - rows) @ basis @ basis.T
                weight, bias = units.layer.weight, units.layer.bias
                weight -= change[:, : weight[0].numel()].reshape(weight.shape)
                if bias is not None:
                    bias -= change[:, -1]
        return loss

    def consolidate(self) -> Consolidation:
        """The inputs that the layers got since the last time are in the bases."""
        count = len(self.recent)
        if count:
            inputs = torch.from_numpy(self.recent.columns[0][:count]).to(self.device)
            for units, given in self.given(inputs):
                self.bases[units.name] = self.wider(self.bases.get(units.name), given)
            self.recent = Reservoir(self.samples)
        return Consolidation(details={"directions": sum(basis.shape[1] for basis in self.bases.values())})

    @torch.no_grad()
    def given(self, inputs: Tensor) -> list[tuple[Units, Tensor]]:
        """Each layer with what it is given for (N, …) inputs: (width, columns), the last row of ones for a bias."""
        seen: list[Tensor] = []
        layers = layers_of_units(self.network)
        hooks = [units.layer.register_forward_pre_hook(lambda _, values: seen.append(values[0])) for units in layers]
        try:
            with evaluating(self.model):
                self.network(inputs)
        finally:
            for hook in hooks:
                hook.remove()
        return [(units, _columns(units.layer, values)) for units, values in zip(layers, seen, strict=True)]

    def wider(self, basis: Tensor | None, given: Tensor) -> Tensor:
        """The basis (width, directions), with as many more as hold the share of (width, columns) inputs."""
        basis = given.new_zeros(len(given), 0) if basis is None else basis
        rest = given - basis @ (basis.T @ given)
        directions, sizes, _ = torch.linalg.svd(rest, full_matrices=False)
        total = given.square().sum()
        held = (total - rest.square().sum() + sizes.square().cumsum(0)) / total
        lacking = held < self.threshold
        already = rest.square().sum() <= (1 - self.threshold) * total
        count = 0 if already else min(int(lacking.sum()) + 1, len(sizes), len(given) - basis.shape[1])
        return torch.cat([basis, directions[:, :count]], dim=1)


def _projected(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (
        isinstance(layer, nn.Conv2d) and layer.groups == 1 and not isinstance(layer.padding, str))


def _rows(units: Units) -> Tensor:
    """The weights of each unit (units, width), its bias last."""
    rows = units.layer.weight.detach().flatten(1)
    return rows.clone() if units.layer.bias is None else torch.cat([rows, units.layer.bias.detach()[:, None]], dim=1)


def _columns(layer: nn.Module, values: Tensor) -> Tensor:
    """What a layer's weights are multiplied with, a column for each time: (width, columns)."""
    if isinstance(layer, nn.Conv2d):
        values = functional.unfold(values, layer.kernel_size, layer.dilation, layer.padding,  # type: ignore[arg-type]
                                   layer.stride).transpose(1, 2)
    columns = values.flatten(0, -2)
    columns = columns[:: -(-len(columns) // COLUMNS)].T
    return columns if layer.bias is None else torch.cat([columns, torch.ones_like(columns[:1])])
