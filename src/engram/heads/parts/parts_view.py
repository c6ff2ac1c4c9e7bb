"""What a head of good parts knew at one moment: which part it is, whether it is a good one, and where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from engram.heads.fast.view import HeadView, cosines
from engram.heads.head import columns_of, focus, nothing_known
from engram.heads.parts.place_gaussians import PlaceGaussians, told_apart
from engram.inputs.vectors import as_vectors
from engram.learner import FloatArray, Label, Predictions


@dataclass(frozen=True, eq=False)
class PartsView(HeadView):
    """A head of good parts at the moment of `GoodParts.view()`; any thread may ask at any time.

    Attributes:
        parts: the Gaussians of each label.
        alphas: (C,) the share of good pictures that may be refused.
        grid: rows and columns of a map.
    """

    parts: Sequence[PlaceGaussians]
    alphas: FloatArray
    grid: tuple[int, int]

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """The label whose places are most like a map's; known where no place is stranger than good ones are.

        Raises:
            InputError: wrong width, NaN or infinity.
            LabelError: `among` names a label that was not taught then.
        """
        rows, lost = self._quantise.asked(as_vectors(inputs, self.width))
        if not self.parts:
            return nothing_known(len(rows))
        places = columns_of(among, self._book) or list(range(len(self.labels)))
        maps = self._maps(rows)
        squares = [self.parts[place].squares(maps) for place in places]
        scores = np.stack([self.parts[place].score(some) for place, some in zip(places, squares, strict=True)], axis=1)
        familiarity = np.empty(len(rows))
        for i, best in enumerate(scores.argmax(axis=1)):
            familiarity[i] = -self._above(places[best], squares[best][i : i + 1]).max()
        familiarity += 0.0
        return Predictions(tuple(self.labels[place] for place in places), scores, familiarity >= 0,
                           told_apart(scores), focus(scores), familiarity).refusing(lost)

    def heat(self, inputs: Any) -> FloatArray:
        """(N, rows, columns): how much stranger each place of (N, D) maps is than good ones of the best label ever are.

        Above 0 where a picture is refused because of this place; a difference of logarithms of squared distances. All
        zeros where nothing, or one picture alone, was taught.

        Raises:
            InputError: wrong width, NaN or infinity.
        """
        rows, _ = self._quantise.asked(as_vectors(inputs, self.width))
        found = np.zeros((len(rows), *self.grid))
        if self.parts:
            maps = self._maps(rows)
            squares = [part.squares(maps) for part in self.parts]
            scores = np.stack([part.score(some) for part, some in zip(self.parts, squares, strict=True)], axis=1)
            for i, best in enumerate(scores.argmax(axis=1)):
                found[i] = self._above(int(best), squares[best][i : i + 1])[0]
        return found

    def _above(self, place: int, squares: FloatArray) -> FloatArray:
        """(N, rows, columns) strangeness above the label's threshold; zeros where it has none."""
        threshold = self.thresholds[place]
        if threshold is None:
            return np.zeros((len(squares), *self.grid))
        return self.parts[place].strangeness(squares) - threshold

    @cached_property
    def thresholds(self) -> list[float | None]:
        """Of each label: see `PlaceGaussians.threshold`."""
        return [part.threshold(float(alpha)) for part, alpha in zip(self.parts, self.alphas, strict=True)]

    @cached_property
    def together(self) -> int:
        """How many inputs may be asked about at once; each is answered by itself anyway."""
        return 1

    def similarity(self, inputs: Any) -> FloatArray:
        """(N, N) cosines between maps, from the mean of what was taught."""
        rows = self.quantise(inputs)
        rows = rows - self.means.mean(axis=0) if self.parts else rows
        return cosines(rows, rows)

    @cached_property
    def counts(self) -> dict[Label, int]:
        """How many examples each label had."""
        return {label: int(part.count) for label, part in zip(self.labels, self.parts, strict=True)}

    @cached_property
    def means(self) -> FloatArray:
        """(C, D) the mean of each label's maps, in quantised units."""
        means = [(part.sums / part.count).ravel() for part in self.parts]
        return np.stack(means) if means else np.zeros((0, self.width or 0))

    def whiten(self, rows: FloatArray) -> FloatArray:
        """(N, D) rows as they are: maps have no common metric."""
        return rows

    def _maps(self, rows: FloatArray) -> FloatArray:
        return rows.reshape(len(rows), self.grid[0] * self.grid[1], -1)
