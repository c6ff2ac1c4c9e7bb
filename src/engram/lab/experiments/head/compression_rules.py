"""Rules that make few vectors out of a class's many, all in one metric; what `ldnn-consolidation` compares."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.heads.fast.prototypes import merge, squared_distances, typical_spread
from engram.learner import FloatArray


class Kept(NamedTuple):
    """What remains of a class: (K,) how many examples each vector stands for, and (K, D) the vectors."""

    counts: FloatArray
    vectors: FloatArray


Rule = Callable[[FloatArray, int, int], Kept]
"""(N, D) points, how many to keep, seed -> what remains."""


def everything(points: FloatArray) -> Kept:
    """All of them."""
    return Kept(np.ones(len(points)), points)


def merged(points: FloatArray, tolerance: float) -> Kept:
    """Ward's merging with counts up to a cost of `tolerance` times the typical spread; the recommended rule.

    >>> merged(np.array([[0.0], [0.1], [0.2], [9.0]]), 8.0).counts.tolist()
    [3.0, 1.0]
    """
    distances = squared_distances(points, points)
    groups = merge(distances, np.ones(len(points)), tolerance * typical_spread(distances))
    return _means(points, groups)


def outliers_kept(points: FloatArray, count: int, seed: int) -> Kept:
    """Drop the redundant, keep the outliers, to the letter: in order of arrival, a vector within a radius of one
    that is kept is dropped. The radius is the smallest that keeps no more than `count`; all have one vote."""
    del seed
    distances = squared_distances(points, points)
    low, high = 0.0, float(distances.max())
    chosen = _far_apart(distances, high)
    for _ in range(40):
        middle = 0.5 * (low + high)
        kept = _far_apart(distances, middle)
        if len(kept) > count:
            low = middle
        else:
            high, chosen = middle, kept
    return everything(points[chosen])


def k_means(points: FloatArray, count: int, seed: int) -> Kept:
    """Lloyd's k-means from k-means++ (scikit-learn), the means with their counts."""
    from sklearn.cluster import KMeans

    groups = KMeans(count, n_init=1, random_state=seed).fit(points).labels_
    return _means(points, np.asarray(groups, np.intp))


def at_random(points: FloatArray, count: int, seed: int) -> Kept:
    """Some of them."""
    return everything(points[np.random.default_rng(seed).permutation(len(points))[:count]])


def herding(points: FloatArray, count: int, seed: int) -> Kept:
    """One after another, the one that brings the mean of those chosen nearest to the class mean (Rebuffi et al.
    2017, iCaRL)."""
    del seed
    mean, total = points.mean(axis=0), np.zeros(points.shape[1])
    left = np.ones(len(points), bool)
    chosen: list[int] = []
    own = np.square(points).sum(axis=1)
    for size in range(1, count + 1):
        wanted = size * mean - total  # ‖wanted − p‖² is least
        costs = own - 2 * points @ wanted
        costs[~left] = np.inf
        best = int(costs.argmin())
        chosen.append(best)
        left[best] = False
        total += points[best]
    return everything(points[chosen])


RULES: dict[str, Rule] = {
    "drop the redundant, keep outliers": outliers_kept,
    "k-means": k_means,
    "at random": at_random,
    "herding": herding,
}


def best_prototype(classes: list[Kept], asked: FloatArray) -> npt.NDArray[np.intp]:
    """(N,) the class of the vector with the largest cosine to each asked one."""
    return _largest_cosine([kept.vectors for kept in classes], asked)


def nearest_mean(classes: list[Kept], asked: FloatArray) -> npt.NDArray[np.intp]:
    """(N,) the class with the largest cosine to each asked one, its mean made from what was kept, by counts."""
    return _largest_cosine([np.average(kept.vectors, axis=0, weights=kept.counts)[None] for kept in classes], asked)


def _largest_cosine(classes: list[FloatArray], asked: FloatArray) -> npt.NDArray[np.intp]:
    vectors = np.concatenate(classes)
    owners = np.repeat(np.arange(len(classes)), [len(each) for each in classes])
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    parts = [(asked[start : start + 1000] @ unit.T).argmax(axis=1) for start in range(0, len(asked), 1000)]
    return np.asarray(owners[np.concatenate(parts)], np.intp)


def _means(points: FloatArray, groups: npt.NDArray[np.intp]) -> Kept:
    size = int(groups.max()) + 1
    counts, sums = np.bincount(groups, minlength=size).astype(np.float64), np.zeros((size, points.shape[1]))
    np.add.at(sums, groups, points)
    full = counts > 0
    return Kept(counts[full], sums[full] / counts[full, None])


def _far_apart(distances: FloatArray, radius: float) -> list[int]:
    """In order, every point farther than the radius (squared) from all chosen before."""
    free = np.ones(len(distances), bool)
    chosen = []
    for i in range(len(distances)):
        if free[i]:
            chosen.append(i)
            free &= distances[i] > radius
    return chosen
