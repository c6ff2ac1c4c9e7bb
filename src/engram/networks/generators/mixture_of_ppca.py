"""Mixtures of probabilistic principal component analysers: each class is a few Gaussians whose covariance is a
subspace and noise of one strength in all other directions.

M. E. Tipping, C. M. Bishop, "Mixtures of probabilistic principal component analyzers", Neural Computation 11(2), 1999;
one analyser in closed form: "Probabilistic principal component analysis", J. R. Stat. Soc. B 61(3), 1999.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engram.learner import InputError
from engram.networks.generators.generative_model import GenerativeModel

OVERSAMPLED = 10
"""Directions more than asked for that the randomised decomposition takes (Halko, Martinsson, Tropp 2011)."""

FLOOR = 1e-6
"""The least variance of the noise, as a share of the mean variance of an input's numbers."""

ROWS_FOR_A_NUMBER = 20
"""Of a label that comes again, so many rows are drawn for each direction of each of its analysers."""

ROUNDS_OF_MEANS = 10
"""Of k-means, which the mixture starts from."""


class MixtureOfPPCA(GenerativeModel):
    """For each label a mixture of probabilistic principal component analysers.

    Takes components · (D · (factors + 1) + 2) numbers for each label. Where a label comes again, its mixture is fitted
    anew, to what arrived and as many of its own draws as stand for what came before.

    Args:
        components: analysers for each label; 1 is fitted in closed form.
        factors: directions of each.
        rounds: of expectation-maximisation, with more than one analyser.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> model, inputs = MixtureOfPPCA(factors=2), np.random.default_rng(1).normal(size=(200, 3, 2))
    >>> model.add(rng, inputs + [5, 9], np.repeat([0, 4], 100))
    >>> drawn = model.draw(500, rng, labels=[4])
    >>> drawn.inputs.shape, set(drawn.targets.tolist()), drawn.inputs.mean(axis=(0, 1)).round().tolist()
    ((500, 3, 2), {4}, [5.0, 9.0])
    """

    def __init__(self, components: int = 1, factors: int = 30, rounds: int = 10) -> None:
        super().__init__()
        if min(components, factors + 1, rounds) < 1:
            raise InputError("components and rounds must be 1 or more, factors 0 or more.")
        self.components, self.factors, self.rounds = components, factors, rounds
        self.mixtures: dict[int, Mixture] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return {"components": self.components, "factors": self.factors, "rounds": self.rounds}

    def learn(self, rows: Tensor, targets: Tensor) -> None:
        """Fit the mixture of each label that is among (N,) targets to (N, D) rows."""
        for place in torch.unique(targets).tolist():
            own = rows[targets == place]
            weights = torch.ones(len(own), device=own.device)
            if place in self.mixtures:
                known = self.components * (self.factors + 1) * ROWS_FOR_A_NUMBER
                weights = torch.cat([weights, weights.new_full((known,), self.seen[place] / known)])
                own = torch.cat([own, self.mixtures[place].sample(known)])
            self.mixtures[place] = fit(own, self.components, self.factors, self.rounds, weights)

    def sample(self, targets: Tensor) -> Tensor:
        """A row for each of (N,) targets, (N, D)."""
        rows = torch.empty(len(targets), self.width, device=self.device)
        for place in torch.unique(targets).tolist():
            own = targets == place
            rows[own] = self.mixtures[place].sample(int(own.sum()))
        return rows

    def leave_out(self, labels: Collection[int]) -> None:
        """Their mixtures are gone."""
        for place in labels:
            self.mixtures.pop(place, None)

    def tensors(self) -> dict[str, Tensor]:
        """Shares, means, factors and noise of every label."""
        return {f"{place}.{name}": tensor
                for place, mixture in self.mixtures.items() for name, tensor in mixture._asdict().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave.

        Raises:
            KeyError, ValueError: a mixture is missing, or does not fit these inputs.
        """
        mixtures = {place: Mixture(*(tensors[f"{place}.{name}"] for name in Mixture._fields)) for place in self.seen}
        for mixture in mixtures.values():
            shares, means, factors, noise = mixture
            count = len(shares)
            fits = means.shape == (count, self.width) and noise.shape == (count,) and factors.ndim == 3
            if not fits or factors.shape[:2] != means.shape or bool((shares < 0).any()) or bool((noise <= 0).any()):
                raise ValueError(f"a mixture of {count} that does not fit inputs {self.shape}")
        self.mixtures = mixtures


class Mixture(NamedTuple):
    """K analysers of D numbers with q factors each: p(x) = Σ πₖ N(x; μₖ, WₖWₖᵀ + σₖ²I).

    Attributes:
        shares: π, (K,).
        means: μ, (K, D).
        factors: W, (K, D, q).
        noise: σ², (K,).
    """

    shares: Tensor
    means: Tensor
    factors: Tensor
    noise: Tensor

    def log_densities(self, rows: Tensor) -> Tensor:
        """ln πₖ N(x; μₖ, Cₖ) of (N, D) rows: (N, K)."""
        return torch.stack([self._log_density(rows, place) for place in range(len(self.shares))], dim=1)

    def log_likelihood(self, rows: Tensor) -> Tensor:
        """ln p(x) of (N, D) rows: (N,)."""
        return self.log_densities(rows).logsumexp(dim=1)

    def sample(self, count: int) -> Tensor:
        """(count, D) rows of the mixture, from PyTorch's generator of random numbers."""
        chosen = torch.multinomial(self.shares, count, replacement=True)
        rows = self.means[chosen]
        for place in range(len(self.shares)):
            own = chosen == place
            factors = self.factors[place]
            rows[own] += torch.randn(int(own.sum()), factors.shape[1]).to(rows) @ factors.T
        return rows + self.noise[chosen, None].sqrt() * torch.randn_like(rows)

    def _log_density(self, rows: Tensor, place: int) -> Tensor:
        """By the inverse and determinant of q × q numbers: C⁻¹ = (I − W M⁻¹ Wᵀ)/σ², M = WᵀW + σ²I."""
        factors, noise = self.factors[place], self.noise[place]
        size, count = factors.shape
        inner = torch.linalg.cholesky(factors.T @ factors + noise * torch.eye(count, device=rows.device))
        away = rows - self.means[place]
        along = torch.linalg.solve_triangular(inner, (away @ factors).T, upper=False)
        distance = (away.square().sum(1) - along.square().sum(0)) / noise
        log_determinant = (size - count) * noise.log() + 2 * inner.diagonal().log().sum()
        found: Tensor = self.shares[place].log() - (distance + log_determinant + size * math.log(2 * math.pi)) / 2
        return found


@torch.no_grad()
def fit(
    rows: Tensor, components: int = 1, factors: int = 10, rounds: int = 10, weights: Tensor | None = None
) -> Mixture:
    """The mixture of greatest likelihood: in closed form for one analyser; for more, by expectation-maximisation from
    k-means, where each analyser of a round is the closed form of the rows it answers for.

    Args:
        rows: (N, D).
        components: K at most: every analyser starts from two rows or more.
        factors: q, fewer than D.
        rounds: of expectation-maximisation.
        weights: (N,), how often each row counts; None for once.

    >>> rows = torch.tensor([[0.0, 1.0], [0.0, -1.0], [2.0, 3.0], [2.0, 1.0]])
    >>> found = fit(rows, factors=1)
    >>> found.means.tolist(), found.noise.item() < (found.factors**2).sum().item()
    ([[1.0, 1.0]], True)
    """
    counts = torch.ones(len(rows), device=rows.device) if weights is None else weights
    least = FLOOR * float(rows.var(dim=0, correction=0).mean()) + torch.finfo(rows.dtype).tiny ** 0.5
    factors = max(0, min(factors, rows.shape[1] - 1))
    answers = _nearest(rows, max(1, min(components, len(rows) // 2)))
    mixture = _maximised(rows, answers * counts[:, None], factors, least)
    for _ in range(rounds if answers.shape[1] > 1 else 0):
        answers = mixture.log_densities(rows).softmax(dim=1)
        mixture = _maximised(rows, answers * counts[:, None], factors, least)
    return mixture


def _nearest(rows: Tensor, count: int) -> Tensor:
    """(N, count) of 0 and 1: the nearest mean, by k-means from rows far apart (Arthur, Vassilvitskii 2007)."""
    means = rows[torch.randint(len(rows), (1,))]
    while len(means) < count:
        distance = torch.cdist(rows, means).amin(dim=1).square()
        drawn = torch.multinomial(distance, 1) if bool(distance.sum() > 0) else torch.randint(len(rows), (1,))
        means = torch.cat([means, rows[drawn]])
    for _ in range(ROUNDS_OF_MEANS if count > 1 else 1):
        owned = torch.nn.functional.one_hot(torch.cdist(rows, means).argmin(dim=1), count).to(rows.dtype)
        total = owned.sum(dim=0)[:, None]
        means = torch.where(total > 0, owned.T @ rows / total.clamp(min=1), means)
    return owned[:, owned.sum(dim=0) > 0]


def _maximised(rows: Tensor, answers: Tensor, factors: int, least: float) -> Mixture:
    """Each analyser in closed form, from the (N, K) shares in which it answers for the rows."""
    answers = answers[:, answers.sum(dim=0) > 1e-3]  # an analyser that answers for nothing is gone
    parts = [_analysed(rows, own, factors, least) for own in answers.T]
    return Mixture(answers.sum(dim=0) / answers.sum(), *(torch.stack(column) for column in zip(*parts, strict=True)))


def _analysed(rows: Tensor, weights: Tensor, factors: int, least: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (D,), factors (D, q) and noise of greatest likelihood: the leading eigenvectors of the covariance, and the
    mean of the other eigenvalues."""
    own = weights > 1e-4 * weights.max()
    rows, weights = rows[own], weights[own]
    share = weights / weights.sum()
    mean = share @ rows
    away = share.sqrt()[:, None] * (rows - mean)
    size = rows.shape[1]
    if not factors:
        return mean, away.new_zeros(size, 0), (away.square().sum() / size).clamp(min=least)
    taken = min(factors + OVERSAMPLED, *away.shape)  # fewer rows have fewer directions; the others stay 0
    _, roots, directions = torch.svd_lowrank(away, q=taken, niter=2)
    roots, directions = roots[:factors].square(), directions[:, :factors]
    noise = ((away.square().sum() - roots.sum()) / (size - len(roots))).clamp(min=least)
    found = away.new_zeros(size, factors)
    found[:, : len(roots)] = directions * (roots - noise).clamp(min=0).sqrt()
    return mean, found, noise
