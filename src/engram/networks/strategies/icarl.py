"""iCaRL: an input gets the label whose kept examples lie nearest to it on average; the network is trained on new and
kept examples, and by its former answers.

S.-A. Rebuffi, A. Kolesnikov, G. Sperl, C. H. Lampert, "iCaRL: incremental classifier and representation learning", CVPR
2017 (arXiv 1611.07725).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import InputError, Label
from engram.networks.memory import Buffer
from engram.networks.strategies.distillation import FormerNetwork
from engram.networks.strategies.experience_replay import ExperienceReplay
from engram.networks.strategies.growing_network import GrowingNetwork, OutputLayer
from engram.networks.strategies.selection import RULES, Rule


class NearestMean(OutputLayer):
    """Answers by its weights in training mode, by the nearest mean in evaluation mode.

    Attributes:
        means: (C, width), the direction of the mean of each label's kept examples; zeros where there is none yet.

    >>> layer = NearestMean(2)
    >>> layer.grow(["up", "right"])
    ['up', 'right']
    >>> layer.means = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> layer.eval()(torch.tensor([[0.0, 7.0]]))
    tensor([[ 0., -2.]])
    """

    means: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_buffer("means", torch.zeros(0, width))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C) logits of (N, width) features; in evaluation mode the squared distances of their directions from the
        means, negative."""
        if self.training:
            return self.logits(features)
        directions = functional.normalize(features)
        return 2 * directions @ self.means.T - self.means.square().sum(dim=1) - directions.square().sum(1, keepdim=True)

    def grow(self, labels: Iterable[Label]) -> list[Label]:
        """As `OutputLayer.grow`; a new label has no mean yet."""
        new = super().grow(labels)
        self.means = torch.cat([self.means, self.means.new_zeros(len(new), self.width)])
        return new

    def resize(self, labels: Iterable[Label]) -> None:
        """As `OutputLayer.resize`; the means are to be loaded too."""
        super().resize(labels)
        self.means = self.means.new_zeros(len(self.book), self.width)


class ClassifiedByMeans(GrowingNetwork):
    """Inputs (N, …) -> logits (N, C) in training mode, distances from the means in evaluation mode."""

    layer = NearestMean


class ICaRL(ExperienceReplay):
    """Each output learns by itself whether an input is of its label: the loss is the binary cross-entropy, summed over
    the outputs. For labels that arrive now it is that with the truth, for the others that with what the network
    answered before. After training, examples of the new labels are kept, equally many of each label; and an input that
    is asked about gets the label whose kept examples have the nearest mean.

    Args:
        capacity: examples kept, of all labels together: at least one of each.
        keep: which ones: "herding" as in the paper, or another rule of `selection.RULES`.
        replayed: kept examples in each step; None: all of them are shuffled among the new ones, as in the paper.

    >>> import numpy as np
    >>> learner = ICaRL({"name": "perceptron", "inputs": [2], "hidden": [8]}, capacity=4, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.9, 0.1]], ["left", "left"])
    >>> learner.learn([[0.0, 1.0], [0.1, 0.9]], ["up", "up"])
    >>> learner.predict(np.eye(2)).labels, learner.samples_stored
    (['left', 'up'], 4)
    """

    memory: Buffer

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, capacity: int = 2000, replayed: int | None = None,
        keep: Rule = "herding", **settings: Any,
    ) -> None:
        super().__init__(network, capacity=capacity, replayed=replayed, keep=keep, **settings)
        if keep not in RULES:
            raise InputError(f"keep must be one of {', '.join(RULES)}, so that there are examples of every label.")
        self._former = FormerNetwork()
        self._arriving = torch.zeros(0, dtype=torch.bool)

    def make_model(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> GrowingNetwork:
        """The network with outputs that have means."""
        return ClassifiedByMeans(network, shape, device, dtype)

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,) and on what is kept; then keep some, and find the means."""
        self._arriving = torch.zeros(len(self.labels), dtype=torch.bool, device=self.device)
        self._arriving[targets] = True
        self._former.appoint(self.model)
        super().train(inputs, targets)
        self._former = FormerNetwork()
        self.find_means()

    def training_set(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What the passes go over: `inputs` (N, …) and `targets` (N,), and what is kept if it is not replayed apart."""
        if self.replayed is not None or not len(self.memory):
            return inputs, targets
        kept_inputs, kept_targets = self.everything_kept()
        return torch.cat([inputs, kept_inputs]), torch.cat([targets, kept_targets])

    def seen(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What a step sees: `inputs` (N, …) and `targets` (N,), and `replayed` kept ones."""
        return (inputs, targets) if self.replayed is None else super().seen(inputs, targets)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy of each output with the truth or with the former answer; `inputs` (N, …), `targets` (N,)
        """
        logits = self.model(inputs) if self.model.training else self.model.outputs.logits(self.network(inputs))
        truth = functional.one_hot(targets, len(self.labels)).to(logits.dtype)
        wanted = torch.where(self._arriving, truth, self.former(inputs).sigmoid())
        each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        if self.active == "experience":
            each = each * self.companions[targets]
        return each.sum(dim=1).mean()

    @torch.no_grad()
    def former(self, inputs: Tensor) -> Tensor:
        """The logits (N, C) that the network had for inputs (N, …) before what arrives was learned."""
        network = self._former.network
        if network is None:
            return inputs.new_zeros(len(inputs), len(self.labels))
        return network.outputs.logits(network.network(inputs))

    @torch.no_grad()
    def find_means(self) -> None:
        """The direction of the mean of the directions of each label's kept examples."""
        inputs, targets = self.everything_kept()
        directions = functional.normalize(self.features(inputs))
        sums = torch.zeros_like(self.model.outputs.weight).index_add_(0, targets, directions)
        self.model.outputs.means = functional.normalize(sums)
