"""Exact sums of each class alone, for heads that need no second moments."""

from __future__ import annotations

import numpy as np

from engram.heads.exact_sums import ExactSums, check_integers
from engram.heads.head import Positions
from engram.learner import FloatArray, State


class ClassSums(ExactSums):
    """n_c and s_c of each class, without second moments: an example costs O(D)."""

    def __init__(self, width: int) -> None:
        super().__init__(0)
        self.width = width
        self._sums = np.zeros((4, width))

    def add(self, rows: FloatArray, classes: Positions) -> None:
        """Add (N, D) integer rows to the sums of their classes."""
        self.check_capacity(len(rows))
        self._reserve(int(classes.max()) + 1)
        self._change(rows, classes, 1)

    def subtract(self, rows: FloatArray, classes: Positions) -> None:
        """Take back (N, D) rows of (N,) classes that were added before."""
        self._change(rows, classes, -1)

    def _change(self, rows: FloatArray, classes: Positions, sign: int) -> None:
        self._count(len(rows), sign)
        self._add_to_classes(rows, classes, sign)

    def state(self) -> State:
        return {"counts": self.counts, "sums": self.sums}

    @classmethod
    def from_state(cls, state: State) -> ClassSums:
        """Raises ValueError where the arrays do not fit each other or hold no integers."""
        counts, sums = (np.array(state[name], np.float64) for name in ("counts", "sums"))
        if sums.ndim != 2 or len(sums) != len(counts):
            raise ValueError(f"sums {sums.shape}, counts {counts.shape} do not fit")
        check_integers(counts, sums)
        return cls._holding(counts, sums, np.zeros((0, 0)))

    @classmethod
    def _holding(cls, counts: FloatArray, sums: FloatArray, gram: FloatArray) -> ClassSums:
        made = cls(sums.shape[1])
        made.total = int(counts.sum())
        made._classes, made._counts, made._sums = len(counts), counts, sums
        return made
