"""What every strategy stands on: a network whose outputs grow, an optimiser and a loop.

A method fills as little as it needs:

    loss                  another loss, or a term more (regularisation, distillation, energies)
    observe               what one step sees (replay adds examples to the batch)
    project               the gradients, between backward and step
    train                 the passes over what arrived (structural change, another schedule)
    consolidate           what happens where an experience ends, or while idle
    remembered, recall    what it saves beside the network

How the network answers while it learns, is taken back where learning is interrupted, and is saved: `network_learner`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engram.learner import Consolidation, Label
from engram.networks.strategies import optimiser as optimisers
from engram.networks.strategies.network_learner import NetworkLearner


class Strategy(NetworkLearner):
    """A network that goes on learning by gradient descent: a Learner of inputs (N, ...) with labels.

    Asked while it learns, it answers from before. Where learning is interrupted (Ctrl-C, no memory), the network is
    again what it was before the call; only the optimiser's running averages start anew.

    Args:
        network: (N, ...) float32 -> (N, width) features: a module, which is copied, or the `spec` of one of `networks`.
            What is frozen in a module stays frozen: parameters with `requires_grad=False`, parts in evaluation mode,
            running statistics of normalisation layers in a part of which no parameter trains.
        epochs: passes over what one call of `learn` brings.
        batch: examples in a step.
        learning_rate, optimiser: one of `optimiser.OPTIMISERS`.
        active: the outputs that compete in the loss: all labels seen so far, or those that arrived together with the
            example's own (task-incremental learning: van de Ven, Tolias 2018, arXiv 1809.10635).
        seed: of everything random in learning; the network has its own.
        device: "cpu", "cuda" or another of PyTorch's.
        shape: of one input, where the network has no attribute `shape`.

    Raises:
        InputError: no shape; a network that does not fit it, fails when a copy of it is taught and asked, or whose
            answer to an input depends on what else is asked; or a setting that cannot be.
    """

    exact = False
    boundaries = False

    def learn(self, inputs: Any, targets: Any) -> None:
        """Learn (N, ...) inputs, or one, with a label for each.

        Raises:
            InputError, LabelError: nothing was changed. What diverged is taken back.
        """
        examples, labels = self.admitted(inputs, targets)
        with self.changing():
            self.grow(labels)
            self.train(examples, self.places(labels))

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """The loop: `epochs` passes in random order, a `batch` at a time."""
        self.whole.train()
        for _ in range(self.epochs):
            for rows in torch.split(torch.randperm(len(inputs), generator=self.generator), self.batch):
                self.observe(inputs[rows], targets[rows])
        self.require_finite()  # before a method remembers what it was taught in vain

    def observe(self, inputs: Tensor, targets: Tensor) -> None:
        """One step of descent."""
        loss = self.loss(inputs, targets)
        self.steps.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.project()
        self.steps.step()

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over the outputs that compete, a scalar."""
        return functional.cross_entropy(self.competing(self.whole(inputs), targets), targets)

    def competing(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The logits (N, C), at minus infinity where an output does not compete for the example."""
        return logits if self.active == "all" else logits.masked_fill(~self.companions[targets], -torch.inf)

    def project(self) -> None:
        """Change the gradients before the step; here they stay."""

    def consolidate(self) -> Consolidation:
        """Nothing to do between experiences unless a method says otherwise."""
        return Consolidation()

    def grow(self, labels: list[Label]) -> list[Label]:
        """Outputs for the labels that are new, which are returned; all of these arrived together."""
        new = self.whole.outputs.grow(labels)
        if new:
            old, self.steps = self.steps, self.fresh_steps()
            optimisers.carry(old, self.steps)
            self.fit_companions()
        together = self.places(list(dict.fromkeys(labels)))
        self.companions[together[:, None], together] = True
        return new

    def places(self, labels: list[Label]) -> Tensor:
        """(N,) int64: the output of each label."""
        book = self.whole.outputs.book
        return torch.from_numpy(np.fromiter(map(book.__getitem__, labels), np.int64, len(labels))).to(self.device)
