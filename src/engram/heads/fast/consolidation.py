"""Consolidation: a class's redundant examples become few weighted prototypes, its outliers stay.

Dropping what is redundant and keeping outliers gives the outliers too many votes. Merging keeps the votes: two
prototypes of one class become one while Ward's cost n_i n_j/(n_i + n_j) · d²(p_i, p_j) stays below τ v_c
(Ward 1963), where v_c is half the median squared nearest-neighbour distance between the class's single vectors.

The class sums do not change, so predictions from class means are untouched by construction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engram.heads.fast.discriminant import Discriminant
from engram.heads.fast.episodes import KEPT_PROTOTYPES, LOOSE, Episodes, EpisodicMemory
from engram.heads.head import Positions
from engram.learner import FloatArray

TOLERANCE = 12.0
"""τ: how many times v_c two prototypes may cost and still be merged; chosen on validation data."""

_CHUNK = 1024  # prototypes merged at a time: the cost is quadratic in them
_SEEDS = 64  # rows that make new prototypes at a time, where rows are let go
_PORTION = 4096  # rows compared at a time
_ROOM = 8  # beyond the budget an eighth of it is freed at once: making room is costly, and then rare

Single = npt.NDArray[np.float32]


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


def consolidate(classes: Sequence[Episodes], discriminant: Discriminant) -> list[tuple[int, int]]:
    """Merge the prototypes of each class in the metric (κ + N) A, up to the tolerance.

    Up to 1024 of a class are merged by Ward's agglomeration. Of more, a sample is, free of order; the others join those
    prototypes, and what is too far from all of them makes new ones likewise.

    Returns:
        For each class how many prototypes there were, and are.
    """
    metric = _single(discriminant) if any(episodes.prototype_count > _CHUNK for episodes in classes) else None
    done = []
    for episodes in classes:
        before = episodes.prototype_count
        if before > 1:
            limit = TOLERANCE * _spread(episodes, discriminant)
            loose = np.flatnonzero(episodes.owners == LOOSE)
            if metric is None or before <= _CHUNK:
                _seed(episodes, loose, discriminant, limit)
            else:
                by_key = episodes.smallest(len(loose), loose)
                _gather(episodes, by_key, metric, discriminant, limit, _CHUNK)
            episodes.loosen()
        done.append((before, episodes.prototype_count))
    return done


def make_room(memory: EpisodicMemory, discriminant: Discriminant, *, all_of_it: bool = False) -> None:
    """Let rows of the memory go until a good part of its budget is free, or all."""
    budget = 0 if all_of_it else memory.budget - memory.budget // _ROOM
    keep_within(memory, budget, discriminant, KEPT_PROTOTYPES)
    memory.weigh()


def keep_within(classes: Sequence[Episodes], budget: int, discriminant: Discriminant, most: int) -> None:
    """Let rows go until those of all classes take at most `budget` bytes: of the class with the most, time and again,
    the half with the largest SHA-256. They live on in up to `most` prototypes. A row that is one by itself stays.
    """
    shrinking = list(classes)
    total = sum(episodes.rows.nbytes for episodes in classes)
    metric = _single(discriminant)
    while total > budget and shrinking:
        largest = max(shrinking, key=lambda episodes: len(episodes.rows))
        before = largest.rows.nbytes
        let_go(largest, len(largest.rows) // 2, metric, discriminant, most)
        total += largest.rows.nbytes - before
        if largest.rows.nbytes == before:
            shrinking.remove(largest)


def let_go(episodes: Episodes, keep: int, metric: Single, discriminant: Discriminant, most: int) -> None:
    """Let go of all rows of a class but the `keep` with the smallest SHA-256, once each belongs to a prototype.

    Args:
        metric: (D, D) float32, what distances are measured in.
        most: prototypes that the class may have.
    """
    going = np.ones(len(episodes.rows), bool)
    going[episodes.smallest(keep)] = False
    limit = TOLERANCE * _spread(episodes, discriminant, _CHUNK // 2) if len(going) > 1 else 0.0
    while len(episodes.counts) > most:  # a consolidation may have left more
        _reduce(episodes, discriminant, limit, most)
    left = episodes.smallest(len(going), np.flatnonzero(going & (episodes.owners == LOOSE)))
    _gather(episodes, left, metric, discriminant, limit, _SEEDS, most)
    episodes.loosen()
    episodes.fold(going & (episodes.owners != LOOSE))


def _gather(
    episodes: Episodes,
    left: Positions,
    metric: Single,
    discriminant: Discriminant,
    limit: float,
    seeds: int,
    most: int | None = None,
) -> None:
    """Add loose rows to the prototypes: a row to the nearest where Ward's cost is within the limit. Where none is, so
    many `seeds` at a time make new ones, until there are `most`; then the nearest takes all.
    """
    while len(left):
        if len(episodes.counts):
            nearest, costs = _nearest(episodes, left, metric)
            near = costs < limit
            if most is not None and len(episodes.counts) >= most:
                near[:] = True
            if near.any():
                episodes.join(left[near], nearest[near])
            left = left[~near]
        if len(left):
            _seed(episodes, left[:seeds], discriminant, limit, most)
            left = left[seeds:]


def _nearest(episodes: Episodes, places: Positions, metric: Single) -> tuple[Positions, FloatArray]:
    """For each row the merged prototype that could take it at the least cost, and that cost, in single precision."""
    means = episodes.sums / episodes.counts[:, None]
    middle = means.mean(axis=0)  # as origin: nearer numbers lose fewer digits
    targets = (means - middle).astype(np.float32)
    moved = targets @ metric
    norms = np.einsum("pd,pd->p", moved, targets)
    weights = (episodes.counts / (episodes.counts + 1)).astype(np.float32)
    nearest, costs = np.empty(len(places), np.intp), np.empty(len(places))
    for start in range(0, len(places), _PORTION):
        some = slice(start, start + _PORTION)
        rows = (episodes.rows[places[some]] - middle).astype(np.float32)
        own = np.einsum("nd,nd->n", rows @ metric, rows)
        cost = (own[:, None] - 2 * (rows @ moved.T) + norms) * weights
        nearest[some] = cost.argmin(axis=1)
        costs[some] = cost[np.arange(len(rows)), nearest[some]]
    return nearest, costs


def _reduce(episodes: Episodes, discriminant: Discriminant, limit: float, most: int) -> None:
    """Merge the first of too many prototypes down to `most`."""
    some = min(len(episodes.counts), _CHUNK)
    means = episodes.sums[:some] / episodes.counts[:some, None]
    first = merge(_distances(means, discriminant), episodes.counts[:some], limit, most)
    groups = np.concatenate([first, first.max() + 1 + np.arange(len(episodes.counts) - some)])
    episodes.unite(groups, episodes.counts, episodes.sums, np.zeros(0, np.intp))


def _seed(
    episodes: Episodes, places: Positions, discriminant: Discriminant, limit: float, most: int | None = None
) -> None:
    """Merge the prototypes and some loose rows as Ward has it, beyond the limit down to `most` if given."""
    counts = np.concatenate([episodes.counts, np.ones(len(places))])
    sums = np.concatenate([episodes.sums, episodes.rows[places].astype(np.float64)])
    distances = _distances(sums / counts[:, None], discriminant)
    episodes.unite(merge(distances, counts, limit, most), counts, sums, places)


def _spread(episodes: Episodes, discriminant: Discriminant, sample: int = _CHUNK) -> float:
    """v_c of a class, made at its first consolidation from a sample of its rows, or its prototypes."""
    if episodes.spread is None:
        points = episodes.rows[episodes.smallest(sample)].astype(np.float64)
        if len(points) < 2:
            counts, sums = episodes.prototypes()
            points = (sums / counts[:, None])[:_CHUNK]
        episodes.spread = typical_spread(_distances(points, discriminant))
    return episodes.spread


def _single(discriminant: Discriminant) -> Single:
    """(D, D) the metric (κ + N) A in single precision."""
    metric = discriminant.metric
    return (metric.matrix() * metric.freedom).astype(np.float32)


def _distances(points: FloatArray, discriminant: Discriminant) -> FloatArray:
    return squared_distances(points, discriminant.apply(points)) * discriminant.freedom
