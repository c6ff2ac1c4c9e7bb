"""Of every class the same number is kept, the best ranked; and herding, which ranks examples so that the mean of the
first few, however many, is near the mean of all.

M. Welling, "Herding dynamical weights to learn", ICML 2009; as a choice of exemplars: S.-A. Rebuffi, A. Kolesnikov,
G. Sperl, C. H. Lampert, "iCaRL: incremental classifier and representation learning", CVPR 2017 (arXiv 1611.07725).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import InputError
from engram.networks.memory import Buffer

Array = npt.NDArray[Any]


class Ranked(Buffer):
    """Keeps capacity // C examples of each of C classes, those of the lowest rank; so that when classes come, the last
    ranked of the others make room.

    Columns are the inputs, the class of each and its rank. Examples of a class that is known are ranked among those
    that are kept of it.

    >>> kept, rng = Ranked(4), np.random.default_rng(0)
    >>> kept.add(rng, np.arange(6.0), np.repeat([3, 5], 3), np.array([2, 0, 1, 0, 1, 2]))
    >>> kept.columns[0].tolist()
    [1.0, 2.0, 3.0, 4.0]
    >>> kept.add(rng, np.arange(6.0, 8.0), np.array([1, 7]), np.zeros(2))
    >>> kept.columns[0].tolist()
    [6.0, 1.0, 3.0, 7.0]
    """

    def add(self, rng: np.random.Generator, *columns: Array) -> None:
        """Offer (N, …) inputs, their (N,) classes and their (N,) ranks; without ranks, a random choice. See
        `Buffer.add`.

        Raises:
            InputError: also for more classes than there are places.
        """
        if len(columns) == 2:
            columns = (*columns, rng.random(len(columns[1])))
        columns = (*columns[:2], *(np.asarray(ranks, np.float32) for ranks in columns[2:]))
        columns = self._coded(rng, columns)
        count = self._prepare(columns)
        whole = [np.concatenate([kept[: self._held], new]) for kept, new in zip(self.columns, columns, strict=True)]
        classes = np.unique(whole[1])
        each = self.capacity // max(len(classes), 1)
        if not each:
            raise InputError(f"{len(classes)} classes need as many places: capacity is {self.capacity}.")
        order = np.lexsort((whole[2], whole[1]))
        place_in_class = np.arange(len(order)) - np.searchsorted(whole[1][order], whole[1][order])
        stays = order[place_in_class < each]
        self._held = 0
        self._put(np.arange(len(stays)), [column[stays] for column in whole])
        self.seen += count


def herding(features: Array, count: int) -> npt.NDArray[np.intp]:
    """The rows of the `count` examples, in order, whose mean is nearest to the mean of all after each choice.

    Args:
        features: (N, D); `count` is at most N.

    >>> herding(np.array([[0.0], [2.0], [4.0], [10.0]]), 3).tolist()  # of the mean 4; then 3 and 2
    [2, 1, 3]
    """
    features = np.ascontiguousarray(features, np.float32)
    mean, total = features.mean(axis=0, dtype=np.float64), np.zeros(features.shape[1])
    lengths = np.square(features).sum(axis=1)
    chosen = np.empty(count, np.intp)
    for step in range(count):
        wanted = ((step + 1) * mean - total).astype(np.float32)
        away = lengths - 2 * (features @ wanted)  # ‖wanted − φ‖² but for a constant
        away[chosen[:step]] = np.inf
        chosen[step] = away.argmin()
        total += features[chosen[step]]
    return chosen
