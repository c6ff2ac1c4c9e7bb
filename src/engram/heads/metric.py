"""Inputs compared with class means and prototypes in the metric of the precision A, with or without an example."""

from __future__ import annotations

from copy import copy
from typing import NamedTuple

import numpy as np

from engram.heads.head import Positions
from engram.learner import FloatArray


class Centres:
    """What an input is compared with: K means given by their sums and counts.

    Attributes:
        sums: (K, D).
        counts: (K,).
        norms: (K,) μ_kᵀ A μ_k.
        starts: (C,) where the centres of each class begin; None: one for each class.
        widening: (K,) 1/(1 + 1/n).
    """

    def __init__(self, sums: FloatArray, counts: FloatArray, norms: FloatArray, starts: Positions | None) -> None:
        self.sums, self.counts, self.starts = sums, counts, starts
        self.inverse = 1.0 / np.maximum(counts, 1.0)
        self.norms = np.maximum(norms, 0.0) * np.square(self.inverse)
        self.widening = 1.0 / (1.0 + self.inverse)

    def kept(self) -> Centres:
        """The same, with arrays that no one else writes to."""
        made = copy(self)
        made.sums, made.counts = self.sums.copy(), self.counts.copy()
        return made

    def best(self, scores: FloatArray) -> FloatArray:
        """(N, C) from (N, K): the largest of each class."""
        return scores if self.starts is None else np.maximum.reduceat(scores, self.starts, axis=1)


class Comparison(NamedTuple):
    """(N, K) of inputs with centres, and (N,) xᵀAx. A centre that is not there has a product of −inf."""

    products: FloatArray  # xᵀ A μ
    norms: FloatArray  # μᵀ A μ, broadcastable to (N, K)
    own: FloatArray  # xᵀ A x
    widening: FloatArray  # 1/(1 + 1/n), broadcastable to (N, K): a mean of few examples is itself uncertain

    def cosine(self) -> FloatArray:
        """Cosine between x and μ in the metric of A; 0 for a centre at the origin."""
        scale: FloatArray = np.sqrt(np.maximum(self.own[:, None] * self.norms, 1e-300))
        return self.products / scale

    def linear(self) -> FloatArray:
        """xᵀAμ − μᵀAμ/2, the linear discriminant."""
        return self.products - 0.5 * self.norms

    def squared(self) -> FloatArray:
        """d²(x, μ) in the metric of A."""
        squared: FloatArray = np.maximum(self.own[:, None] - 2 * self.products + self.norms, 0.0)
        return squared


class Metric(NamedTuple):
    """A = base − sign · updatesᵀ updates.

    Attributes:
        base: (D, D).
        updates: (R, D).
        sign: 1 or −1.
        freedom: κ + N: A times this is the precision of a single example.
    """

    base: FloatArray
    updates: FloatArray
    sign: int
    freedom: float

    def apply(self, vectors: FloatArray) -> FloatArray:
        """Each row times A, (N, D)."""
        product: FloatArray = vectors @ self.base
        if len(self.updates):
            product -= (self.sign * (vectors @ self.updates.T)) @ self.updates
        return product

    def matrix(self) -> FloatArray:
        """A, (D, D)."""
        return self.base - self.sign * (self.updates.T @ self.updates)

    def compare(self, rows: FloatArray, centres: Centres) -> Comparison:
        """(N, D) rows with K centres."""
        moved = self.apply(rows)
        own = np.einsum("nd,nd->n", moved, rows)
        return Comparison((moved @ centres.sums.T) * centres.inverse, centres.norms[None], own, centres.widening[None])

    def compare_without(
        self, rows: FloatArray, truth: Positions, classes: Centres, centres: Centres, own: Positions
    ) -> Comparison:
        """Like `compare`, as if each row had never been taught: leave-one-out in closed form.

        Args:
            rows: (N, D) examples that were taught, each of a class with at least two.
            truth: (N,) their classes.
            classes: the class means.
            own: (N,) the centre that holds each; one that holds nothing else is left out (product −inf).
        """
        seen = self.compare(rows, centres)
        index = np.arange(len(rows))
        count = classes.counts[truth]
        means = classes.sums[truth] / count[:, None]
        moved_means = self.apply(means)
        # u = A v with v = x − μ_c: its products with the row itself, the centres, and v
        row_u = seen.own - np.einsum("nd,nd->n", moved_means, rows)
        centre_u = seen.products - (moved_means @ centres.sums.T) * centres.inverse
        v_u = np.maximum(row_u - np.einsum("nd,nd->n", moved_means, rows - means), 0.0)
        weight = count / (count - 1)
        gain = weight / np.maximum(1 - weight * v_u, 1e-9)
        products, norms = seen.products.copy(), np.broadcast_to(seen.norms, seen.products.shape).copy()
        # the centre that holds the row, without it: p' = p − (x − p)/(n − 1)
        rest = np.maximum(centres.counts[own] - 1, 1)
        p, q, u = products[index, own], norms[index, own], centre_u[index, own]
        products[index, own] = p - (seen.own - p) / rest
        norms[index, own] = q - 2 * (p - q) / rest + (seen.own - 2 * p + q) / rest**2
        centre_u[index, own] = u - (row_u - u) / rest
        products += (gain * row_u)[:, None] * centre_u
        norms = np.maximum(norms + gain[:, None] * np.square(centre_u), 0.0)
        alone = centres.counts[own] == 1
        products[index[alone], own[alone]] = -np.inf
        widening = np.broadcast_to(seen.widening, products.shape).copy()
        widening[index, own] = rest / (rest + 1)
        return Comparison(products, norms, seen.own + gain * np.square(row_u), widening)
