"""Consolidation: a class's redundant examples become few weighted prototypes, its outliers stay.

The class sums do not change, so predictions from class means are untouched by construction.
"""

from __future__ import annotations

import numpy as np

from engram.heads.discriminant import Discriminant
from engram.heads.episodes import Episodes
from engram.heads.head import Positions
from engram.heads.prototypes import TOLERANCE, merge, squared_distances, typical_spread
from engram.learner import FloatArray

_CHUNK = 1024  # prototypes merged at a time: the cost is quadratic in them


def consolidate_class(episodes: Episodes, discriminant: Discriminant, most: int | None = None) -> tuple[int, int]:
    """Merge one class's prototypes in the metric (κ + N) A, beyond the tolerance down to `most` if given.

    Returns:
        How many prototypes there were, and are.
    """
    counts, sums = episodes.prototypes()
    before = len(counts)
    if before < 2:
        return before, before
    if episodes.spread is None:
        episodes.spread = _spread(sums, counts, discriminant)
    groups = np.arange(before)
    merged = len(episodes.counts)
    for end in range(min(merged + _CHUNK, before), before + _CHUNK, _CHUNK):
        end = min(end, before)
        groups = _merge_among(np.unique(groups[:end]), groups, counts, sums, discriminant, episodes.spread, most)
    episodes.regroup(np.unique(groups, return_inverse=True)[1].astype(np.intp), counts, sums)
    return before, episodes.prototype_count


def keep_within(classes: list[Episodes], budget: int, discriminant: Discriminant, most: int) -> None:
    """Let rows go until those of all classes take at most `budget` bytes: of the class with the most, time and again,
    half of what remains when it is consolidated down to `most` prototypes. A row that is a prototype of its own stays.
    """
    shrinking = list(classes)
    total = sum(episodes.rows.nbytes for episodes in classes)
    while total > budget and shrinking:
        largest = max(shrinking, key=lambda episodes: len(episodes.rows))
        before = largest.rows.nbytes
        consolidate_class(largest, discriminant, most)
        largest.fold(len(largest.rows) // 2)
        total += largest.rows.nbytes - before
        if largest.rows.nbytes == before:
            shrinking.remove(largest)


def _merge_among(
    chosen: Positions,
    groups: Positions,
    counts: FloatArray,
    sums: FloatArray,
    discriminant: Discriminant,
    spread: float,
    most: int | None,
) -> Positions:
    """Merge the chosen groups of prototypes further; a group goes by its first member's number."""
    place = np.full(len(groups), -1)
    place[chosen] = np.arange(len(chosen))
    members = place[groups] >= 0
    group_counts, group_sums = np.zeros(len(chosen)), np.zeros((len(chosen), sums.shape[1]))
    np.add.at(group_counts, place[groups[members]], counts[members])
    np.add.at(group_sums, place[groups[members]], sums[members])
    means = group_sums / group_counts[:, None]
    distances = squared_distances(means, discriminant.apply(means)) * discriminant.freedom
    joined = merge(distances, group_counts, TOLERANCE * spread, most)
    first = np.full(joined.max() + 1, len(groups))
    np.minimum.at(first, joined, chosen)
    result = groups.copy()
    result[members] = first[joined[place[groups[members]]]]
    return result


def _spread(sums: FloatArray, counts: FloatArray, discriminant: Discriminant) -> float:
    """v_c from single vectors, at most a chunk of them; from all prototypes where singles are too few."""
    singles = sums[counts == 1][:_CHUNK]
    points = singles if len(singles) > 1 else (sums / counts[:, None])[:_CHUNK]
    return typical_spread(squared_distances(points, discriminant.apply(points)) * discriminant.freedom)
