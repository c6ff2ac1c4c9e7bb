"""One shape for every data set: inputs and labels, to learn from and to be asked about; inputs made when asked for.

What inputs look like to a learner: vectors for a head, channels first for a convolutional network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from engram.inputs.vectors import as_array
from engram.learner import InputError, Label, LabelError

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.intp]
Change = Callable[[Array], Array]
"""From (N, ...) inputs to as many others."""

AT_ONCE = 256
"""Inputs made together where all are."""

SMALL_TEST = 0.3
"""Of a data set that has no test part of its own, the share of each class that is asked about; drawn with seed 0."""


@runtime_checkable
class Rows(Protocol):
    """N inputs of which any can be had by their places: a numpy array is one, and so is what decodes when asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, places: Indices, /) -> Array:
        """(len(places), ...): the inputs at these places."""


class Decoded:
    """Rows that are made one by one when asked for, such as pictures out of files."""

    def __init__(self, count: int, make: Callable[[int], Array]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, places: Indices, /) -> Array:
        return np.stack([self._make(int(place)) for place in places])


class Changed:
    """Rows that go through a function when asked for."""

    def __init__(self, rows: Rows, change: Change) -> None:
        self._rows, self._change = rows, change

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, places: Indices, /) -> Array:
        changed = self._change(self._rows[places])
        if len(changed) != len(places):
            raise InputError(f"A change of inputs gives as many as it gets: {len(places)} became {len(changed)}.")
        return changed


@dataclass(frozen=True, eq=False)
class DataSet:
    """Labelled inputs to learn from, and others to be asked about.

    Attributes:
        name: what it is called in reports.
        train_inputs, test_inputs: `Rows`; nothing is decoded or changed before it is asked for.
        train_labels, test_labels: (N,) integers or texts; anything like that is accepted.

    Raises:
        InputError: another number of labels than of inputs, or a part that is empty.
        LabelError: labels that are neither all integers nor all texts.

    >>> data = DataSet("toy", np.eye(4), ["a", "b", "a", "b"], np.eye(4)[:2], ["a", "b"])
    >>> data.classes
    ('a', 'b')
    >>> data.map(lambda x: 2 * x).train_inputs[np.array([1])]
    array([[0., 2., 0., 0.]])
    """

    name: str
    train_inputs: Rows
    train_labels: Array
    test_inputs: Rows
    test_labels: Array

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            labels = label_array(getattr(self, f"{part}_labels"))
            inputs = getattr(self, f"{part}_inputs")
            if len(inputs) != len(labels) or not len(labels):
                raise InputError(f"{self.name}: {len(inputs)} {part} inputs with {len(labels)} labels; as many of both "
                                 "are needed, one or more.")
            object.__setattr__(self, f"{part}_labels", labels)
        if self.train_labels.dtype.kind != self.test_labels.dtype.kind:
            raise LabelError(f"{self.name}: labels are all texts or all integers, in the training and the test part.")

    def __repr__(self) -> str:
        return f"<DataSet {self.name}: {len(self.train_labels)} to learn from, {len(self.test_labels)} to ask about>"

    @property
    def classes(self) -> tuple[Label, ...]:
        """The labels of the training part, sorted."""
        return tuple(np.unique(self.train_labels).tolist())

    def map(self, change: Change) -> DataSet:
        """The same data with inputs that go through `change`, (N, ...) at a time, whenever they are asked for."""
        return replace(self, train_inputs=Changed(self.train_inputs, change),
                       test_inputs=Changed(self.test_inputs, change))

    def relabelled(self, train_labels: Array, test_labels: Array) -> DataSet:
        """The same inputs under other labels.

        Args:
            train_labels, test_labels: one label for each input of that part, (N,).
        """
        return replace(self, train_labels=train_labels, test_labels=test_labels)

    def in_memory(self, progress: Callable[[int, int], None] | None = None) -> DataSet:
        """The same data, decoded and changed once, now: faster where inputs are asked for again and again.

        Args:
            progress: called with the inputs made, and how many there are.
        """
        total = len(self.train_labels) + len(self.test_labels)

        def made(rows: Rows, before: int) -> Array:
            parts = []
            for start in range(0, len(rows), AT_ONCE):
                parts.append(rows[np.arange(start, min(start + AT_ONCE, len(rows)))])
                if progress is not None:
                    progress(before + start + len(parts[-1]), total)
            return np.concatenate(parts)

        return replace(self, train_inputs=made(self.train_inputs, 0),
                       test_inputs=made(self.test_inputs, len(self.train_labels)))


def label_array(labels: Any) -> Array:
    """Labels as an (N,) array of int64 or of texts.

    Raises:
        LabelError: mixed, or of another kind.

    >>> label_array([3, 4]).dtype, label_array(("a", "b")).dtype.kind
    (dtype('int64'), 'U')
    """
    array = np.asarray(labels if isinstance(labels, np.ndarray) else list(labels))
    texts = array.dtype.kind == "U" and (isinstance(labels, np.ndarray) or all(isinstance(x, str) for x in labels))
    if array.ndim != 1 or not (texts or array.dtype.kind in "iu" or not array.size):
        raise LabelError(f"Labels are one list of integers or of texts, not {array.ndim}-dimensional {array.dtype}.")
    return array if texts else array.astype(np.int64)


