"""Learning without forgetting: on new examples, go on answering about the old labels as before.

Z. Li, D. Hoiem, "Learning without forgetting", ECCV 2016 (arXiv 1606.09282).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import Consolidation, InputError
from engram.networks.strategies.distillation import FormerNetwork, agreement
from engram.networks.strategies.strategy import Strategy


class LearningWithoutForgetting(Strategy):
    """The network as it was before the experience teaches its answers to the new inputs (distillation).

    The loss is w · cross-entropy + (1 − w) · T² · the cross-entropy with the former answers, both softened by T, over
    the labels known then. With `active="experience"`, over each group of labels that arrived together, and averaged.

    Args:
        temperature: T.
        weight: w of what is new; None for 1/n in the n-th experience (van de Ven, Tolias 2018, arXiv 1809.10635).
        zero_targets: the former answers also say that none of these examples has a label that is new: probability 0
            (as there; not with `active="experience"`). Else they say nothing about labels that came later.

    >>> learner = LearningWithoutForgetting({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=20)
    >>> learner.learn([1.0, 0.0], "left")
    >>> learner.consolidate().details
    {'experiences': 1}
    """

    boundaries = True
    experiences: int
    teacher: FormerNetwork
    together: Tensor  # which of the teacher's labels (columns) compete in each group (row)

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, temperature: float = 2.0, weight: float | None = None,
        zero_targets: bool = False, **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        if temperature <= 0 or (weight is not None and not 0 < weight <= 1):
            raise InputError("temperature must be above 0, weight in (0, 1] or None.")
        if zero_targets and self.active == "experience":
            raise InputError("zero_targets are for labels that compete with each other: active='all'.")
        self.temperature, self.weight, self.zero_targets = temperature, weight, zero_targets
        self.register(experiences=0, teacher=FormerNetwork(), together=torch.zeros(0, 0, dtype=torch.bool))

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy on the new labels plus distillation on the old ones, a scalar; `inputs` (N, …), `targets` (N,).
        """
        logits = self.model(inputs)
        new = functional.cross_entropy(self.competing(logits, targets), targets)
        if self.teacher.network is None:
            return new
        former = self.teacher.logits(inputs)
        groups = [competing.nonzero()[:, 0] for competing in self.together]
        if self.zero_targets:
            former = functional.pad(former, (0, logits.shape[1] - former.shape[1]), value=-torch.inf)
            groups = [torch.arange(logits.shape[1], device=logits.device)]
        old = torch.stack([agreement(logits[:, group], former[:, group], self.temperature) for group in groups])
        share = 1 / (self.experiences + 1) if self.weight is None else self.weight
        return share * new + (1 - share) * old.mean()

    def consolidate(self) -> Consolidation:
        """The network as it is now is the teacher of what comes."""
        if self.labels:
            together = self.companions if self.active == "experience" else torch.ones_like(self.companions)
            self.together = torch.unique(together, dim=0)
            self.teacher.appoint(self.model)
            self.experiences += 1
        return Consolidation(details={"experiences": self.experiences})

    def restored(self) -> None:
        """The teacher is a network like this one."""
        self.teacher.settle(self.model)
