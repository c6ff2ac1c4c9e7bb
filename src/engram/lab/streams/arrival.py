"""The orders in which a data set's examples arrive: generators of index arrays, reproducible by a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import InputError

Indices = npt.NDArray[np.intp]


def shuffled(labels: Sequence[Any] | npt.NDArray[Any], seed: int, batch: int = 1) -> Iterator[Indices]:
    """All examples in random order, `batch` at a time; the last batch may be smaller.

    Args:
        labels: (N,) of any type.

    Returns:
        For each batch the places of its examples.

    Raises:
        InputError: `batch` is below 1.

    >>> [i.tolist() for i in shuffled("aab", seed=0, batch=2)]
    [[2, 0], [1]]
    """
    if batch < 1:
        raise InputError(f"A batch has at least one example, not {batch}.")
    order = np.random.default_rng(seed).permutation(len(labels))
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


def class_by_class(labels: Sequence[Any] | npt.NDArray[Any], seed: int) -> Iterator[Indices]:
    """One class after another, each complete; classes, and examples in each, in random order.

    Args:
        labels: (N,) of any type.

    >>> [i.tolist() for i in class_by_class("abab", seed=0)]
    [[0, 2], [1, 3]]
    """
    rng = np.random.default_rng(seed)
    members = by_class(labels)
    for place in rng.permutation(len(members)):
        yield rng.permutation(members[place])


def one_per_class(labels: Sequence[Any] | npt.NDArray[Any], seed: int) -> Iterator[Indices]:
    """Batches with one example of each class, in random order, until the rarest class is used up; then
    batches of what remains, one example of each class that still has one.

    Args:
        labels: (N,) of any type.

    >>> [i.tolist() for i in one_per_class("aab", seed=0)]
    [[0, 2], [1]]
    """
    rng = np.random.default_rng(seed)
    queues = [rng.permutation(places) for places in by_class(labels)]
    for turn in range(max(map(len, queues), default=0)):
        yield rng.permutation(np.array([queue[turn] for queue in queues if turn < len(queue)], np.intp))


def by_class(labels: Sequence[Any] | npt.NDArray[Any]) -> list[Indices]:
    """For each class, in sorted order, the places of its examples among (N,) labels."""
    array = np.asarray(list(labels))
    return [np.flatnonzero(array == label) for label in np.unique(array)]


ORDERS: dict[str, Callable[..., Iterator[Indices]]] = {
    "shuffled": shuffled, "class-by-class": class_by_class, "one-per-class": one_per_class,
}
"""From labels and a seed to batches of places, by name."""
