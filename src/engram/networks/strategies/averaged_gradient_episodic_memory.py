"""A-GEM: no step may raise the loss on what is kept.

A. Chaudhry et al., "Efficient lifelong learning with A-GEM", ICLR 2019 (arXiv 1812.00420).
"""

from __future__ import annotations

import torch
from torch import Tensor

from engram.networks.strategies.experience_replay import ExperienceReplay


class AveragedGradientEpisodicMemory(ExperienceReplay):
    """Where the gradient g of a step points against the gradient r of `replayed` kept examples (g·r < 0), it becomes
    g − (g·r / r·r) r. The kept examples themselves are not trained on.

    Args:
        capacity, replayed, keep: as of `ExperienceReplay`.

    >>> learner = AveragedGradientEpisodicMemory({"name": "perceptron", "inputs": [2], "hidden": [8]}, capacity=10)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.samples_stored
    2
    """

    def seen(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """A step sees the new examples alone."""
        return inputs, targets

    @torch.enable_grad()
    def project(self, inputs: Tensor, targets: Tensor) -> None:
        """Turn the gradient away from what would raise the loss on kept examples."""
        if not self.memory.labels:
            return
        own = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        reference = torch.autograd.grad(self.loss(*self.drawn(len(inputs))), own, materialize_grads=True)
        along = sum((p.grad * r).sum() for p, r in zip(own, reference, strict=True) if p.grad is not None)
        if along < 0:
            share = along / sum(r.square().sum() for r in reference)
            for parameter, slope in zip(own, reference, strict=True):
                if parameter.grad is not None:
                    parameter.grad -= share * slope
