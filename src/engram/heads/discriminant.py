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

from engram.heads.evidence import PriorTrust, fit_trust
from engram.heads.exact_sums import ExactSums
from engram.heads.head import Positions, grown
from engram.heads.metric import Centres, Comparison, Metric
from engram.learner import FloatArray

SHRINKAGE = 0.1
"""Share of the identity in the prior: S̃0 = 0.9 S0 + 0.1 (tr S0 / D) I."""

FIT_FROM = 30
"""Degrees of freedom from which on the evidence decides κ and t."""

_FOLD_AT = 128


class Change(NamedTuple):
    """Examples taught (sign 1) or forgotten (sign −1): (B, D) integer rows and their classes."""

    rows: npt.NDArray[Any]
    classes: Positions
    sign: int


class Prior:
    """S̃0 in quantised units, or, where the bundle ships no statistics, the identity scaled to the data.

    Args:
        covariance: (D, D) within-class covariance S0 in quantised units, or None.
    """

    def __init__(self, width: int, covariance: FloatArray | None = None) -> None:
        self.shipped = covariance is not None
        if covariance is None:
            self.covariance = np.eye(width)
        else:
            spread = np.trace(covariance) / width
            self.covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * spread * np.eye(width)
        self._whiten: FloatArray | None = None

    def trust(self, sums: ExactSums) -> PriorTrust:
        """κ and t for these sums: by evidence from `FIT_FROM` degrees of freedom on."""
        if sums.degrees < FIT_FROM:
            return PriorTrust(scale=1.0 if self.shipped else self._scale(sums))
        if self._whiten is None:
            self._whiten = np.asarray(np.linalg.inv(np.linalg.cholesky(self.covariance)), np.float64)
        relative: FloatArray = self._whiten @ sums.scatter() @ self._whiten.T
        spectrum = np.asarray(np.linalg.eigvalsh(relative), np.float64)
        return fit_trust(spectrum, sums.degrees)

    @staticmethod
    def _scale(sums: ExactSums) -> float:
        """Mean variance within classes; before any class has two examples, half the second moment."""
        if sums.degrees and np.trace(sums.scatter()) > 0:
            return float(np.trace(sums.scatter()) / (sums.degrees * sums.width))
        moment = float(np.trace(sums.gram()))
        return 0.5 * moment / (sums.total * sums.width) if moment else 1.0


class Discriminant:
    """Scores against the class means in the metric of A. Reads the sums it was made from, copies none.

    Attributes:
        trust: the κ and t in force.
        norms: (C,) s_cᵀ A s_c.
    """

    def __init__(self, sums: ExactSums, prior: Prior, trust: PriorTrust | None = None) -> None:
        self.sums = sums
        self.trust = trust or prior.trust(sums)
        covariance = self.trust.kappa * self.trust.scale * prior.covariance + sums.scatter()
        precision = np.linalg.inv(covariance)
        self._base = 0.5 * (precision + precision.T)
        self._updates = np.empty((_FOLD_AT, sums.width))
        self._rank, self._sign = 0, 1
        self.norms = self._norms()

    @property
    def freedom(self) -> float:
        """κ + N: A times this is the precision of a single example."""
        return self.trust.kappa + self.sums.degrees

    @property
    def metric(self) -> Metric:
        """A as it is now, in arrays that no later change writes to."""
        return Metric(self._base, self._updates[: self._rank], self._sign, self.freedom)

    def copy(self, sums: ExactSums) -> Discriminant:
        """Another one, on a copy of the sums."""
        made = copy(self)
        made.sums, made.norms, made._updates = sums, self.norms.copy(), self._updates.copy()
        return made

    def apply(self, vectors: FloatArray) -> FloatArray:
        """Each row times A, (N, D)."""
        return self.metric.apply(vectors)

    def compare(self, rows: FloatArray, centres: Centres) -> Comparison:
        """(N, D) rows with K centres."""
        return self.metric.compare(rows, centres)

    def compare_without(
        self, rows: FloatArray, truth: Positions, centres: Centres, own: Positions
    ) -> Comparison:
        """Like `compare`, as if each row had never been taught; see `Metric.compare_without`."""
        return self.metric.compare_without(rows, truth, self.classes(), centres, own)

    def absorb(self, changes: list[Change]) -> list[tuple[int, FloatArray]]:
        """Bring A and the norms up to the sums, which hold these changes already.

        Returns:
            The steps by which the scatter moved, (sign, directions) each.
        """
        self.norms = grown(self.norms, len(self.sums.counts))
        past = _Past(self.sums, changes)
        return [
            (change.sign, self._absorb(Change(rows, classes, change.sign), past))
            for change in _runs(changes)
            for rows, classes in zip(_blocks(change.rows), _blocks(change.classes), strict=True)
        ]

    def _absorb(self, change: Change, past: _Past) -> FloatArray:
        """One block of changes of one sign; returns its directions √a (x − μ)."""
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
        return directions

    def _update(self, directions: FloatArray, moved: FloatArray, sign: int, past: _Past | None) -> None:
        """Add (sign 1) or take away (−1) Σ v vᵀ from the scatter, for (B, D) rows v and v A (Woodbury)."""
        inner = sign * (directions @ moved.T)
        inner.flat[:: len(inner) + 1] += 1.0
        root = np.linalg.inv(np.linalg.cholesky(inner)) if len(inner) > 1 else inner**-0.5
        updates: FloatArray = root @ moved
        if past:
            products = self.sums.sums @ updates.T
            products[past.classes] = past.sums @ updates.T
            self.norms -= sign * np.square(products).sum(axis=1)
        if self._rank and (self._sign != sign or self._rank + len(updates) > _FOLD_AT):
            self._fold()
        self._updates[self._rank : self._rank + len(updates)] = updates
        self._rank, self._sign = self._rank + len(updates), sign
        if self._rank == _FOLD_AT:
            self._fold()

    def moved_by(self, steps: list[tuple[int, FloatArray]]) -> Discriminant:
        """Take in the steps by which the sums have moved on since it was made."""
        for sign, directions in steps:
            if len(directions):
                self._update(directions, self.apply(directions), sign, None)
        self.norms = self._norms()
        return self

    def classes(self) -> Centres:
        """The class means as centres."""
        return Centres(self.sums.sums, self.sums.counts, self.norms, None)

    def centres(self, sums: FloatArray, counts: FloatArray, starts: Positions) -> Centres:
        """Prototypes as centres; those of class c begin at `starts[c]`."""
        return Centres(sums, counts, np.einsum("kd,kd->k", self.apply(sums), sums), starts)

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
