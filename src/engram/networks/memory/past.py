"""What is kept of the past, as whoever replays it sees it: examples, codes of them, or a model of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from engram.learner import State

Array = npt.NDArray[Any]


class Drawn(NamedTuple):
    """Examples of the past.

    Attributes:
        inputs: (K, …), of the shape and dtype of what was added.
        targets: (K,), of the dtype of what was added: the places of their labels.
        weights: (K,) float32, each at least 0: what an example counts in a mean over them; 1 where all count alike.
    """

    inputs: Array
    targets: Array
    weights: npt.NDArray[np.float32]


class Past(Protocol):
    """What is kept of the examples that were added: a buffer of them, or a generator that was trained on them.

    A strategy registers one as a part: what it holds is then saved, restored where learning is interrupted, and
    counted. Random choices follow from the generator that is passed in.
    """

    @property
    def labels(self) -> tuple[int, ...]:
        """The places of the labels that can be drawn, ascending; none before anything was added."""
        ...

    @property
    def nbytes(self) -> int:
        """What it takes, in bytes."""
        ...

    def __len__(self) -> int:
        """How many examples are kept, as such or as codes; 0 for a generator."""
        ...

    def add(self, rng: np.random.Generator, inputs: Array, targets: Array, /) -> None:
        """Take in (N, …) inputs and their (N,) targets, integers, in their order of arrival.

        Raises:
            InputError: they do not fit what was added before; nothing is changed.
        """
        ...

    def draw(self, count: int, rng: np.random.Generator, labels: Collection[int] | None = None) -> Drawn:
        """`count` examples, with replacement; copies.

        Args:
            labels: of these alone; None: of all.

        Raises:
            InputError: there is nothing of the kind to draw from.
        """
        ...

    def forget(self, labels: Collection[int]) -> None:
        """Be as if nothing of these labels had been added, as far as can be; unknown labels are fine."""
        ...

    def state(self) -> State:
        """All of it as arrays, copies."""
        ...

    @classmethod
    def from_state(cls, state: Mapping[str, Array]) -> Self:
        """What `state` described.

        Raises:
            DamagedError: an entry is missing or does not fit.
        """
        ...
