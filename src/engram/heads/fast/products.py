"""Products of the sample and the class means in the metric A, kept up to date as A changes and classes grow.

A step of A by R directions changes the products of M rows with C means by M·R·(D + C) operations, and one more example
of a class those with one mean by M·D; made anew, they take M·D² and M·C·D.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engram.heads.fast.discriminant import Discriminant
from engram.heads.fast.episodes import Keys
from engram.heads.fast.metric import Centres, Metric
from engram.heads.fast.sample import Sample
from engram.learner import FloatArray


class Products(NamedTuple):
    """Of M examples x, the means v of their groups of near-duplicates and the C class means u, all seen from the
    middle, and of the middle m itself, seen from the origin, in A. Those of M by C lie class by class in memory.

    Attributes:
        x_x, x_v, v_v: (M,).
        x_u, v_u: (M, C).
        u_u: (C, C).
        x_m: (M,).
        u_m: (C,).
        m_m: of the middle with itself.
    """

    x_x: FloatArray
    x_v: FloatArray
    v_v: FloatArray
    x_u: FloatArray
    v_u: FloatArray
    u_u: FloatArray
    x_m: FloatArray
    u_m: FloatArray
    m_m: float

    @classmethod
    def of(cls, metric: Metric, classes: Centres, sample: Sample) -> Products:
        """All of them made anew."""
        middle, means = classes.middle, classes.means()
        rows = sample.rows - middle
        moved, moved_means, moved_middle = metric.apply(rows), metric.apply(means), metric.apply(middle[None])[0]
        x_x, x_u = np.einsum("md,md->m", moved, rows), (moved_means @ rows.T).T
        plain = cls(x_x, x_x, x_x, x_u, x_u, moved_means @ means.T, rows @ moved_middle, means @ moved_middle,
                    float(moved_middle @ middle))
        return plain.grouped(metric, classes, sample)

    def grouped(self, metric: Metric, classes: Centres, sample: Sample) -> Products:
        """The same, heeding that some of the sample stand for groups of near-duplicates."""
        if sample.single:
            return self
        several = np.flatnonzero(sample.sizes > 1.0)
        rows, groups = (some[several] - classes.middle for some in (sample.rows, sample.means))
        moved = metric.apply(groups)
        x_v, v_v, v_u = self.x_x.copy(), self.x_x.copy(), self.x_u.T.copy()
        x_v[several], v_v[several] = np.einsum("md,md->m", moved, rows), np.einsum("md,md->m", moved, groups)
        v_u[:, several] = classes.means() @ moved.T
        return self._replace(x_v=x_v, v_v=v_v, v_u=v_u.T)


class KeptProducts:
    """The products of last time. What lies far from the origin is seen from where the middle was, lest digits get lost.
    """

    def __init__(self) -> None:
        self._last: _Kept | None = None

    def of(self, discriminant: Discriminant, classes: Centres, sample: Sample) -> Products:
        """Those of the sample and the class means as they are now."""
        kept, metric = self._last, discriminant.metric
        due = None
        if kept is not None and kept.origin is discriminant.origin and len(kept.seen) <= len(classes.counts) + 2:
            due = discriminant.since(kept.steps)
        if kept is None or due is None:
            kept = _Kept.of(discriminant, classes, sample)
        else:
            kept = kept.followed(due, discriminant, classes, sample)
        self._last = kept
        return kept.products().grouped(metric, classes, sample)


class _Kept(NamedTuple):
    """Products as they were at one moment; nothing in it is written to later.

    Attributes:
        origin, steps: of the discriminant.
        place: (D,) from where all is seen.
        keys: (M,) of the sample.
        rows: (M, D) the sample, from the place.
        seen: (2 + C, D) the middle from the place, the middle, and the class means from the place.
        own: (M,) xᵀAx.
        across: (2 + C, M) those of `seen` and the rows.
        among: (2 + C, 2 + C) those of `seen`.
    """

    origin: object
    steps: int
    place: FloatArray
    keys: Keys
    rows: FloatArray
    seen: FloatArray
    own: FloatArray
    across: FloatArray
    among: FloatArray

    @classmethod
    def of(cls, discriminant: Discriminant, classes: Centres, sample: Sample) -> _Kept:
        place, metric = classes.middle, discriminant.metric
        rows, seen = sample.rows - place, _seen(classes, place)
        moved = metric.apply(seen)
        own = np.einsum("md,md->m", metric.apply(rows), rows)
        return cls(discriminant.origin, discriminant.steps, place, sample.keys, rows, seen, own, moved @ rows.T,
                   moved @ seen.T)

    def followed(
        self, due: list[tuple[int, FloatArray]], discriminant: Discriminant, classes: Centres, sample: Sample
    ) -> _Kept:
        """As they are now, after A has changed by the steps that are due."""
        metric, seen = discriminant.metric, _seen(classes, self.place)
        before = np.zeros(seen.shape)
        before[: len(self.seen)] = self.seen
        changed = np.flatnonzero((seen != before).any(axis=1))
        moved = metric.apply(seen[changed])
        signs = np.array([sign for sign, updates in due for _ in updates], np.float64)
        updates = np.concatenate([np.zeros((0, seen.shape[1])), *(some for _, some in due)])
        of_rows = np.concatenate([updates, moved]) @ self.rows.T  # one pass over the rows for both
        by_updates, among = of_rows[: len(updates)], np.zeros((len(seen), len(seen)))
        across = np.zeros((len(seen), len(self.rows)))
        across[: len(self.seen)], among[: len(self.seen), : len(self.seen)] = self.across, self.among
        along = (before @ updates.T) * signs
        across -= along @ by_updates
        among -= along @ (updates @ before.T)
        own = self.own - signs @ np.square(by_updates)
        across[changed] = of_rows[len(updates) :]
        among[changed] = moved @ seen.T
        among[:, changed] = among[changed].T
        kept = self._replace(steps=discriminant.steps, seen=seen, own=own, across=across, among=among)
        return kept if sample.keys is self.keys else kept._with(metric, sample)

    def _with(self, metric: Metric, sample: Sample) -> _Kept:
        """The same for another sample, some of which was in the one there was."""
        order = np.argsort(self.keys, kind="stable")
        places = order[np.minimum(np.searchsorted(self.keys, sample.keys, sorter=order), len(order) - 1)]
        new = np.flatnonzero(self.keys[places] != sample.keys)
        rows, own, across = self.rows[places], self.own[places], self.across[:, places]
        rows[new] = sample.rows[new] - self.place
        moved = metric.apply(rows[new])
        own[new], across[:, new] = np.einsum("md,md->m", moved, rows[new]), self.seen @ moved.T
        return self._replace(keys=sample.keys, rows=rows, own=own, across=across)

    def products(self) -> Products:
        """From the middle, each example for itself."""
        middle, shift = self.across[0], self.among[0]
        x_x = self.own - 2.0 * middle + shift[0]
        x_u = (self.across[2:] - middle - shift[2:, None] + shift[0]).T
        u_u = self.among[2:, 2:] - shift[2:] - shift[2:, None] + shift[0]
        return Products(x_x, x_x, x_x, x_u, x_u, u_u, self.across[1] - shift[1], self.among[1, 2:] - shift[1],
                        float(self.among[1, 1]))


def _seen(classes: Centres, place: FloatArray) -> FloatArray:
    """(2 + C, D) the middle from a place, the middle, and the class means from the place."""
    return np.concatenate([[classes.middle - place, classes.middle], classes.sums * classes.inverse[:, None] - place])
