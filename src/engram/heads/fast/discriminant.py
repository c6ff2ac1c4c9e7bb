"""The read-out: a discriminant whose covariance is the backbone's prior corrected by what was taught.

Posterior covariance Σ = (κ t S̃0 + S_w)/(κ + N); everything works with the precision A = (κ t S̃0 + S_w)⁻¹.
New examples change S_w by rank one each. They are taken in blocks: A is held as A0 ∓ Uᵀ U (Woodbury),
and U is folded into A0 when it has grown. All heavy steps are matrix products.
"""

from __future__ import annotations

from copy import copy
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.exact_sums import ExactSums
from engram.heads.fast.metric import Centres, Metric
from engram.heads.fast.shrinkage import Prior, Shrinkage
from engram.heads.head import Positions, grown
from engram.learner import FloatArray

_FOLD_AT = 128


class Change(NamedTuple):
    """Examples taught (sign 1) or forgotten (sign −1): (B, D) integer rows and their classes."""

    rows: npt.NDArray[Any]
    classes: Positions
    sign: int


class Discriminant:
    """The metric of A and the class means in it. Reads the sums it was made from, copies none.

    Attributes:
        shrinkage: κ, t and the share of S0.
        chance: the deviation of the cosine of two things that have nothing to do with each other.
        within: the squared length in A that things of one class scatter by, as the bundle has it; 0 if it does not say.
        norms: (C,) s_cᵀ A s_c.
        steps: how often A has changed since it was made.
        origin: the same for copies, which have all changes in common up to where they were made.
    """

    def __init__(self, sums: ExactSums, prior: Prior, shrinkage: Shrinkage) -> None:
        self.sums, self.shrinkage, self.chance = sums, shrinkage, prior.chance
        self.within = prior.within(shrinkage.share) / (shrinkage.kappa * shrinkage.scale)
        covariance = shrinkage.kappa * shrinkage.scale * prior.matrix(shrinkage) + sums.scatter()
        precision = np.linalg.inv(covariance)
        self._base = 0.5 * (precision + precision.T)
        self._updates = np.empty((_FOLD_AT, sums.width))
        self._rank, self._sign = 0, 1
        self.steps = 0
        self.origin = object()
        self._recent: list[tuple[int, FloatArray]] = []
        self.norms = self._norms()

    @property
    def freedom(self) -> float:
        """κ + N: A times this is the precision of a single example."""
        return self.shrinkage.kappa + self.sums.degrees

    @property
    def metric(self) -> Metric:
        """A as it is now, in arrays that no later change writes to."""
        return Metric(self._base, self._updates[: self._rank], self._sign, self.freedom)

    def copy(self, sums: ExactSums) -> Discriminant:
        """Another one, on a copy of the sums."""
        made = copy(self)
        made.sums, made.norms, made._updates = sums, self.norms.copy(), self._updates.copy()
        made._recent = list(self._recent)
        return made

    def since(self, steps: int) -> list[tuple[int, FloatArray]] | None:
        """How A has changed since there were so many steps, A ← A − sign · UᵀU for each (sign, U); None: too much."""
        behind = self.steps - steps
        if behind > len(self._recent):
            return None
        return self._recent[len(self._recent) - behind :]

    def apply(self, vectors: FloatArray) -> FloatArray:
        """Each row times A, (N, D)."""
        return self.metric.apply(vectors)

    def absorb(self, changes: list[Change]) -> None:
        """Bring A and the norms up to the sums, which hold these changes already."""
        self.norms = grown(self.norms, len(self.sums.counts))
        past = _Past(self.sums, changes)
        for change in _runs(changes):
            for rows, classes in zip(_blocks(change.rows), _blocks(change.classes), strict=True):
                self._absorb(Change(rows, classes, change.sign), past)

    def _absorb(self, change: Change, past: _Past) -> None:
        """One block of changes of one sign, in the directions √a (x − μ)."""
        directions, weights, sums, counts = past.replay(change)
        moved = self.apply(directions)
        v_v = np.einsum("bd,bd->b", directions, moved).tolist()
        s_v = np.einsum("bd,bd->b", sums, moved).tolist()
        for c, n, w, vv, sv in zip(change.classes.tolist(), counts, weights, v_v, s_v, strict=True):
            norm = self.norms[c]
            if not w:  # the first example of a class, or the last one to go
                self.norms[c] = vv if change.sign > 0 else 0.0
                continue
            # x = v/w + s/n gives (s ± x)ᵀ A (s ± x) without another product with A
            s_x, x_x = sv / w + norm / n, vv / w**2 + 2 * sv / (w * n) + norm / n**2
            self.norms[c] = norm + 2 * change.sign * s_x + x_x
        if not all(weights):
            kept = np.flatnonzero(weights)
            directions, moved = directions[kept], moved[kept]
        if len(directions):
            self._update(directions, moved, change.sign, past)

    def _update(self, directions: FloatArray, moved: FloatArray, sign: int, past: _Past) -> None:
        """Add (sign 1) or take away (−1) Σ v vᵀ from the scatter, for (B, D) rows v and v A (Woodbury)."""
        inner = sign * (directions @ moved.T)
        inner.flat[:: len(inner) + 1] += 1.0
        root = np.linalg.inv(np.linalg.cholesky(inner)) if len(inner) > 1 else inner**-0.5
        updates: FloatArray = root @ moved
        self.steps += 1
        self._recent.append((sign, updates))
        if sum(len(some) for _, some in self._recent) > self.sums.width // 4:
            self._recent = []  # whoever was behind makes all anew: it costs no more
        products = self.sums.sums @ updates.T
        products[past.classes] = past.sums @ updates.T
        self.norms -= sign * np.square(products).sum(axis=1)
        if self._rank and (self._sign != sign or self._rank + len(updates) > _FOLD_AT):
            self._fold()
        self._updates[self._rank : self._rank + len(updates)] = updates
        self._rank, self._sign = self._rank + len(updates), sign
        if self._rank == _FOLD_AT:
            self._fold()

    def classes(self) -> Centres:
        """The class means as centres."""
        return Centres.of(self.metric, self.sums.sums, self.sums.counts, self.norms)

    def prototypes(self, classes: Centres, sums: FloatArray, counts: FloatArray, starts: Positions) -> Centres:
        """P prototypes, (P, D) sums and (P,) counts, as centres about the middle of the class means; those of class c
        begin
        at `starts[c]`, (C,)."""
        norms = np.einsum("kd,kd->k", self.apply(sums), sums)
        return classes.beside(self.metric, sums, counts, norms, starts)

    def _norms(self) -> FloatArray:
        norms: FloatArray = np.einsum("cd,cd->c", self.apply(self.sums.sums), self.sums.sums)
        return norms

    def _fold(self) -> None:
        updates = self._updates[: self._rank]
        product = updates.T @ updates
        # into new arrays: a view may still read the ones there were
        change = np.subtract if self._sign > 0 else np.add
        self._base = change(self._base, product, out=product)
        self._updates, self._rank = np.empty_like(self._updates), 0


