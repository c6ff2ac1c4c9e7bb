"""What is usual at each place of a map, read off exact sums in closed form.

Each place has a Gaussian of its own (as in Defard, Setkov, Loesch and Audigier 2021, "PaDiM", arXiv 2011.08785), shrunk
towards what all places have in common: the posterior mean of a normal-inverse-Wishart prior whose mean and covariance
are those over all places of the label. With few pictures, or where a texture lies anyhow, the places agree; with many
pictures of a part that always lies the same way, each place has its own.

The squared distance of a place is divided by what good pictures have there. So the edge of a picture, where a network
sees less, is not called strange. The same quantities tell in closed form how strange each taught picture would have
been, had it not been taught.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from engram.heads.head import softmax
from engram.learner import FloatArray

MEAN_COUNTS, SPREAD_COUNTS, USUAL_COUNTS = 3.0, 300.0, 1.0
"""Pictures that the mean and the covariance over all places count for, and the usual distance over all places. Chosen
on `engram.lab.experiments.parts.surfaces.CHOSEN_ON`: 2 to 10, 300 and 1 do about as well."""

RIDGE = 0.01
"""Of the mean variance of a channel, added to each: a direction in which nothing varied is not infinitely strange."""


@dataclass(frozen=True, eq=False)
class PlaceGaussians:
    """The Gaussians of one label.

    Attributes:
        count: n, pictures taught.
        sums: (P, d) Σx.
        moments: (P, d, d) Σxxᵀ.
        sample: (M, P, d) taught maps, by which it judges itself.
        grid: rows and columns of the map; P in all.
    """

    count: float
    sums: FloatArray
    moments: FloatArray
    sample: FloatArray
    grid: tuple[int, int]

    @cached_property
    def _fit(self) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        """(P, d) means m, (P, d, d) inverse scatters Ψ⁻¹, (P,) usual squared distances, and the mean ln|Σ|."""
        places, channels = self.sums.shape
        n, centre = self.count, self.sums.sum(axis=0) / (self.count * places)
        about = np.einsum("pd,pe->de", self.sums, self.sums) / n if n > 1 else n * places * np.outer(centre, centre)
        common = (self.moments.sum(axis=0) - about) / (places * max(n - 1, 1))
        floor = max(float(np.trace(common)) / channels, 1.0)
        common = common + RIDGE * floor * np.eye(channels)
        weight = MEAN_COUNTS + n
        mean = (MEAN_COUNTS * centre + self.sums) / weight
        scatter = SPREAD_COUNTS * common + self.moments + MEAN_COUNTS * np.outer(centre, centre)
        scatter = scatter - weight * mean[:, :, None] * mean[:, None]
        inverse = np.linalg.inv(scatter)
        crossed = mean[:, :, None] * self.sums[:, None]
        within = self.moments - crossed - crossed.transpose(0, 2, 1) + n * mean[:, :, None] * mean[:, None]
        own = (SPREAD_COUNTS + n) / n * np.einsum("pde,pde->p", inverse, within)
        usual = np.maximum((USUAL_COUNTS * own.mean() + n * own) / (USUAL_COUNTS + n), 1e-6)
        spread = float(np.linalg.slogdet(scatter)[1].mean()) - channels * np.log(SPREAD_COUNTS + n)
        return mean, inverse, usual, spread

    def squares(self, maps: FloatArray) -> FloatArray:
        """(N, P) squared distances (κ + n) vᵀ Ψ⁻¹ v of (N, P, d) maps, v from the mean of the place."""
        mean, inverse, _, _ = self._fit
        # one by one: what is asked together gets the same bits as what is asked alone
        away = [(one - mean)[:, None] for one in maps]
        found = [((one @ inverse) * one).sum(axis=(1, 2)) for one in away]
        return (SPREAD_COUNTS + self.count) * np.stack(found)

    def score(self, squares: FloatArray) -> FloatArray:
        """(N,) mean logarithm of the density of a place: how like the label a picture is as a whole."""
        scores: FloatArray = -0.5 * (squares.mean(axis=1) + self._fit[3])
        return scores

    def strangeness(self, squares: FloatArray) -> FloatArray:
        """(N, rows, columns) ln of squared distance over what is usual there, averaged over 3 × 3 places."""
        return self._strangeness(squares / self._fit[2])

    def _strangeness(self, relative: FloatArray) -> FloatArray:
        found: FloatArray = np.log(np.maximum(averaged(relative.reshape(-1, *self.grid)), 1e-12))
        return found

    @cached_property
    def left_out(self) -> FloatArray:
        """(M, P) squared distances of the sample, each as if it had never been taught.

        Taking a map out of the posterior changes its scatter by one outer product and its mean along the same line:
        with q = vᵀΨ⁻¹v and c = N/(N − 1), N the weight of the mean, the square is (κ + n − 1) c² q / (1 − c q).
        """
        n, factor = self.count, (MEAN_COUNTS + self.count) / (MEAN_COUNTS + self.count - 1)
        inside = self.squares(self.sample) / (SPREAD_COUNTS + n)
        squares: FloatArray = (SPREAD_COUNTS + n - 1) * factor**2 * inside / (1 - factor * np.minimum(inside, 0.99))
        return squares

    @cached_property
    def worst_left_out(self) -> FloatArray:
        """(M,) strangeness of the strangest place of each map of the sample; what is usual there is without it too."""
        weight = USUAL_COUNTS + self.count
        usual = (weight * self._fit[2] - self.squares(self.sample)) / (weight - 1)
        worst: FloatArray = self._strangeness(self.left_out / np.maximum(usual, 1e-6)).max(axis=(1, 2))
        return worst

    def threshold(self, alpha: float) -> float | None:
        """How strange the strangest place of a good picture is with probability `alpha` at most; None with one picture.

        The logarithms of left-out pictures are taken to be normal; with few of them the prediction interval is wider.
        """
        worst = self.worst_left_out
        if len(worst) < 2:
            return None
        spread = float(worst.std(ddof=1) * np.sqrt(1 + 1 / len(worst)))
        return float(worst.mean()) + student_t(1 - alpha, len(worst) - 1) * spread


def averaged(maps: FloatArray) -> FloatArray:
    """(N, rows, columns) means over 3 × 3 places; beyond the edge stands the edge."""
    rows, columns = maps.shape[1:]
    wide = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    moved = [wide[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    averaged: FloatArray = np.sum(moved, axis=0) / len(moved)
    return averaged


def student_t(share: float, freedom: int) -> float:
    """The quantile of Student's t distribution: Abramowitz and Stegun 1964, 26.7.5; exact for one and two degrees.

    >>> round(student_t(0.975, 10), 2), round(student_t(0.975, 1), 2)
    (2.23, 12.71)
    """
    if freedom == 1:
        return float(np.tan(np.pi * (share - 0.5)))
    if freedom == 2:
        centred = 2 * share - 1
        return float(centred * np.sqrt(2 / (1 - centred**2)))
    x = NormalDist().inv_cdf(share)
    terms = ((x**3 + x) / 4, (5 * x**5 + 16 * x**3 + 3 * x) / 96, (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
             (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160)
    return float(x + sum(term / freedom**power for power, term in enumerate(terms, start=1)))


def told_apart(scores: FloatArray) -> FloatArray:
    """(N,) probability of the best of (N, C) labels."""
    best: FloatArray = softmax(scores).max(axis=1)
    return best
