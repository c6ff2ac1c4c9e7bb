"""Streams whose targets are numbers: one kind of inputs after another, each with its own test part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import FloatArray, InputError

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class NumberExperience:
    """A portion of such a stream.

    Attributes:
        name: what it is, such as "dogs".
        inputs, numbers: (N, ...) and (N, K), what is taught.
        test_inputs, test_numbers: (M, ...) and (M, K), what is asked afterwards.

    Raises:
        InputError: another number of numbers than of inputs, or none.
    """

    name: str
    inputs: Array
    numbers: FloatArray
    test_inputs: Array
    test_numbers: FloatArray

    def __post_init__(self) -> None:
        for part, inputs, numbers in (("taught", self.inputs, self.numbers),
                                      ("asked", self.test_inputs, self.test_numbers)):
            if len(inputs) != len(numbers) or not len(numbers) or numbers.ndim != 2:
                raise InputError(f"{self.name}: {len(inputs)} inputs {part} with numbers of shape {numbers.shape}; "
                                 "give (N, K) numbers for N inputs, one or more.")

    def batches(self, size: int) -> Iterator[tuple[Array, FloatArray]]:
        """What is taught, `size` at a time."""
        for start in range(0, len(self.inputs), size):
            yield self.inputs[start : start + size], self.numbers[start : start + size]


def from_arrays(name: str, inputs: Array, numbers: Array, *, test: float = 0.25, seed: int = 0) -> NumberExperience:
    """Your own data as an experience, some of it drawn to be asked about.

    Args:
        inputs: (N, ...).
        numbers: (N,) or (N, K).
        test: the share that is drawn.
        seed: of that draw.

    Raises:
        InputError: numbers of inputs and numbers that differ, or a part that is empty.

    >>> made = from_arrays("line", np.arange(8.0)[:, None], np.arange(8.0))
    >>> made.inputs.shape, made.test_numbers.shape
    ((6, 1), (2, 1))
    """
    values = np.asarray(numbers, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    order = np.random.default_rng([seed, len(inputs)]).permutation(len(inputs))
    asked, taught = order[: round(test * len(order))], order[round(test * len(order)) :]
    return NumberExperience(name, inputs[taught], values[taught], inputs[asked], values[asked])
