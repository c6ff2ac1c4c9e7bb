"""REMIND: the memory holds codes, a few bytes each, of what the frozen part of the network makes of an input.

T. L. Hayes, K. Kafle, R. Shrestha, M. Acharya, C. Kanan, "REMIND your neural network to prevent catastrophic
forgetting", ECCV 2020 (arXiv 1910.02509).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import InputError
from engram.networks.strategies.latent_replay import LatentReplay


class REMIND(LatentReplay):
    """Latents are kept as codes of a product quantiser. What is above the frozen part never sees others than those that
    codes stand for, new ones neither. In a step, they may be mixed: λ of one with 1 − λ of another, and so are their
    losses, λ from Beta(mixup, mixup).

    Args:
        codec: "product", or with its settings, {"name": "product", "pieces": 32}: the bytes of a code.
        refit: whether the quantiser is fitted anew, to what is kept and what is new, whenever examples arrive; else it
            stays as the first examples made it, as in the paper, and labels that look different are told apart less.
        mixup: 0 for none; the paper takes 0.1.
        frozen, pretrained: as of `LatentReplay`.
        capacity, replayed, keep: as of `ExperienceReplay`.

    >>> learner = REMIND({"name": "perceptron", "inputs": [2], "hidden": [8, 8]}, capacity=50,
    ...                  codec={"name": "product", "pieces": 2})
    >>> learner.learn([[1.0, 0.0], [0.9, 0.1]], ["left", "left"])
    >>> learner.learn([[0.0, 1.0], [0.1, 0.9]], ["up", "up"])
    >>> learner.memory.columns[0].dtype.name, learner.memory.columns[0].shape
    ('uint8', (50, 2))
    """

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, capacity: int = 10_000,
        codec: str | Mapping[str, Any] = "product", refit: bool = True, mixup: float = 0.0, **settings: Any,
    ) -> None:
        super().__init__(network, capacity=capacity, codec=codec, **settings)
        if mixup < 0:
            raise InputError(f"mixup must be 0 or more, not {mixup}.")
        self.refit, self.mixup = refit, mixup

    def training_set(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What the passes go over: the latents of `inputs` (N, …) that codes stand for, and `targets` (N,)."""
        inputs, targets = super().training_set(inputs, targets)
        return (self._coded(inputs) if self.settled else inputs), targets

    def _coded(self, latents: Tensor) -> Tensor:
        """The latents (N, …) that the codes of these stand for."""
        exact = latents.cpu().numpy()
        if self.refit:
            self.memory.refit(exact, self._rng)
        codec = self.memory.codec
        codec.fit(exact, self._rng)
        return torch.from_numpy(codec.decode(codec.encode(exact))).to(self.device)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, a scalar, of latents (N, …), mixed in training, with `targets` (N,)."""
        if not self.mixup or not self.settled or not self.model.training:
            return super().loss(inputs, targets)
        share = float(self._rng.beta(self.mixup, self.mixup))
        order = torch.from_numpy(self._rng.permutation(len(inputs))).to(self.device)
        logits = self.model.through(self.body, share * inputs + (1 - share) * inputs[order])
        losses = [functional.cross_entropy(self.competing(logits, one), one) for one in (targets, targets[order])]
        return share * losses[0] + (1 - share) * losses[1]
