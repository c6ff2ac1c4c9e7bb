"""The examples that a head judges itself by: some of each class, one of each group of near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engram.heads.fast.episodes import Episodes, Rows
from engram.heads.fast.near_duplicates import FEW, FRAMES, WITHIN, Neighbours, reach_between, share_of_reach
from engram.heads.head import Positions
from engram.learner import FloatArray

PER_CLASS = 64
ALTOGETHER = 640
_FOR_REACH = 128  # examples that tell how far apart classes are


class Sample(NamedTuple):
    """Examples of every class, each for a group of near-duplicates.

    It is a function of which examples are kept, and of nothing else: those of the smallest SHA-256 are taken.

    Attributes:
        rows: (M, D) quantised examples.
        truth: (M,) their classes.
        places: (M,) where their class keeps them.
        means: (M, D) the mean of each one's group.
        sizes: (M,) examples in the group; as many as the class has, where nothing would be left without it.
        groups: (C,) how many groups each class has.
    """

    rows: FloatArray
    truth: Positions
    places: Positions
    means: FloatArray
    sizes: FloatArray
    groups: FloatArray

    @property
    def single(self) -> bool:
        """Whether every group is one example."""
        return bool((self.sizes == 1.0).all())


class Sampler:
    """Makes samples; what it knows of a class is made anew only where the class has changed.

    Args:
        near: whether examples can be near-duplicates without being equal: features of a network, not raw readings.
        usual: the mean squared distance within a class that the bundle measured, or infinity.
    """

    def __init__(self, near: bool, usual: float) -> None:
        self._near, self._usual = near, usual
        self._known: dict[int, _Known] = {}  # by the address of a class's rows, which copies share

    def sample(self, classes: Sequence[Episodes], counts: FloatArray) -> Sample:
        """Up to 64 examples of each class and 640 in all.

        Args:
            counts: (C,) how many examples each class was taught, kept or not.
        """
        taught = np.flatnonzero(counts > 0)
        if len(taught) > ALTOGETHER:  # very many classes: an even choice of them
            taught = taught[np.linspace(0, len(taught) - 1, ALTOGETHER).astype(np.intp)]
        most = int(np.clip(ALTOGETHER // max(len(taught), 1), 1, PER_CLASS))
        found = {place: self._neighbours(classes[place], most) for place in taught.tolist() if len(classes[place].rows)}
        there = {_address(classes[place].rows) for place in found}
        self._known = {address: known for address, known in self._known.items() if address in there}
        near = share_of_reach(classes[0].width) if self._near and found else 0.0
        between = min(self._between(classes, found), FRAMES * self._usual) if near else 0.0
        groups = np.where(counts > 0, 1.0, 0.0)
        parts = []
        for place, neighbours in found.items():
            reach = near * max(WITHIN * neighbours.typical, between)
            if near and len(neighbours.candidates) <= FEW and np.isfinite(self._usual):
                reach = max(reach, near * FRAMES * self._usual)
            first, members = neighbours.groups(reach)
            share = counts[place] / len(neighbours.candidates)
            sizes = np.minimum(np.array([len(some) for some in members]) * share, counts[place])
            groups[place] = max(1.0, _distinct(neighbours, reach) * counts[place])
            kept = classes[place].rows
            rows = kept[neighbours.chosen[first]].astype(np.float64)
            means = rows.copy()
            for i, some in enumerate(members):
                if len(some) > 1:
                    means[i] = kept[neighbours.candidates[some]].mean(axis=0)
            parts.append(Sample(
                rows, np.full(len(first), place), neighbours.chosen[first], means, sizes, groups
            ))
        return _joined(parts, groups, classes[0].width if classes else 0)

    def _neighbours(self, episodes: Episodes, most: int) -> Neighbours:
        address = _address(episodes.rows)
        known = self._known.get(address)
        if known is None or len(known.rows) != len(episodes.rows) or known.most != most:
            self._known[address] = known = _Known(episodes.rows, most, Neighbours.of(episodes, most))
        return known.neighbours

    @staticmethod
    def _between(classes: Sequence[Episodes], found: dict[int, Neighbours]) -> float:
        few = max(1, _FOR_REACH // max(len(found), 1))
        chosen = [(place, neighbours.chosen[:few]) for place, neighbours in list(found.items())[:_FOR_REACH]]
        if not chosen:
            return 0.0
        rows = np.concatenate([classes[place].rows[some] for place, some in chosen]).astype(np.float64)
        return reach_between(rows, np.concatenate([np.full(len(some), place) for place, some in chosen]))


class _Known(NamedTuple):
    """Of rows that are only ever appended to; holding them keeps their address their own."""

    rows: Rows
    most: int
    neighbours: Neighbours


def _address(rows: Rows) -> int:
    return int(rows.__array_interface__["data"][0])


def _distinct(neighbours: Neighbours, reach: float) -> float:
    """Groups for each example: the mean of 1 over the size of an example's group."""
    first, _ = neighbours.groups(reach)
    if len(neighbours.chosen) == len(neighbours.candidates):
        return len(first) / len(neighbours.candidates)
    sizes = np.maximum((neighbours.distances <= reach).sum(axis=1), 1)
    return float((1.0 / sizes).mean())


def _joined(parts: list[Sample], groups: FloatArray, width: int) -> Sample:
    if not parts:
        none = np.zeros(0, np.intp)
        return Sample(np.zeros((0, width)), none, none, np.zeros((0, width)), np.zeros(0), groups)
    rows, truth, places, means, sizes = (np.concatenate([part[i] for part in parts]) for i in range(5))
    return Sample(rows, truth, places, means, sizes, groups)