def from_arrays(
    inputs: Any, labels: Any, test_inputs: Any = None, test_labels: Any = None, *,
    test: float = 0.2, seed: int = 0, name: str = "arrays",
) -> DataSet:
    """Your own data: inputs (N, ...) with a label each.

    Args:
        inputs: an array, anything numpy makes one of, or `Rows`.
        labels: N integers or texts.
        test_inputs, test_labels: the test part; without them it is drawn from the rest.
        test: the share of each class that is drawn, at least one example of each.
        seed: of that draw.
        name: what the data are called in reports.

    Raises:
        InputError: numbers of inputs and labels that differ, or a class of one example, which cannot be divided.
        LabelError: labels that are neither all integers nor all texts.

    >>> data = from_arrays(np.arange(10.0)[:, None], [0, 1] * 5, test=0.4)
    >>> len(data.train_inputs), len(data.test_inputs)
    (6, 4)
    """
    rows, names = _rows(inputs), label_array(labels)
    if (test_inputs is None) != (test_labels is None):
        raise InputError("A test part is inputs with their labels: give both, or neither.")
    if test_inputs is not None:
        return DataSet(name, rows, names, _rows(test_inputs), label_array(test_labels))
    if len(rows) != len(names):
        raise InputError(f"{name}: {len(rows)} inputs with {len(names)} labels.")
    taught, asked = divided(names, test, np.random.default_rng([seed, 0]), least=1)
    return DataSet(name, Chosen(rows, taught), names[taught], Chosen(rows, asked), names[asked])


class Chosen:
    """Some of the rows of others, in an order of their own."""

    def __init__(self, rows: Rows, places: Indices) -> None:
        self._rows, self._places = rows, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, places: Indices, /) -> Array:
        return self._rows[self._places[places]]


def divided(labels: Array, share: float, rng: np.random.Generator, least: int = 0) -> tuple[Indices, Indices]:
    """Places of the labels in two parts, the second with `share` of each class, drawn at random; both sorted.

    What rounding leaves over goes to the classes with the largest remainders, so that the second part has
    round(share · N) places, or as near as `least` (of each class) and one place for the first part of it allow.

    Raises:
        InputError: not a share, or a class too small to be divided.
    """
    if not 0 <= share < 1:
        raise InputError(f"A share is 0 or more and less than 1, not {share}.")
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if least and counts.min(initial=2) <= least:
        small = labels[classes == counts.argmin()][0]
        raise InputError(f"Class {small.item()!r} has {counts.min()} example: give it two or more, or a test part.")
    quotas = share * counts
    taken = np.floor(quotas + 1e-9).astype(np.intp)
    for c in np.argsort(-(quotas - taken), kind="stable")[: round(float(share * len(labels))) - int(taken.sum())]:
        taken[c] += 1
    taken = np.clip(taken, least, counts - 1)
    drawn = [rng.permutation(np.flatnonzero(classes == c)) for c in range(len(counts))]
    parts = ([places[take:] for places, take in zip(drawn, taken, strict=True)],
             [places[:take] for places, take in zip(drawn, taken, strict=True)])
    first, second = (np.sort(np.concatenate([*part, np.empty(0, np.intp)])) for part in parts)
    return first, second


def _rows(inputs: Any) -> Rows:
    if isinstance(inputs, Rows) and not isinstance(inputs, list | tuple | str) and not hasattr(inputs, "__array__"):
        return inputs
    return as_array(inputs)


def flattened(inputs: Array) -> Array:
    """(N, ...) as (N, D) float32; bytes come as 0 to 1.

    >>> flattened(np.full((2, 8, 8), 255, np.uint8)).shape
    (2, 64)
    """
    return scaled(inputs).reshape(len(inputs), int(np.prod(inputs.shape[1:])))


def channels_first(inputs: Array) -> Array:
    """(N, H, W) or (N, H, W, C) pictures as (N, C, H, W) float32; bytes come as 0 to 1.

    Raises:
        InputError: not pictures.

    >>> channels_first(np.zeros((2, 8, 9, 3))).shape
    (2, 3, 8, 9)
    """
    if inputs.ndim not in (3, 4):
        raise InputError(f"Pictures are (N, H, W) or (N, H, W, C), not {inputs.shape}.")
    deep = inputs[:, None] if inputs.ndim == 3 else np.moveaxis(inputs, 3, 1)
    return np.ascontiguousarray(scaled(deep))


def scaled(inputs: Array) -> Array:
    """Pixels (N, H, W) or (N, H, W, C) as float32; uint8 pixels from 0 to 255 become 0 to 1."""
    return inputs.astype(np.float32) / np.float32(255) if inputs.dtype == np.uint8 else inputs.astype(np.float32)
