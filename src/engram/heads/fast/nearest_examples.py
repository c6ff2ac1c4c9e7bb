"""Why a head answers as it does: the taught examples that are nearest, and each label's share of the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from engram.heads.fast import FastHead
from engram.heads.fast.episodes import Rows
from engram.heads.fast.reading import Reading
from engram.heads.head import softmax
from engram.inputs.vectors import as_vectors
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
        similarity: (K,) how like the input they are in the metric of the read-out, the most first: the cosine about the
            middle of what was taught, or of raw readings exp(−d²/2D) with d in deviations within labels. 1 is the same.
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
            raise InputError("Nothing has been taught yet: call learn first.")
        labels, reading = head.labels, head._reading().kept()
        kept = [_Kept(reading, episodes.rows) for episodes in head._episodes]
        rows, _ = head._asked(as_vectors(inputs, head.width))  # what is out of range counts as its end
    shares = softmax(reading.answer(rows, None).scores / reading.calibration.temperature)
    found = []
    for row, share in zip(rows - reading.classes.middle, shares, strict=True):
        order = np.argsort(-share, kind="stable")
        searched = order[:_LABELS]
        alike = [kept[place].similarity(row) for place in searched]
        owners = np.repeat(searched, [len(some) for some in alike])
        examples, similarity = np.concatenate([kept[place].rows for place in searched]), np.concatenate(alike)
        best = np.argsort(-similarity, kind="stable")[:most]
        found.append(Nearest(
            [(labels[place], float(share[place])) for place in order], examples[best],
            [labels[place] for place in owners[best]], similarity[best],
        ))
    return found


class _Kept:
    """The kept examples of a label, and how long they are in the metric; that is found out once."""

    def __init__(self, reading: Reading, rows: Rows) -> None:
        self.rows, self._reading = rows, reading

    def similarity(self, row: FloatArray) -> FloatArray:
        """(K,) with one (D,) input about the middle."""
        metric = self._reading.metric
        moved = metric.apply(row[None])[0]
        products = np.concatenate([np.zeros(0), *(portion @ moved for portion in self._portions())])
        square = float(moved @ row)
        if self._reading.calibration.by_distance:
            distances = np.maximum(square - 2.0 * products + self._squares, 0.0) * metric.freedom
            return np.exp(-distances / (2.0 * len(row)))
        found: FloatArray = products / np.sqrt(np.maximum(self._squares * square, 1e-300))
        return found

    @cached_property
    def _squares(self) -> FloatArray:
        apply = self._reading.metric.apply
        parts = [np.einsum("nd,nd->n", apply(portion), portion) for portion in self._portions()]
        return np.concatenate([np.zeros(0), *parts])

    def _portions(self) -> Iterator[FloatArray]:
        for start in range(0, len(self.rows), _PORTION):
            yield self.rows[start : start + _PORTION] - self._reading.classes.middle
