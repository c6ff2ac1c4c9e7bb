"""Curved functions in closed form: kernels about some of the kept examples, beside the inputs themselves.

The kernel is Gaussian; its features come from the examples with the smallest SHA-256, a sample free of order (the
method of Nyström: C. Williams, M. Seeger, "Using the Nyström method to speed up kernel machines", NIPS 2000). A ridge
regression on them is kernel ridge regression as far as the sample allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from engram.learner import FloatArray

WIDTHS = (0.5, 1.0, 2.0, 4.0)
"""Candidates for the width of the kernel, in median distances between examples."""

_STABLE = 1e-7  # of the largest eigenvalue of the kernel: what is smaller is left out
_MEDIAN_OF = 256  # examples whose distances are looked at


@dataclass(frozen=True, eq=False)
class Unit:
    """Readings in units of their own deviations, about their mean.

    Attributes:
        mean, scale: (D,); a reading that never varies has the scale 0.
    """

    mean: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, rows: FloatArray) -> Self:
        """That of (N, D) examples."""
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        varies = spread > 1e-9 * np.abs(mean)
        return cls(mean, np.where(varies, 1.0 / np.where(varies, spread, 1.0), 0.0))

    def __call__(self, rows: FloatArray) -> FloatArray:
        """(N, D) of (N, D)."""
        scaled: FloatArray = (rows - self.mean) * self.scale
        return scaled


@dataclass(frozen=True, eq=False)
class Straight:
    """The inputs themselves, in their own units: the features of a linear function."""

    unit: Unit

    def __call__(self, rows: FloatArray) -> FloatArray:
        """(N, D) features of (N, D) quantised inputs."""
        return self.unit(rows)

    def missing(self, features: FloatArray) -> FloatArray:
        """(N,) of the prior variance, what the features leave out: nothing."""
        return np.zeros(len(features))


@dataclass(frozen=True, eq=False)
class Curved:
    """The inputs, and kernels about landmarks.

    Attributes:
        unit: of the inputs.
        landmarks: (P, D) in these units.
        width: of the Gaussian, in the same.
        root: (P, R) makes features of kernel values whose products are the kernel itself.
    """

    unit: Unit
    landmarks: FloatArray
    width: float
    root: FloatArray

    @classmethod
    def about(cls, unit: Unit, landmarks: FloatArray, width: float) -> Self:
        """About (P, D) landmarks in the units of `unit`."""
        values, vectors = np.linalg.eigh(gaussian(landmarks, landmarks, width))
        kept = values > _STABLE * values[-1]
        return cls(unit, landmarks, width, vectors[:, kept] / np.sqrt(values[kept]))

    def __call__(self, rows: FloatArray) -> FloatArray:
        """(N, D + R) features of (N, D) quantised inputs."""
        scaled = self.unit(rows)
        straight = scaled / np.sqrt(scaled.shape[1])
        return np.concatenate([straight, gaussian(scaled, self.landmarks, self.width) @ self.root], axis=1)

    def missing(self, features: FloatArray) -> FloatArray:
        """(N,) of the prior variance, what (N, D + R) features leave out: all of it far from every landmark."""
        kernels = features[:, self.landmarks.shape[1] :]
        return np.asarray(np.maximum(1.0 - np.einsum("nr,nr->n", kernels, kernels), 0.0))


def median_distance(scaled: FloatArray) -> float:
    """The median distance between (N, D) inputs; 1 where they are all the same."""
    some = scaled[:_MEDIAN_OF]
    distances = squared_distances(some, some)[np.triu_indices(len(some), 1)]
    return float(np.sqrt(np.median(distances))) or 1.0 if len(distances) else 1.0


def squared_distances(one: FloatArray, two: FloatArray) -> FloatArray:
    """(N, P) squared distances between (N, D) and (P, D)."""
    lengths = np.einsum("nd,nd->n", one, one)[:, None] + np.einsum("pd,pd->p", two, two)
    return np.asarray(np.maximum(lengths - 2.0 * one @ two.T, 0.0))


def gaussian(one: FloatArray, two: FloatArray, width: float) -> FloatArray:
    """(N, P) kernel values between (N, D) and (P, D)."""
    distances = squared_distances(one, two)
    distances *= -0.5 / width**2
    return np.exp(distances, out=distances)
