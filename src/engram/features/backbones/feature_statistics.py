"""Mean and pooled within-class covariance of features, in one pass over any number of examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from itertools import zip_longest
from typing import Any

import numpy as np

from engram.features.backbones.backbone import Backbone, Features, batched
from engram.inputs.sketch import Sketches, sketches
from engram.inputs.vectors import as_labels, unit_length
from engram.learner import FloatArray, InputError, Label
from engram.progress import Progress

MISSING = object()

_KEPT = 8  # steps, as for columns that a brain scales by itself
_MATTER = 8  # examples for each feature from which on one more or less does not change the covariance


class FeatureStatistics:
    """Sums over (normalised) features, from which m0 and S0 follow.

    Features are counted from the mean of the first chunk, so that the difference of large sums of squares
    loses nothing. Memory is O(D² + C·D) however many examples come.

    Args:
        width: D.
        normalise: bring features to unit length first.
        labelled: whether classes are told apart, and so a covariance is wanted.
    """

    def __init__(self, width: int, normalise: bool, *, labelled: bool) -> None:
        self.normalise = normalise
        self._labelled = labelled
        self._origin: FloatArray | None = None
        self._classes: dict[Label, tuple[int, FloatArray]] = {}
        self._gram = np.zeros((width, width))
        self._largest = np.zeros(width)
        self._kept: list[Features] | None = [] if labelled else None

    def add_all(
        self,
        backbone: Backbone,
        inputs: Iterable[Any],
        labels: Iterable[Any] | None,
        chunk: int,
        progress: Progress | None = None,
    ) -> None:
        """Add every example, `chunk` at a time."""
        total = len(inputs) if isinstance(inputs, Sized) else None
        done = 0
        for batch in batched(_pairs(inputs, labels), chunk):
            self.add(backbone.features([item for item, _ in batch]), [label for _, label in batch])
            done += len(batch)
            if progress is not None:
                progress(done, total)

    def add(self, features: Any, labels: Any) -> None:
        """Add (N, D) features with their labels."""
        vectors = np.asarray(features, np.float64)
        if self.normalise:
            vectors = unit_length(vectors)
        if self._origin is None:
            self._origin = vectors.mean(axis=0)
        names: list[Label] = [0] * len(vectors)
        if self._labelled:
            names = as_labels(labels, len(vectors), next(iter(self._classes), None))
        self._largest = np.maximum(self._largest, np.abs(vectors).max(axis=0))
        vectors = vectors - self._origin
        self._keep(vectors)
        if self._labelled:
            self._gram += vectors.T @ vectors
        for label in dict.fromkeys(names):
            mine = vectors[[name == label for name in names]]
            count, total = self._classes.get(label, (0, np.zeros(vectors.shape[1])))
            self._classes[label] = (count + len(mine), total + mine.sum(axis=0))

    def mean(self) -> FloatArray:
        """m0: the mean of all examples, (D,) float64.

        Raises:
            InputError: there were none.
        """
        if self._origin is None:
            raise InputError("Nothing to measure: 0 inputs.")
        counts, sums = zip(*self._classes.values(), strict=True)
        mean: FloatArray = self._origin + np.sum(sums, axis=0) / sum(counts)
        return mean

    def covariance(self) -> FloatArray | None:
        """S0: scatter within classes over its degrees of freedom, N − C, (D, D) float64; None without labels.

        Raises:
            InputError: no class has two examples.
        """
        if not self._labelled:
            return None
        freedom = sum(count - 1 for count, _ in self._classes.values())
        if freedom < 1:
            raise InputError(
                f"The scatter within classes needs a class with two examples; these {len(self._classes)} have one each."
            )
        means = np.stack([total / np.sqrt(count) for count, total in self._classes.values()])
        scatter = self._gram - means.T @ means
        covariance: FloatArray = (scatter + scatter.T) / (2 * freedom)
        return covariance

    @property
    def freedom(self) -> int | None:
        """Examples less classes; None without labels."""
        return sum(count - 1 for count, _ in self._classes.values()) if self._labelled else None

    def measured(self) -> Sketches | None:
        """(N, 8) sketches of the examples, or None where they are so many that none of them matters to S0."""
        if not self._kept or self._origin is None:
            return None
        moved = self._origin - self.mean()
        return np.concatenate([sketches(some + moved) for some in self._kept])

    def _keep(self, vectors: FloatArray) -> None:
        if self._kept is None:
            return
        self._kept.append(vectors.astype(np.float32))
        if sum(len(some) for some in self._kept) > _MATTER * vectors.shape[1]:
            self._kept = None

    def reach(self) -> float:
        """The largest absolute value seen, at least the smallest normal number."""
        return max(float(self._largest.max()), float(np.finfo(np.float64).tiny))

    def lost(self, step: float) -> list[int]:
        """The features that hold values, and none of `_KEPT` steps: hardly anything of them would be kept."""
        return np.flatnonzero((self._largest > 0) & (self._largest < _KEPT * step)).tolist()


def _pairs(inputs: Iterable[Any], labels: Iterable[Any] | None) -> Iterator[tuple[Any, Any]]:
    if labels is None:
        yield from ((item, 0) for item in inputs)
        return
    for item, label in zip_longest(inputs, labels, fillvalue=MISSING):
        if item is MISSING or label is MISSING:
            raise InputError("There are not as many labels as inputs.")
        yield item, label
