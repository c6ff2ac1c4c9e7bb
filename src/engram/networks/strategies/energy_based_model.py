"""Energy-based model (EBM): a label is one more input, and each example is told apart from a single wrong label.

S. Li, Y. Du, G. van de Ven, I. Mordatch, "Energy-based models for continual learning", 2020 (arXiv 2011.12216).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import Label
from engram.networks.strategies.growing_network import GrowingNetwork, OutputLayer
from engram.networks.strategies.networks import seeded
from engram.networks.strategies.strategy import Strategy


class EnergyLayer(OutputLayer):
    """Features (N, width) -> minus the energy of each label (N, C): the features are multiplied with the label's
    vector, its row of `weight`, and read by a hidden layer that all labels share.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.hidden = nn.Linear(width, width)
        self.energy = nn.Linear(width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Minus the energies (N, C) of (N, width) features with every label."""
        return self.paired(features, self.weight[None], self.bias)

    def of(self, features: Tensor, labels: Tensor) -> Tensor:
        """Minus the energies (N, K) of (N, width) features with (N, K) labels, by their places."""
        return self.paired(features, self.weight[labels], self.bias[labels])

    def paired(self, features: Tensor, vectors: Tensor, biases: Tensor) -> Tensor:
        """As `forward`, with the vectors (N or 1, K, width) and biases of labels."""
        scores: Tensor = self.energy(functional.leaky_relu(self.hidden(features[:, None] * vectors)))
        return scores[:, :, 0] + biases

    def grow(self, labels: Iterable[Label]) -> list[Label]:
        """As of `OutputLayer`; the vector of a new label is drawn from a normal distribution."""
        new = super().grow(labels)
        with torch.no_grad():
            self.weight[len(self.weight) - len(new):].normal_()
        return new


class EnergyNetwork(GrowingNetwork):
    """A network that judges how well an input and a label go together."""

    layer = EnergyLayer
    outputs: EnergyLayer


class EnergyBasedModel(Strategy):
    """The loss is contrastive: the cross-entropy of an example's own label against one other, drawn from those of its
    batch, or from all where the batch has no other. So labels that are not there are left in peace, and no boundary is
    needed.

    >>> learner = EnergyBasedModel({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=50,
    ...                             learning_rate=0.05)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.predict([[1.0, 0.0], [0.0, 1.0]]).labels
    ['left', 'right']
    """

    model: EnergyNetwork

    def make_model(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> EnergyNetwork:
        """A network of energies."""
        with seeded(self.seed):
            return EnergyNetwork(network, shape, device, dtype)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """How much less energy (N, …) `inputs` have with their own labels, `targets` (N,), than with others; a scalar.
        """
        others = torch.unique(targets)
        if len(others) == 1:
            others = torch.arange(len(self.labels), device=targets.device)
        features = self.model.features(inputs)
        if len(others) == 1:
            return self.model.outputs.of(features, targets[:, None]).sum() * 0.0  # nothing to tell apart yet
        places = torch.searchsorted(others, targets)
        wrong = others[(places + torch.randint(1, len(others), places.shape, device=places.device)) % len(others)]
        logits = self.model.outputs.of(features, torch.stack([targets, wrong], dim=1))
        return functional.cross_entropy(logits, torch.zeros_like(targets))
