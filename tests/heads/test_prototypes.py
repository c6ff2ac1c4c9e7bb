"""Merging against scipy's Ward linkage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from engram.heads.fast.consolidation import merge, squared_distances, typical_spread


def partition(groups):
    return {frozenset(np.flatnonzero(groups == g).tolist()) for g in np.unique(groups)}


@given(st.integers(0, 10_000), st.floats(0.05, 3.0))
@settings(max_examples=60, deadline=None)
def test_merging_agrees_with_ward_linkage_cut_at_the_same_cost(seed, limit):
    points = np.random.default_rng(seed).normal(size=(25, 3))
    groups = merge(squared_distances(points, points), np.ones(25), limit)
    # scipy's Ward height h satisfies h² / 2 = n_i n_j / (n_i + n_j) d²
    expected = fcluster(linkage(points, "ward"), np.sqrt(2 * limit) * (1 - 1e-12), "distance")
    assert partition(groups) == partition(expected)


def test_weights_count_like_repeated_points():
    points = np.array([[0.0], [0.1], [1.0], [1.4]])
    distances = squared_distances(points, points)
    assert merge(distances, np.array([1.0, 1, 1, 1]), 0.1).tolist() == [0, 0, 1, 1]
    assert merge(distances, np.array([1.0, 1, 50, 50]), 0.1).tolist() == [0, 0, 1, 2]


def test_most_forces_merging_beyond_the_limit():
    points = np.arange(10.0)[:, None]
    assert len(np.unique(merge(squared_distances(points, points), np.ones(10), 0.0, most=3))) == 3


def test_typical_spread_is_half_the_median_squared_nearest_neighbour_distance():
    points = np.array([[0.0], [1.0], [3.0]])
    assert typical_spread(squared_distances(points, points)) == pytest.approx(0.5 * np.median([1, 1, 4]))
