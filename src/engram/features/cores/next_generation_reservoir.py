"""Next-generation reservoir (Gauthier et al. 2021, arXiv 2106.07688): delayed frames and their products."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Any, ClassVar, Self

import numpy as np

from engram.features.cores.core import Arrays, check_count, heard, read_only
from engram.learner import FloatArray, InputError, State

_MOST = 20_000  # outputs


class NextGenerationReservoir:
    """The current frame, delayed ones, and all products of up to `degree` of their values.

    Args:
        arrays: none: it computes with nothing that was drawn or trained.
        channels: values of a frame.
        delays: how many frames are looked at, the current one included.
        stride: frames from one to the next.
        degree: factors of a product at most.

    Before enough frames came, those that are missing count as zeros.

    >>> core = NextGenerationReservoir.fresh(channels=1, delays=2)
    >>> core.advance(core.start(1), [[[2.0], [3.0]]], [[1, 1]])[1][0].tolist()
    [[2.0, 0.0, 4.0, 0.0, 0.0], [3.0, 2.0, 9.0, 6.0, 4.0]]
    """

    kind: ClassVar[str] = "next-generation-reservoir"
    flows = False

    def __init__(
        self, arrays: Arrays | None = None, *, channels: int, delays: int = 3, stride: int = 1, degree: int = 2
    ) -> None:
        self.arrays: Arrays = read_only(arrays or {}, {})
        self.channels, self.delays = check_count("channels", channels), check_count("delays", delays)
        self.stride, self.degree = check_count("stride", stride), check_count("degree", degree)
        self._span = (delays - 1) * stride + 1
        self.width = sum(_count(channels * delays, degree) for degree in range(1, degree + 1))
        if self.width > _MOST:
            raise InputError(f"{delays} delays of {channels} channels have {self.width:,} products of up to {degree}; "
                             f"at most {_MOST:,} are computed: use fewer delays, or a lower degree.")
        self._products = list(_products(channels * delays, degree))

    @classmethod
    def fresh(cls, channels: int, *, seed: int = 0, **settings: Any) -> Self:
        """One for frames of so many channels; there is nothing to draw."""
        return cls(channels=channels, **settings)

    def start(self, n: int) -> State:
        """See `Core.start`."""
        return {"line": np.zeros((check_count("n", n), self._span, self.channels))}

    def advance(self, state: State, frames: Any, dt: Any) -> tuple[State, FloatArray]:
        """See `Core.advance`. Delays are counted in frames, whatever the time between them."""
        given = heard(self, state, frames, dt)
        line = state["line"]
        seen = np.empty((*given.dt.shape, self.delays * self.channels))
        for t in range(given.dt.shape[1]):
            moved = np.concatenate([given.frames[:, t, None], line[:, :-1]], axis=1)
            line = np.where(given.dt[:, t, None, None] > 0, moved, line)
            seen[:, t] = line[:, :: self.stride].reshape(len(line), -1)
        return {"line": line}, np.concatenate([seen, *(seen[..., some].prod(-1) for some in self._products)], axis=-1)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"channels": self.channels, "delays": self.delays, "stride": self.stride, "degree": self.degree}


def _products(values: int, degree: int) -> Iterator[Any]:
    """Of each degree from 2 on, (products, factors) the places of the values that are multiplied."""
    for factors in range(2, degree + 1):
        yield np.array(list(combinations_with_replacement(range(values), factors)))


def _count(values: int, factors: int) -> int:
    """Products of so many factors, in any order."""
    found = 1
    for k in range(factors):
        found = found * (values + k) // (k + 1)
    return found
