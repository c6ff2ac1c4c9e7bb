"""A stream: a data set as it arrives, one experience after another, each with its own test part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np

from engram.lab.data_sets.data_set import Array, Change, Changed, DataSet, Indices, Rows, divided
from engram.learner import InputError, Label

HELD_OUT = 1
"""Beside the seed, what the draw of the held-out examples depends on: it is the same for every kind of stream."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Some labelled inputs of a data set; the inputs are made when asked for, and not kept.

    Attributes:
        rows: where the inputs come from.
        places: (N,) which of the rows, in this order.
        labels: (N,) int64 or texts, one for each place.
    """

    rows: Rows
    places: Indices
    labels: Array

    @property
    def inputs(self) -> Array:
        """(N, ...): all of them, made now."""
        return self.rows[self.places]

    def __len__(self) -> int:
        return len(self.places)

    def __repr__(self) -> str:
        return f"<{len(self)} examples>"

    def part(self, start: int, stop: int) -> Examples:
        """Those from `start` up to `stop`."""
        return replace(self, places=self.places[start:stop], labels=self.labels[start:stop])

    def batches(self, size: int) -> Iterator[Examples]:
        """All of them in order, `size` at a time; the last may be fewer."""
        return (self.part(start, start + size) for start in range(0, len(self), size))

    def map(self, change: Change) -> Examples:
        """The same with inputs that go through `change` when asked for."""
        return replace(self, rows=Changed(self.rows, change))


@dataclass(frozen=True, eq=False)
class Experience:
    """A portion of a stream.

    Attributes:
        name: what it is, such as "0, 1".
        train: what is taught.
        held_out: not taught, for choosing settings; empty unless the stream holds examples out.
        test: what is asked afterwards. Experiences with the same test part share the object.
        classes: the labels that this experience is about.
        among: the labels that an answer is chosen from where the task is told with the question
            (task-incremental), else None.
    """

    name: str
    train: Examples
    held_out: Examples
    test: Examples
    classes: tuple[Label, ...]
    among: tuple[Label, ...] | None = None

    @property
    def inputs(self) -> Array:
        """(N, ...): the inputs that are taught, made now."""
        return self.train.inputs

    @property
    def labels(self) -> Array:
        """(N,): their labels."""
        return self.train.labels


@dataclass(frozen=True, eq=False)
class Stream(Sequence[Experience]):
    """Experiences in the order in which they arrive.

    Attributes:
        name: what it is called in reports, such as "mnist, class-incremental".
        experiences: one or more.
        settings: what it was made with, as JSON values.
        batch: how many examples are taught at once; None for a whole experience.
        left_out: each class that no experience is about, and how many test examples of it are therefore not asked
            about.

    >>> from engram.lab.streams import class_incremental, from_arrays
    >>> stream = class_incremental(from_arrays(np.eye(8), [0, 1, 2, 3] * 2, test=0.5))
    >>> [(experience.name, experience.inputs.shape) for experience in stream]
    [('0, 1', (2, 8)), ('2, 3', (2, 8))]
    >>> stream[0].train
    <2 examples>
    """

    name: str
    experiences: tuple[Experience, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    batch: int | None = None
    left_out: tuple[tuple[Label, int], ...] = ()

    def __post_init__(self) -> None:
        if not self.experiences:
            raise InputError(f"{self.name}: a stream has one experience or more.")
        if self.batch is not None and self.batch < 1:
            raise InputError(f"A batch has at least one example, not {self.batch}.")

    def __len__(self) -> int:
        return len(self.experiences)

    @overload
    def __getitem__(self, index: int) -> Experience: ...
    @overload
    def __getitem__(self, index: slice) -> Stream: ...
    def __getitem__(self, index: int | slice) -> Experience | Stream:
        if isinstance(index, slice):
            return replace(self, experiences=self.experiences[index])
        return self.experiences[index]

    @property
    def classes(self) -> tuple[Label, ...]:
        """All labels, in the order of the experiences."""
        return tuple(dict.fromkeys(label for experience in self for label in experience.classes))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, as it arrives."""
        return self[0].train.part(0, 1).inputs.shape[1:]

    def map(self, change: Change) -> Stream:
        """The same stream with inputs that go through `change`, (N, ...) at a time, whenever they are asked for."""
        return self._each_part(lambda part: part.map(change))

    def in_batches(self, size: int) -> Stream:
        """The same stream, taught `size` examples at a time; 1 for one by one."""
        return replace(self, batch=size)

    def validation(self) -> Stream:
        """The same stream, asking about the examples held out in place of the test part: for choosing settings.

        Raises:
            InputError: an experience has none held out.
        """
        if not all(len(experience.held_out) for experience in self):
            raise InputError(f"{self.name}: an experience has nothing held out; make the stream with held_out=0.1.")
        asked = tuple(replace(experience, test=experience.held_out) for experience in self)
        return replace(self, name=f"{self.name}, validation", experiences=asked, left_out=())

    def fingerprint(self) -> str:
        """SHA-256 of what arrives and what is asked: every place and label, the settings, and some of the inputs."""
        total = hashlib.sha256(json.dumps([self.name, dict(self.settings), self.batch], sort_keys=True).encode())
        for experience in self:
            total.update(json.dumps([experience.name, experience.classes, experience.among]).encode())
            for part in (experience.train, experience.held_out, experience.test):
                first = part.part(0, 1).inputs if len(part) else np.empty(0)
                for array in (part.places, part.labels, first):
                    total.update(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

    def _each_part(self, change: Callable[[Examples], Examples]) -> Stream:
        """Every part changed once: parts that were shared still are."""
        done: dict[int, Examples] = {}

        def changed(part: Examples) -> Examples:
            return done.setdefault(id(part), change(part))

        return replace(self, experiences=tuple(
            replace(experience, train=changed(experience.train), held_out=changed(experience.held_out),
                    test=changed(experience.test)) for experience in self))


@dataclass(frozen=True, eq=False)
class Divided:
    """A data set whose training part is divided: places to teach and places held out.

    Attributes:
        data: the data set.
        taught, held_out: (N,) places in its training part, sorted, without overlap.
    """

    data: DataSet
    taught: Indices
    held_out: Indices

    def train(self, places: Indices) -> Examples:
        """Examples of the training part."""
        return Examples(self.data.train_inputs, places, self.data.train_labels[places])

    def test(self, places: Indices) -> Examples:
        """Examples of the test part."""
        return Examples(self.data.test_inputs, places, self.data.test_labels[places])

    def all_of(self, name: str, places: Indices) -> Experience:
        """An experience of these training places, about every class: asked about the whole test part."""
        return Experience(name, self.train(places), self.train(self.held_out),
                          self.test(np.arange(len(self.data.test_labels))), self.data.classes)


def hold_out(data: DataSet, held_out: float | int, seed: int) -> Divided:
    """Hold some of the training examples out, the same share of each class, drawn by the seed.

    Args:
        held_out: a share in [0, 1), or, as an integer, a number of examples (5000 of MNIST's 60,000).

    Raises:
        InputError: more than there are, or a negative number.
    """
    count = len(data.train_labels)
    share = held_out / count if isinstance(held_out, int) and not isinstance(held_out, bool) else float(held_out)
    if not 0 <= share < 1:
        raise InputError(f"Of {count} examples {held_out} cannot be held out: give a share in [0, 1), or a number.")
    return Divided(data, *divided(data.train_labels, share, np.random.default_rng([seed, HELD_OUT])))
