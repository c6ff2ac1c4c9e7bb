"""The examples that a head judges itself by: some of each class, one of each group of near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engram.heads.fast.episodes import Episodes, Keys, Rows
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
        keys: (M,) the first eight bytes of their SHA-256.
        truth: (M,) their classes.
        places: (M,) where their class keeps them.
        means: (M, D) the mean of each one's group.
        sizes: (M,) examples in the group; as many as the class has, where nothing would be left without it.
        groups: (C,) how many groups each class has.
    """

    rows: FloatArray
    keys: Keys
    truth: Positions
    places: Positions
    means: FloatArray
    sizes: FloatArray
    groups: FloatArray

    @property
    def single(self) -> bool:
        """Whether every group is one example."""
        return self.means is self.rows


class Sampler:
    """Makes samples; what it knows of a class is made anew only where the class has changed.

    Args:
        near: whether examples can be near-duplicates without being equal: features of a network, not raw readings.
        usual: the mean squared distance within a class that the bundle measured, or infinity.
    """

    def __init__(self, near: bool, usual: float) -> None:
        self._near, self._usual = near, usual
        self._known: dict[int, _Known] = {}  # by the address of a class's rows, which copies share
        self._apart: tuple[FloatArray, Positions, float] | None = None
        self._joined: tuple[tuple[_Part, ...], Positions, Sample] | None = None

    def sample(self, classes: Sequence[Episodes], counts: FloatArray) -> Sample:
        """Up to 64 examples of each class and 640 in all.

        Args:
            counts: (C,) how many examples each class was taught, kept or not.
        """
        taught = np.flatnonzero(counts > 0)
        if len(taught) > ALTOGETHER:  # very many classes: an even choice of them
            taught = taught[np.linspace(0, len(taught) - 1, ALTOGETHER).astype(np.intp)]
        most = int(np.clip(ALTOGETHER // max(len(taught), 1), 1, PER_CLASS))
        found = {place: self._look(classes[place], most) for place in taught.tolist() if len(classes[place].rows)}
        near = share_of_reach(classes[0].width) if self._near and found else 0.0
        between = min(self._between(found), FRAMES * self._usual) if near else 0.0
        groups = np.where(counts > 0, 1.0, 0.0)
        for place, known in found.items():
            reach = near * max(WITHIN * known.typical, between)
            if near and len(known.neighbours.candidates) <= FEW and np.isfinite(self._usual):
                reach = max(reach, near * FRAMES * self._usual)
            if known.part is None or known.part.reach != reach:
                found[place] = known = known._replace(part=_Part.of(known.neighbours, classes[place], reach))
            assert known.part is not None
            groups[place] = max(1.0, known.part.distinct * counts[place])
        self._known = {_address(known.rows): known for known in found.values()}
        return self._join(found, counts, groups, classes[0].width if classes else 0)

    def _look(self, episodes: Episodes, most: int) -> _Known:
        """The class as it is known, its neighbours up to date."""
        rows = episodes.rows
        known = self._known.get(_address(rows))
        if known is None or known.most != most or not len(known.rows) <= len(rows) <= len(known.rows) + 1:
            neighbours = Neighbours.of(episodes, most)
        elif len(rows) > len(known.rows):
            neighbours = known.neighbours.with_last(episodes, most)
            if neighbours is known.neighbours:
                return known._replace(rows=rows)
        else:
            return known
        return _Known(rows, most, neighbours, neighbours.typical() if self._near else 0.0, None)

    def _between(self, found: dict[int, _Known]) -> float:
        few = max(1, _FOR_REACH // max(len(found), 1))
        chosen = [(place, known.neighbours.rows[:few]) for place, known in list(found.items())[:_FOR_REACH]]
        if not chosen:
            return 0.0
        rows = np.concatenate([some for _, some in chosen])
        classes = np.concatenate([np.full(len(some), place) for place, some in chosen])
        known = self._apart
        if known is None or not np.array_equal(known[1], classes) or not np.array_equal(known[0], rows):
            self._apart = known = rows, classes, reach_between(rows, classes)
        return known[2]

    def _join(self, found: dict[int, _Known], counts: FloatArray, groups: FloatArray, width: int) -> Sample:
        parts = tuple(known.part for known in found.values() if known.part is not None)
        places = np.fromiter(found, np.intp, len(found))
        if not parts:
            none = np.zeros(0, np.intp)
            nothing = np.zeros((0, width))
            return Sample(nothing, np.zeros(0, np.uint64), none, none, nothing, np.zeros(0), groups)
        lengths = [len(part.rows) for part in parts]
        each = np.repeat(counts[places], lengths)
        share = each / np.repeat([part.searched for part in parts], lengths)
        last = self._joined
        if last is not None and np.array_equal(last[1], places) and all(map(_Part.is_like, parts, last[0])):
            sample = last[2]
        else:
            rows, keys, held, members = (np.concatenate([part[i] for part in parts]) for i in range(4))
            means = rows if (members == 1.0).all() else np.concatenate([part.means for part in parts])
            sample = Sample(rows, keys, np.repeat(places, lengths), held, means, members, groups)
            self._joined = parts, places, sample
        return sample._replace(sizes=np.minimum(sample.sizes * share, each), groups=groups)


class _Part(NamedTuple):
    """What a class gives to the sample.

    Attributes:
        rows, keys, places: as in `Sample`.
        members: (G,) how many of those searched are in each group.
        means: (G, D) as in `Sample`.
        searched: how many examples.
        reach: within which examples are near-duplicates.
        distinct: groups for each example.
    """

    rows: FloatArray
    keys: Keys
    places: Positions
    members: FloatArray
    means: FloatArray
    searched: int
    reach: float
    distinct: float

    @classmethod
    def of(cls, neighbours: Neighbours, episodes: Episodes, reach: float) -> _Part:
        first, members = neighbours.groups(reach)
        rows, places = neighbours.rows, neighbours.chosen[first]
        means, sizes = rows, np.ones(len(first))
        if members:
            rows = rows[first]
            means = rows.copy()
            for i, some in enumerate(members):
                sizes[i] = len(some)
                if len(some) > 1:
                    means[i] = episodes.rows[neighbours.candidates[some]].mean(axis=0)
        distinct = neighbours.distinct(reach, len(first))
        return cls(rows, episodes.keys()[places], places, sizes, means, len(neighbours.candidates), reach, distinct)

    def is_like(self, other: _Part) -> bool:
        """Whether the examples and their groups are those of another part, from which this one was made."""
        return self.rows is other.rows and self.means is other.means


class _Known(NamedTuple):
    """Of rows that are only ever appended to; holding them keeps their address their own."""

    rows: Rows
    most: int
    neighbours: Neighbours
    typical: float
    part: _Part | None


def _address(rows: Rows) -> int:
    return int(rows.__array_interface__["data"][0])