class _Past:
    """The sums of the changed classes as they were before the changes, replayed block by block."""

    def __init__(self, sums: ExactSums, changes: list[Change]) -> None:
        self.classes: Positions = np.unique(np.concatenate([change.classes for change in changes]))
        self.sums: FloatArray = sums.sums[self.classes]
        self._counts = sums.counts[self.classes].tolist()
        self._places = {c: i for i, c in enumerate(self.classes.tolist())}
        for change in changes:
            places = [self._places[c] for c in change.classes.tolist()]
            np.subtract.at(self.sums, places, change.sign * change.rows)
            for place in places:
                self._counts[place] -= change.sign

    def replay(self, change: Change) -> tuple[FloatArray, list[float], FloatArray, list[float]]:
        """For each change v = w (x − s/n), with its w, s and n before it; w is 0 and v is x where n was or gets 0."""
        directions, before = change.rows.copy(), np.empty_like(change.rows)
        weights, counts = [], []
        for i, c in enumerate(change.classes.tolist()):
            place = self._places[c]
            n = self._counts[place]
            before[i] = self.sums[place]
            weight = float(np.sqrt(n / (n + change.sign))) if n and n + change.sign else 0.0
            if weight:
                directions[i] -= before[i] / n
                directions[i] *= weight
            weights.append(weight)
            counts.append(n)
            self.sums[place] += change.sign * change.rows[i]
            self._counts[place] = n + change.sign
        return directions, weights, before, counts


def _runs(changes: list[Change]) -> list[Change]:
    """Neighbouring changes of one sign as one."""
    runs = [list(group) for _, group in groupby(changes, key=lambda change: change.sign)]
    return [
        Change(np.concatenate([c.rows for c in run]), np.concatenate([c.classes for c in run]), run[0].sign)
        for run in runs
    ]


def _blocks(array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    return [array[start : start + _FOLD_AT] for start in range(0, len(array), _FOLD_AT)]
