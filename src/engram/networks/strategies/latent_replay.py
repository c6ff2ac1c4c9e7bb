"""Latent replay: what is kept and replayed is what a frozen lower part of the network makes of an input.

L. Pellegrini, G. Graffieti, V. Lomonaco, D. Maltoni, "Latent replay for real-time continual learning", IROS 2020 (arXiv
1912.01100). AR1 and REMIND share the shape: a frozen part and a plastic one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import InputError
from engram.networks.memory import Buffer
from engram.networks.strategies.experience_replay import ExperienceReplay
from engram.networks.strategies.growing_network import AT_ONCE
from engram.networks.strategies.kept import Kept
from engram.networks.structure.evaluation_mode import evaluating


class LatentReplay(ExperienceReplay):
    """The first `frozen` layers are trained by what is learned first, and never again; or not at all, if they were
    trained before. From then on, training goes through the layers above them alone: over latents of what arrives,
    computed once, and kept ones. So a kept example fits the network for ever, and costs no pass through what is frozen.

    Args:
        network: a stack of layers: `nn.Sequential`, or one of `networks`.
        frozen: layers of it, from the input; 0: the inputs are latents themselves, of a backbone for example.
        pretrained: whether these are frozen from the beginning.
        capacity, replayed, keep, codec: as of `ExperienceReplay`; it is latents that are kept.

    >>> import numpy as np
    >>> learner = LatentReplay({"name": "perceptron", "inputs": [2], "hidden": [8, 8]}, capacity=4, epochs=30)
    >>> learner.learn([[1.0, 0.0], [0.9, 0.1]], ["left", "left"])
    >>> lower = learner.network[1].weight.clone()
    >>> learner.learn([[0.0, 1.0], [0.1, 0.9]], ["up", "up"])
    >>> torch.equal(learner.network[1].weight, lower), learner.memory.columns[0].shape
    (True, (4, 8))
    """

    memory: Buffer
    settled: bool

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, frozen: int = 3, pretrained: bool = False, **settings: Any
    ) -> None:
        super().__init__(network, **settings)
        if not isinstance(self.network, nn.Sequential) or not 0 <= frozen <= len(self.network):
            raise InputError("The network must be a stack of layers, nn.Sequential, and frozen a number of them, not "
                             f"{frozen} of a {type(self.network).__name__}.")
        self.frozen, self.pretrained = frozen, pretrained
        self.register(settled=False)
        if pretrained:
            self.settle()

    @property
    def below(self) -> nn.Module:
        """The frozen part: inputs to latents."""
        return nn.Sequential(*list(self.network.children())[: self.frozen])

    @property
    def body(self) -> nn.Module:
        """What training goes through: from latents to features, or the whole network as long as nothing is frozen."""
        return nn.Sequential(*list(self.network.children())[self.frozen if self.settled else 0 :])

    def settle(self) -> None:
        """Freeze the lower part."""
        self.below.requires_grad_(False)
        self.settled = True

    @torch.no_grad()
    def latents(self, inputs: Tensor) -> Tensor:
        """What the frozen part makes of inputs (N, …): (N, …)."""
        below = self.below
        with evaluating(below):
            return torch.cat([below(part) for part in torch.split(inputs, AT_ONCE)])

    def training_set(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What the passes go over: the latents of `inputs` (N, …), and `targets` (N,)."""
        return (self.latents(inputs) if self.settled else inputs), targets

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, a scalar, of latents or, as long as nothing is frozen, inputs (N, …), with `targets` (N,)."""
        return functional.cross_entropy(self.competing(self.model.through(self.body, inputs), targets), targets)

    def remember(self, inputs: Tensor, targets: Tensor) -> None:
        """Freeze the lower part, and offer the latents of `inputs` (N, …) with `targets` (N,) to the memory."""
        if not self.settled:
            self.settle()
        super().remember(self.latents(inputs), targets)

    def restored(self) -> None:
        """The memory holds latents of this network, with its labels."""
        if self.settled:
            self.settle()
        if len(self.memory):
            shape = self.latents(torch.zeros(1, *self.shape, dtype=self.model.dtype, device=self.device)).shape[1:]
            Kept(*self.everything_kept()).require_fit(shape, len(self.labels))
