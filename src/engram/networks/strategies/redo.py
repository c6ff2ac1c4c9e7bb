"""ReDo: units that have fallen dormant are born again.

G. Sokar, R. Agarwal, P. S. Castro, U. Evci, "The dormant neuron phenomenon in deep reinforcement learning", ICML 2023
(arXiv 2302.12902).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.strategies.strategy import Strategy
from engram.networks.structure.units import answers_of, bear, joints


class ReDo(Strategy):
    """Every so many steps, units whose mean activation over the batch is at most a share of their layer's mean get
    fresh incoming weights, and outgoing ones of 0.

    Args:
        threshold: τ, the share.
        every: steps.

    Raises:
        InputError: a network that is no plain stack of layers.

    >>> learner = ReDo({"name": "perceptron", "inputs": [2], "hidden": [20], "slope": 0.0}, steps=20, every=10)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.born > 0
    True
    """

    born: int

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, threshold: float = 0.025, every: int = 1000, **settings: Any
    ) -> None:
        super().__init__(network, **settings)
        if threshold < 0 or every < 1:
            raise InputError("threshold must be 0 or more, every at least 1.")
        self.threshold, self.every = threshold, every
        joints(self.network, self.model.outputs)
        self.register(born=0)

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step on `inputs` (N, …) and `targets` (N,), after which dormant units may be born."""
        if (self.steps_taken + 1) % self.every:
            return super().training_step(inputs, targets)
        layers = joints(self.network, self.model.outputs)
        with answers_of(layers) as answers:
            loss = super().training_step(inputs, targets)
        for joint, answer in zip(layers, answers, strict=True):
            activity = answer.abs().mean(dim=(0, 2))
            dormant = (activity <= self.threshold * activity.mean()).nonzero()[:, 0]
            if len(dormant):
                bear(joint, dormant, self.optimizer)
                self.born += len(dormant)
        return loss
