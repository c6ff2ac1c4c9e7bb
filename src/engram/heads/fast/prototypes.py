"""Prototypes: a few weighted vectors for each class, merged with their counts.

Dropping what is redundant and keeping outliers gives the outliers too many votes. Merging keeps the votes: two
prototypes of one class become one while Ward's cost n_i n_j/(n_i + n_j) · d²(p_i, p_j) stays below τ v_c
(Ward 1963), where v_c is half the median squared nearest-neighbour distance between the class's single vectors.
"""

from __future__ import annotations

import numpy as np

from engram.heads.head import Positions
from engram.learner import FloatArray

TOLERANCE = 12.0
"""τ: how many times v_c two prototypes may cost and still be merged; chosen on validation data."""


def squared_distances(vectors: FloatArray, moved: FloatArray) -> FloatArray:
    """(N, N) squared distances in the metric M, from the vectors and the vectors times M."""
    gram = vectors @ moved.T
    norms = np.diagonal(gram)
    distances: FloatArray = np.maximum(norms[:, None] + norms[None] - gram - gram.T, 0.0)
    return distances


def typical_spread(distances: FloatArray) -> float:
    """v_c: half the median squared nearest-neighbour distance, over (N, N) squared distances, N ≥ 2."""
    others = distances.copy()
    np.fill_diagonal(others, np.inf)
    return 0.5 * float(np.median(others.min(axis=1)))


def merge(distances: FloatArray, counts: FloatArray, limit: float, most: int | None = None) -> Positions:
    """Ward's agglomeration of N weighted points until every merge would cost `limit` or more.

    Args:
        distances: (N, N) squared distances between the points.
        counts: (N,) their weights.
        limit: cost from which on points stay apart.
        most: merge on beyond the limit, cheapest first, until no more than this many remain.

    Returns:
        (N,) the group of each point, numbered from 0 in order of first appearance.

    >>> points = np.array([[0.0], [0.1], [5.0]])
    >>> merge(squared_distances(points, points), np.ones(3), limit=1.0)
    array([0, 0, 1])
    """
    size = len(counts)
    weights = counts.astype(np.float64).copy()
    costs = distances * (weights[:, None] * weights[None] / (weights[:, None] + weights[None]))
    np.fill_diagonal(costs, np.inf)
    nearest = costs.argmin(axis=1)
    lowest = costs[np.arange(size), nearest]
    owner = np.arange(size)
    remaining = size
    while remaining > 1:
        closest = int(lowest.argmin())
        if lowest[closest] >= limit and (most is None or remaining <= most):
            break
        keep, drop = sorted((closest, int(nearest[closest])))
        _join(costs, weights, keep, drop)
        owner[owner == drop] = keep
        nearest[keep], lowest[drop] = costs[keep].argmin(), np.inf
        lowest[keep] = costs[keep, nearest[keep]]
        _refresh(costs, nearest, lowest, keep, drop)
        remaining -= 1
    return np.unique(owner, return_inverse=True)[1].astype(np.intp)


def _join(costs: FloatArray, weights: FloatArray, keep: int, drop: int) -> None:
    """Lance and Williams' update of Ward's costs when two groups become one."""
    a, b = weights[keep], weights[drop]
    joined = (a + weights) * costs[keep] + (b + weights) * costs[drop] - weights * costs[keep, drop]
    joined /= a + b + weights
    joined[[keep, drop]] = np.inf
    costs[keep], costs[:, keep] = joined, joined
    costs[drop], costs[:, drop] = np.inf, np.inf
    weights[keep] = a + b


def _refresh(costs: FloatArray, nearest: Positions, lowest: FloatArray, keep: int, drop: int) -> None:
    """Mend the nearest neighbours of those that had one of the two, and of those now nearest to the new one."""
    lost = np.flatnonzero(((nearest == keep) | (nearest == drop)) & np.isfinite(lowest))
    lost = lost[lost != keep]
    nearest[lost] = costs[lost].argmin(axis=1)
    lowest[lost] = costs[lost, nearest[lost]]
    closer = costs[keep] < lowest
    nearest[closer], lowest[closer] = keep, costs[keep][closer]
