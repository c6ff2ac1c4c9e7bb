"""Reservoir sampling (Vitter 1985, algorithm R): a uniform sample of a stream whose length nobody knows."""

from __future__ import annotations

import numpy as np

from engram.networks.memory.buffer import Array, Buffer


class Reservoir(Buffer):
    """Keeps every example seen so far with the same probability, capacity / seen.

    The n-th example (from 1) gets a uniform place j in [0, n); it is kept where j < capacity, in place j.

    >>> rng = np.random.default_rng(0)
    >>> kept = Reservoir(3)
    >>> kept.add(rng, np.arange(100.0)[:, None], np.arange(100) % 2)
    >>> len(kept), kept.seen
    (3, 100)
    >>> inputs, labels = kept.draw(5, rng)
    >>> inputs.shape, bool((inputs[:, 0] % 2 == labels).all())
    ((5, 1), True)
    """

    def add(self, rng: np.random.Generator, *columns: Array) -> None:
        """Offer examples in their order of arrival. See `Buffer.add`."""
        count = self._prepare(columns)
        order = np.arange(self.seen, self.seen + count)
        places = np.where(order < self.capacity, order, rng.integers(order + 1))
        kept = places < self.capacity
        self._put(places[kept], [column[kept] for column in columns])
        self.seen += count
