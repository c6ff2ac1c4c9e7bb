"""Rows times the precision A, kept up to date as A changes, so that only rows not seen before cost a product with A."""

from __future__ import annotations

import numpy as np

from engram.heads.fast.discriminant import Discriminant
from engram.learner import FloatArray


class MovedRows:
    """What was multiplied last time.

    A step of A by R directions changes N products by N·R·D operations; a product with A takes N·D².
    """

    def __init__(self) -> None:
        self._origin: object | None = None
        self._steps = 0
        self._places: dict[bytes, int] = {}
        self._moved: FloatArray = np.zeros((0, 0))
        self._rows: FloatArray = np.zeros((0, 0))

    def of(self, discriminant: Discriminant, rows: FloatArray) -> FloatArray:
        """(N, D) rows times A."""
        names = [row.tobytes() for row in rows]
        self._follow(discriminant)
        known = np.array([self._places.get(name, -1) for name in names], np.intp)
        moved: FloatArray = np.empty(rows.shape)
        there = known >= 0
        if there.any():
            moved[there] = self._moved[known[there]]
        if not there.all():
            moved[~there] = discriminant.apply(rows[~there])
        self._rows, self._moved = rows, moved
        self._places = {name: place for place, name in enumerate(names)}
        return moved

    def _follow(self, discriminant: Discriminant) -> None:
        due = discriminant.since(self._steps) if discriminant.origin is self._origin else None
        if due is None:
            self._places = {}
        elif len(self._rows):
            for sign, updates in due:
                self._moved = self._moved - sign * (self._rows @ updates.T) @ updates
        self._origin, self._steps = discriminant.origin, discriminant.steps
