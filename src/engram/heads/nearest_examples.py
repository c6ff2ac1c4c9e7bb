"""Why a head answers as it does: the taught examples that are nearest, and each label's share of the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from engram.heads.episodes import Rows
from engram.heads.fast import FastHead
from engram.heads.head import softmax
from engram.heads.view import HeadView
from engram.learner import FloatArray, InputError, Label

_LABELS = 8  # that are searched: those with the largest shares
_PORTION = 4096  # examples that are compared at a time


@dataclass(frozen=True, eq=False)
class Nearest:
    """What one answer rests on.

    Attributes:
        shares: the labels and their shares of the answer, which sum to 1, the largest first.
        rows: (K, D) int16, the kept examples that are nearest.
        labels: their labels.
        similarity: (K,) their cosines with the input in the metric of the read-out, the largest first.
    """

    shares: list[tuple[Label, float]]
    rows: Rows
    labels: list[Label]
    similarity: FloatArray


def nearest_examples(head: FastHead, inputs: Any, most: int = 5) -> list[Nearest]:
    """For each of (N, D) features: up to `most` kept examples, of the eight likeliest labels.

    Raises:
        InputError: nothing was taught, or wrong width, NaN or infinity.

    >>> head = FastHead(normalise=False, step=0.01)
    >>> head.learn([[1.0, 0.1], [0.0, 1.0], [0.9, 0.0]], ["right", "up", "right"])
    >>> found, = nearest_examples(head, [[0.9, 0.1]], most=2)
    >>> found.labels, found.shares[0][0]
    (['right', 'right'], 'right')
    """
    with head._lock:
        if not head.labels:
            raise InputError("Nothing was taught, so there is nothing to answer from: teach it first.")
        view, temperature = head.view(), head.novelty.temperature
        kept = [_Kept(view, episodes.rows) for episodes in head._episodes]
    rows, shares = view.quantise(inputs), softmax(view.predict(inputs).scores / temperature)
    found = []
    for row, moved, share in zip(rows, view.whiten(rows), shares, strict=True):
        order = np.argsort(-share, kind="stable")
        searched = order[:_LABELS]
        alike = [kept[place].cosines(moved, float(moved @ row)) for place in searched]
        owners = np.repeat(searched, [len(some) for some in alike])
        examples, cosines = np.concatenate([kept[place].rows for place in searched]), np.concatenate(alike)
        best = np.argsort(-cosines, kind="stable")[:most]
        found.append(Nearest(
            [(view.labels[place], float(share[place])) for place in order], examples[best],
            [view.labels[place] for place in owners[best]], cosines[best],
        ))
    return found


class _Kept:
    """The kept examples of a label, and how long they are in the metric; that is found out once."""

    def __init__(self, view: HeadView, rows: Rows) -> None:
        self.rows, self._view = rows, view

    def cosines(self, moved: FloatArray, square: float) -> FloatArray:
        """(K,) with one input, given times the metric, and its squared length in it."""
        products = np.concatenate([portion @ moved for portion in self._portions()] or [np.zeros(0)])
        found: FloatArray = products / np.sqrt(np.maximum(self._squares * square, 1e-300))
        return found

    @cached_property
    def _squares(self) -> FloatArray:
        parts = [np.einsum("nd,nd->n", self._view.whiten(portion), portion) for portion in self._portions()]
        return np.concatenate([*parts, np.zeros(0)])

    def _portions(self) -> Iterator[FloatArray]:
        for start in range(0, len(self.rows), _PORTION):
            yield self.rows[start : start + _PORTION].astype(np.float64)
