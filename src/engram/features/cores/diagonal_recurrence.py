"""Diagonal linear recurrence (S4D: Gu et al. 2022, arXiv 2206.11893; LRU: Orvieto et al. 2023, arXiv 2303.06349)."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from engram.features.cores.core import Arrays, check_count, heard, read_only
from engram.learner import FloatArray, InputError, State

_PORTION = 1024  # frames of one scan: bounds the memory that a long sequence takes


class DiagonalRecurrence:
    """dx/dt = λ x + B u with complex λ, one for each mode, solved exactly while the frame u stands still.

    x ← a x + (a − 1)/λ B u with a = exp(λ dt). As each step is linear, L frames are one scan: log₂ L passes over arrays
    (Hillis and Steele 1986). Outputs are the real parts of all modes, then the imaginary parts.

    Args:
        arrays: "poles" (2, N), the real and the imaginary part of λ, and "input" (2, channels, N), those of B.
        channels: values of a frame.
        width: 2 N.

    >>> core = DiagonalRecurrence.fresh(channels=1, width=8)
    >>> whole = core.advance(core.start(1), np.ones((1, 9, 1)), np.full((1, 9), 0.5))[1]
    >>> bool(np.allclose(whole[:, -1], core.advance(core.start(1), [[[1.0]]], [[4.5]])[1][:, 0]))
    True
    """

    kind: ClassVar[str] = "diagonal-recurrence"
    flows = True

    def __init__(self, arrays: Arrays, *, channels: int, width: int) -> None:
        self.channels, self.width = check_count("channels", channels), check_count("width", width, 2)
        if width % 2:
            raise InputError(f"width counts real and imaginary parts, so it is even, not {width}.")
        self.arrays: Arrays = read_only(arrays, {"poles": (2, width // 2), "input": (2, channels, width // 2)})
        self._poles = self.arrays["poles"][0] + 1j * self.arrays["poles"][1]
        if not (self._poles.real < 0).all():
            raise InputError("The real part of every pole is below 0, or what was heard once grows without end.")
        self._input = (self.arrays["input"][0] + 1j * self.arrays["input"][1]) / self._poles

    @classmethod
    def fresh(
        cls, channels: int, width: int = 128, *, longest: float = 100.0, fastest: float = 1.0, seed: int = 0
    ) -> Self:
        """Modes that fade within 1 to `longest` units of time, evenly on the logarithmic scale, and turn by 0 to
        `fastest` radians in one; each hears the frame with about the gain 1."""
        rng, modes = np.random.default_rng(seed), width // 2
        rates = np.exp(rng.uniform(-np.log(max(longest, 1.0)), 0.0, modes))
        poles = np.stack([-rates, rng.uniform(0.0, fastest, modes)])
        gains = np.sqrt(2 * rates / channels / 2)
        return cls({"poles": poles, "input": rng.normal(size=(2, channels, modes)) * gains}, channels=channels,
                   width=width)

    def start(self, n: int) -> State:
        """See `Core.start`: real parts, then imaginary parts."""
        return {"modes": np.zeros((check_count("n", n), 2, self.width // 2))}

    def advance(self, state: State, frames: Any, dt: Any) -> tuple[State, FloatArray]:
        """See `Core.advance`."""
        given = heard(self, state, frames, dt)
        modes, parts = state["modes"][:, 0] + 1j * state["modes"][:, 1], []
        for begin in range(0, given.dt.shape[1], _PORTION):
            some = slice(begin, begin + _PORTION)
            factors = np.exp(self._poles * given.dt[:, some, None])
            sums = (factors - 1) * (given.frames[:, some] @ self._input)
            sums[:, 0] += factors[:, 0] * modes
            parts.append(_scanned(factors, sums))
            modes = parts[-1][:, -1]
        whole = np.concatenate(parts, axis=1)
        return ({"modes": np.stack([modes.real, modes.imag], axis=1)},
                np.concatenate([whole.real, whole.imag], axis=-1))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments beside the arrays."""
        return {"channels": self.channels, "width": self.width}


def _scanned(factors: npt.NDArray[Any], sums: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """x_t = factors_t x_{t−1} + sums_t for all t of (n, L, N), from x = 0; both arrays are used up."""
    reach = 1
    while reach < sums.shape[1]:
        sums[:, reach:] += factors[:, reach:] * sums[:, :-reach]
        factors[:, reach:] = factors[:, reach:] * factors[:, :-reach]
        reach *= 2
    return sums
