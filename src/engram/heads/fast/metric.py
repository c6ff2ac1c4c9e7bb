"""Inputs compared with class means and prototypes, about a common middle, in the metric of the precision A.

A cosine depends on where the origin lies. The backbone's mean m0 is the right origin for things like those that the
backbone was measured on; elsewhere all that is taught lies in one direction from it, and the cosines tell little apart.
So the origin moves towards the mean of the class means, as far as the two differ by more than chance would have it
(positive-part shrinkage: James and Stein 1961; Efron and Morris 1973).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from engram.heads.fast.one_by_one import times
from engram.heads.head import Positions
from engram.learner import FloatArray


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
        product = times(vectors, self.base)
        if len(self.updates):
            product -= times(self.sign * times(vectors, self.updates.T), self.updates)
        return product

    @property
    def largest(self) -> int:
        """Values of the larger matrix."""
        return max(self.base.size, self.updates.size)

    def matrix(self) -> FloatArray:
        """A, (D, D)."""
        return self.base - self.sign * (self.updates.T @ self.updates)

    def compare(self, rows: FloatArray, centres: Centres) -> Comparison:
        """(N, D) rows with K centres, about the middle of the centres."""
        rows = rows - centres.middle
        moved = self.apply(rows)
        products = times(moved, centres.sums.T) * centres.inverse - times(moved, centres.middle)[:, None]
        return Comparison(products, centres.norms[None], np.einsum("nd,nd->n", moved, rows), centres.widening[None])


@dataclass(frozen=True, eq=False)
class Centres:
    """What an input is compared with: K means given by their sums and counts.

    Attributes:
        sums: (K, D).
        counts: (K,).
        norms: (K,) (μ_k − m)ᵀ A (μ_k − m).
        middle: (D,) m.
        pull: how far the middle has moved from m0 to the mean of the class means, in [0, 1].
        starts: (C,) where the centres of each class begin; None: one for each class.
    """

    sums: FloatArray
    counts: FloatArray
    norms: FloatArray
    middle: FloatArray
    pull: float
    starts: Positions | None = None

    @classmethod
    def of(cls, metric: Metric, sums: FloatArray, counts: FloatArray, norms: FloatArray) -> Self:
        """The class means. `norms` are (C,) s_cᵀ A s_c."""
        middle, pull = middle_of(sums, counts)
        return cls(sums, counts, _about(metric, sums, counts, norms, middle), middle, pull)

    def beside(
        self, metric: Metric, sums: FloatArray, counts: FloatArray, norms: FloatArray, starts: Positions
    ) -> Self:
        """K other centres, (K, D) sums, (K,) counts and norms, about the same middle; those of class c begin at
        `starts[c]`.
        """
        norms = _about(metric, sums, counts, norms, self.middle)
        return replace(self, sums=sums, counts=counts, norms=norms, starts=starts)

    @cached_property
    def inverse(self) -> FloatArray:
        """(K,) 1/n."""
        return 1.0 / np.maximum(self.counts, 1.0)

    @cached_property
    def widening(self) -> FloatArray:
        """(K,) 1/(1 + 1/n): a mean of few examples is itself uncertain."""
        return 1.0 / (1.0 + self.inverse)

    def means(self) -> FloatArray:
        """(K, D) the means, from the middle."""
        return self.sums * self.inverse[:, None] - self.middle

    def kept(self) -> Self:
        """The same, with arrays that no one else writes to."""
        return replace(self, sums=self.sums.copy(), counts=self.counts.copy())

    def best(self, scores: FloatArray) -> FloatArray:
        """(N, C) from (N, K): the largest of each class."""
        return scores if self.starts is None else np.maximum.reduceat(scores, self.starts, axis=1)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Inputs compared with centres, all about the middle. A centre that is not there has a product of −inf.

    Attributes:
        products: (N, K) xᵀ A μ.
        norms: μᵀ A μ, broadcastable to (N, K).
        own: (N,) xᵀ A x.
        widening: 1/(1 + 1/n), broadcastable to (N, K).
    """

    products: FloatArray
    norms: FloatArray
    own: FloatArray
    widening: FloatArray

    @cached_property
    def cosines(self) -> FloatArray:
        """(N, K) cosines between x and μ in the metric of A; 0 for a centre at the middle."""
        squared = self.own[:, None] * self.norms
        least = np.maximum(1e-20 * squared.max(axis=1, keepdims=True, initial=0.0), 1e-300)  # below it is rounding
        cosines: FloatArray = self.products / np.sqrt(np.maximum(squared, least))
        return cosines

    def linear(self) -> FloatArray:
        """xᵀAμ − μᵀAμ/2, the linear discriminant."""
        return self.products - 0.5 * self.norms

    def distance(self) -> FloatArray:
        """d²(x, μ)/(1 + 1/n) in the metric of A."""
        squared: FloatArray = np.maximum(self.own[:, None] - 2 * self.products + self.norms, 0.0) * self.widening
        return squared


def middle_of(sums: FloatArray, counts: FloatArray) -> tuple[FloatArray, float]:
    """The origin for comparing, (D,), and how far it has moved from m0 towards the mean of the class means.

    That mean lies tr S_b / C from m0 (squared) by chance, where S_b is the spread of the class means about it.
    """
    taught = counts > 0
    classes = int(taught.sum())
    if classes < 2:
        return np.zeros(sums.shape[1]), 0.0
    inverse = np.where(taught, 1.0 / np.maximum(counts, 1.0), 0.0)
    mean = inverse @ sums / classes
    away = float(mean @ mean)
    squares = float((np.einsum("cd,cd->c", sums, sums) * inverse**2).sum())
    by_chance = max(squares - classes * away, 0.0) / ((classes - 1) * classes)
    pull = 1.0 - min(1.0, by_chance / away) if away > 0 else 0.0
    return pull * mean, pull


def _about(metric: Metric, sums: FloatArray, counts: FloatArray, norms: FloatArray, middle: FloatArray) -> FloatArray:
    """(K,) (μ − m)ᵀ A (μ − m) from sᵀ A s."""
    inverse = 1.0 / np.maximum(counts, 1.0)
    moved = metric.apply(middle[None])[0]
    about: FloatArray = norms * inverse**2 - 2.0 * (sums @ moved) * inverse + moved @ middle
    return np.maximum(about, 0.0)
