"""The read-out: a discriminant whose covariance is the backbone's prior corrected by what was taught.

Posterior covariance Σ = (κ t S̃0 + S_w)/(κ + N); everything below works with the precision A = (κ t S̃0 + S_w)⁻¹.
New examples change S_w by rank one each. They are taken in blocks: A is held as A0 − Uᵀ diag(±1) U (Woodbury), and
U is folded into A0 when it has grown. All heavy steps are matrix products.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engram.heads.evidence import PriorTrust, fit_trust
from engram.heads.exact_sums import ExactSums
from engram.heads.head import Positions
from engram.learner import FloatArray

SHRINKAGE = 0.1
"""Share of the identity in the prior: S̃0 = 0.9 S0 + 0.1 (tr S0 / D) I."""

FIT_FROM = 30
"""Degrees of freedom from which on the evidence decides κ and t."""

_FOLD_AT = 64


class Change(NamedTuple):
    """Examples taught (sign 1) or forgotten (sign −1): (B, D) integer rows and their classes."""

    rows: FloatArray
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
            self._whiten = np.linalg.inv(np.linalg.cholesky(self.covariance))
        spectrum = np.linalg.eigvalsh(self._whiten @ sums.scatter() @ self._whiten.T)
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
        fitted_at: degrees of freedom when they were chosen.
        norms: (C,) s_cᵀ A s_c.
    """

    def __init__(
        self, sums: ExactSums, prior: Prior, trust: PriorTrust | None = None, fitted_at: int | None = None
    ) -> None:
        self.sums = sums
        self.trust = trust or prior.trust(sums)
        self.fitted_at = sums.degrees if fitted_at is None else fitted_at
        covariance = self.trust.kappa * self.trust.scale * prior.covariance + sums.scatter()
        precision = np.linalg.inv(covariance)
        self._base = 0.5 * (precision + precision.T)
        self._updates = np.empty((2 * _FOLD_AT, sums.width))
        self._signs = np.empty(2 * _FOLD_AT)
        self._rank = 0
        self.norms = self._norms(np.arange(len(sums.counts)))

    @property
    def freedom(self) -> float:
        """κ + N: A times this is the precision of a single example."""
        return self.trust.kappa + self.sums.degrees

    def apply(self, vectors: FloatArray) -> FloatArray:
        """Each row times A, (N, D)."""
        product: FloatArray = vectors @ self._base
        if self._rank:
            updates = self._updates[: self._rank]
            product -= ((vectors @ updates.T) * self._signs[: self._rank]) @ updates
        return product

    def absorb(self, changes: list[Change]) -> None:
        """Bring A and the norms up to the sums, which hold these changes already."""
        classes = np.concatenate([change.classes for change in changes])
        touched = np.unique(classes)
        self.norms = np.concatenate([self.norms, np.zeros(len(self.sums.counts) - len(self.norms))])
        for sign, directions in self.directions(changes, touched):
            for start in range(0, len(directions), _FOLD_AT):
                self.update(directions[start : start + _FOLD_AT], sign)
        self.norms[touched] = self._norms(touched)

    def directions(self, changes: list[Change], touched: Positions) -> list[tuple[int, FloatArray]]:
        """The vectors √a (x − μ) by which each run of changes of one sign moves S_w, in order."""
        sums = {int(c): self.sums.sums[c].copy() for c in touched}
        counts = {int(c): self.sums.counts[c] for c in touched}
        for change in changes:
            for row, c in zip(change.rows, change.classes.tolist(), strict=True):
                sums[c] -= change.sign * row
                counts[c] -= change.sign
        runs: list[tuple[int, list[FloatArray]]] = []
        for change in changes:
            if not runs or runs[-1][0] != change.sign:
                runs.append((change.sign, []))
            for row, c in zip(change.rows, change.classes.tolist(), strict=True):
                before, after = counts[c], counts[c] + change.sign
                if before and after:
                    weight = np.sqrt(before / after)
                    runs[-1][1].append((row - sums[c] / before) * weight)
                sums[c] += change.sign * row
                counts[c] = after
        return [(sign, np.array(run)) for sign, run in runs if run]

    def update(self, directions: FloatArray, sign: int) -> None:
        """Add (sign 1) or take away (−1) Σ v vᵀ from the scatter, for the (B, D) rows v; B at most 64."""
        moved = self.apply(directions)
        inner = np.eye(len(directions)) + sign * (directions @ moved.T)
        updates = np.linalg.solve(np.linalg.cholesky(inner), moved)
        end = self._rank + len(updates)
        self._updates[self._rank : end] = updates
        self._signs[self._rank : end] = sign
        self._rank = end
        self.norms -= sign * np.square(self.sums.sums @ updates.T).sum(axis=1)
        if self._rank > _FOLD_AT:
            self._fold()

    def cross(self, moved: FloatArray) -> FloatArray:
        """(N, C) x A μ_c from rows x A."""
        products: FloatArray = (moved @ self.sums.sums.T) / np.maximum(self.sums.counts, 1)
        return products

    def mean_norms(self) -> FloatArray:
        """(C,) μ_cᵀ A μ_c."""
        norms: FloatArray = np.maximum(self.norms, 0) / np.square(np.maximum(self.sums.counts, 1))
        return norms

    def _norms(self, classes: Positions) -> FloatArray:
        sums = self.sums.sums[classes]
        norms: FloatArray = np.einsum("cd,cd->c", self.apply(sums), sums)
        return norms

    def _fold(self) -> None:
        updates = self._updates[: self._rank]
        scaled = updates * self._signs[: self._rank, None]
        self._base -= scaled.T @ updates
        self._rank = 0
