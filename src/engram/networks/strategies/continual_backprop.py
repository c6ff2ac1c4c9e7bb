"""Continual backprop: a few of the least useful units are born again all the time, so that learning never ages.

S. Dohare et al., "Loss of plasticity in deep continual learning", Nature 632, 2024; first as "Continual backprop:
stochastic gradient descent with persistent randomness", arXiv 2108.06325, 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.strategies.strategy import Strategy
from engram.networks.structure.units import Joint, answers_of, bear, joints


class ContinualBackprop(Strategy):
    """The usefulness of a unit is a running average of `|h| Σ |w|`, h being its activation and w its outgoing weights.
    After each step a share `rate` of the units of a layer older than `maturity` steps, the least useful ones, get
    fresh incoming weights, and outgoing ones of 0; where that is less than one unit, it adds up over steps.

    Args:
        rate: the share of the mature units that is replaced in a step.
        maturity: steps in which a unit that was born is left alone.
        decay: of the running average.

    Raises:
        InputError: a network that is no plain stack of layers.

    >>> learner = ContinualBackprop({"name": "perceptron", "inputs": [2], "hidden": [20]}, steps=40, rate=0.01,
    ...                             maturity=10)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.born
    5
    """

    utility: dict[str, Tensor]
    age: dict[str, Tensor]
    due: dict[str, Tensor]
    born: int

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, rate: float = 1e-4, maturity: int = 100, decay: float = 0.99,
        **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        if not 0 <= rate <= 1 or maturity < 1 or not 0 <= decay < 1:
            raise InputError("rate must be in [0, 1], maturity at least 1, decay in [0, 1).")
        self.rate, self.maturity, self.decay = rate, maturity, decay
        counts = {joint.name: len(joint.layer.weight) for joint in self.joints()}
        self.register(
            utility={name: torch.zeros(count) for name, count in counts.items()},
            age={name: torch.zeros(count, dtype=torch.int64) for name, count in counts.items()},
            due={name: torch.zeros(()) for name in counts}, born=0,
        )

    def joints(self) -> list[Joint]:
        """The hidden layers, each with the next."""
        return joints(self.network, self.model.outputs)

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step on `inputs` (N, …) and `targets` (N,), after which units are born."""
        layers = self.joints()
        with answers_of(layers) as answers:
            loss = super().training_step(inputs, targets)
        for joint, answer in zip(layers, answers, strict=True):
            self.select(joint, answer)
        return loss

    @torch.no_grad()
    def select(self, joint: Joint, answers: Tensor) -> None:
        """Judge the units of a layer by their answers (N, units, places), and replace what is due."""
        name, outgoing = joint.name, joint.next.get_parameter("weight").abs()
        reach = outgoing.transpose(0, 1).reshape(answers.shape[1], -1).sum(dim=1)
        self.utility[name].lerp_(answers.abs().mean(dim=(0, 2)) * reach, 1 - self.decay)
        self.age[name] += 1
        mature = self.age[name] > self.maturity
        self.due[name] += self.rate * mature.sum()
        count = int(self.due[name])
        if count:
            ripe = self.utility[name] / (1 - self.decay ** self.age[name].float())
            which = torch.where(mature, ripe, torch.inf).argsort()[:count]
            bear(joint, which, self.optimizer)
            self.utility[name][which], self.age[name][which] = 0.0, 0
            self.due[name] -= count
            self.born += count
