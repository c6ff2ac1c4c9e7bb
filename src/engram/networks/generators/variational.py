"""The parts of a variational autoencoder that knows classes: the latents with their prior, and the decoder.

D. P. Kingma, M. Welling, "Auto-encoding variational Bayes", arXiv 1312.6114, 2013. A prior with a Gaussian for each
class, and gates that let a part of the units take part in each class: G. M. van de Ven, H. T. Siegelmann,
A. S. Tolias, "Brain-inspired replay for continual learning with artificial neural networks", Nature Communications
11:4069, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import InputError

PRIORS = ("normal", "class")
CONDITIONS = ("none", "class", "gates")

LEFT_OUT = 0.1
"""The variance of what the latents do not tell, where all numbers together have the variance 1. Fitted instead (Rybkin,
Daniilidis, Levine 2021), it is so large for classes that have just come that nothing is told of them, and stays so."""


class Latents(nn.Module):
    """Features (N, width) -> mean and log variance of (N, latents); and the prior that they are held near to.

    Args:
        prior: "normal": mean 0 and variance 1; "class": a Gaussian for each class, which is learned too.

    >>> latents = Latents(width=8, size=2)
    >>> mean, log_variance = latents(torch.zeros(5, 8))
    >>> latents.divergence(mean, log_variance, torch.zeros(5, dtype=torch.int64)).shape
    torch.Size([5])
    """

    def __init__(self, width: int, size: int, prior: str = "normal") -> None:
        super().__init__()
        if prior not in PRIORS or size < 1:
            raise InputError(f"prior must be one of {', '.join(PRIORS)}, and 1 latent or more.")
        self.size, self.prior = size, prior
        self.mean, self.log_variance = nn.Linear(width, size), nn.Linear(width, size)
        self.means = nn.Parameter(torch.empty(0, size))
        self.log_variances = nn.Parameter(torch.empty(0, size))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, each (N, latents)."""
        return self.mean(features), self.log_variance(features)

    def grow(self, classes: int) -> None:
        """Have a Gaussian for so many classes; new ones are drawn. The parameters are replaced."""
        new = classes - len(self.means)
        if self.prior == "class" and new > 0:
            self.means = nn.Parameter(torch.cat([self.means.detach(), torch.randn(new, self.size).to(self.means)]))
            self.log_variances = nn.Parameter(torch.cat([
                self.log_variances.detach(), self.log_variances.new_zeros(new, self.size)]))

    def widen(self, more: int) -> None:
        """Have so many latents more. The parameters are replaced."""
        for layer in (self.mean, self.log_variance):
            fresh = nn.Linear(layer.in_features, more).to(layer.weight)
            layer.weight = nn.Parameter(torch.cat([layer.weight.detach(), fresh.weight.detach()]))
            layer.bias = nn.Parameter(torch.cat([layer.bias.detach(), fresh.bias.detach()]))
            layer.out_features += more
        self.means = nn.Parameter(functional.pad(self.means.detach(), (0, more)))
        self.log_variances = nn.Parameter(functional.pad(self.log_variances.detach(), (0, more)))
        self.size += more

    def divergence(self, mean: Tensor, log_variance: Tensor, classes: Tensor) -> Tensor:
        """Kullback-Leibler divergence of each latent Gaussian from its class's prior, (N,).

        KL = ½ Σ (ln s²/v + (v + (m − p)²)/s² − 1), with mean m and variance v, the prior's mean p and variance s².
        """
        towards, spread = self._prior_of(classes, mean)
        ratio = (log_variance.exp() + (mean - towards).square()) / spread.exp()
        return (spread - log_variance + ratio - 1).sum(dim=1) / 2

    def sample(self, classes: Tensor) -> Tensor:
        """Latents (N, size) of (N,) classes, out of the prior."""
        centre, spread = self._prior_of(classes, self.mean.weight.new_zeros(len(classes), self.size))
        return centre + (spread / 2).exp() * torch.randn_like(centre)

    def _prior_of(self, classes: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        if self.prior == "normal":
            return torch.zeros_like(like), torch.zeros_like(like)
        return self.means[classes], self.log_variances[classes]


class Decoder(nn.Module):
    """Latents (N, size) and classes (N,) -> (N, width), through layers of rectified units.

    Args:
        size: of the latents.
        hidden: units of each layer.
        width: of what comes out.
        condition: how the class is told: "none"; "class": by numbers of its own, which are learned, that are added to
            the first layer; "gates": in each layer a random part of the units is shut, another for each class.
        shut: the share of units that gates shut.

    >>> decoder = Decoder(2, [16], 4, condition="gates", shut=0.25)
    >>> decoder.grow(3)
    >>> decoder(torch.zeros(5, 2), torch.tensor([0, 1, 2, 2, 1])).shape, (decoder.gates == 0).sum().item()
    (torch.Size([5, 4]), 12)
    """

    gates: Tensor

    def __init__(
        self, size: int, hidden: Sequence[int], width: int, condition: str = "none", shut: float = 0.1
    ) -> None:
        super().__init__()
        if condition not in CONDITIONS or not 0 <= shut < 1:
            raise InputError(f"condition must be one of {', '.join(CONDITIONS)}, shut a share below 1.")
        widths = [size, *hidden]
        self.condition, self.shut, self.hidden = condition, shut, list(hidden)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.out = nn.Linear(widths[-1], width)
        self.of_class = nn.Parameter(torch.empty(0, hidden[0] if condition == "class" else 0))
        self.register_buffer("gates", torch.empty(0, sum(hidden) if condition == "gates" else 0))

    def forward(self, latents: Tensor, classes: Tensor) -> Tensor:
        """(N, width), before any last function."""
        gates = torch.split(self.gates[classes], self.hidden, dim=1) if self.condition == "gates" else None
        rows = latents
        for place, layer in enumerate(self.layers):
            rows = layer(rows)
            if self.condition == "class" and not place:
                rows = rows + self.of_class[classes]
            rows = rows.relu() if gates is None else rows.relu() * gates[place]
        decoded: Tensor = self.out(rows)
        return decoded

    def grow(self, classes: int) -> None:
        """Know so many classes; numbers and gates of new ones are drawn. The parameters are replaced."""
        if self.condition == "class" and (new := classes - len(self.of_class)) > 0:
            drawn = torch.randn(new, self.hidden[0]).to(self.of_class)
            self.of_class = nn.Parameter(torch.cat([self.of_class.detach(), drawn]))
        if self.condition == "gates" and (new := classes - len(self.gates)) > 0:
            drawn = torch.cat([self._opened(new, width) for width in self.hidden], dim=1).to(self.gates)
            self.gates = torch.cat([self.gates, drawn])

    def widen(self, more: int) -> None:
        """Take so many latents more, which change nothing of what comes out yet. The parameters are replaced."""
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        first.weight = nn.Parameter(functional.pad(first.weight.detach(), (0, more)))
        first.in_features += more

    def _opened(self, classes: int, width: int) -> Tensor:
        order = torch.rand(classes, width).argsort(dim=1)
        return (order >= round(self.shut * width)).float()


def reparametrised(mean: Tensor, log_variance: Tensor) -> Tensor:
    """A sample of each Gaussian through which gradients pass (the reparametrisation of Kingma, Welling)."""
    return mean + (log_variance / 2).exp() * torch.randn_like(mean)


def reconstruction(decoded: Tensor, wanted: Tensor, likelihood: str) -> Tensor:
    """-ln p(wanted | decoded) of each row, (N,), up to a constant.

    Args:
        likelihood: "bernoulli": numbers within [0, 1], of which `decoded` are the logits; "gaussian": any numbers,
            each with the variance `LEFT_OUT`.
    """
    if likelihood == "bernoulli":
        return functional.binary_cross_entropy_with_logits(decoded, wanted, reduction="none").sum(dim=1)
    return (decoded - wanted).square().sum(dim=1) / (2 * LEFT_OUT)
