"""Scores as probabilities: the softmax temperature that fits examples best (Guo et al. 2017, arXiv 1706.04599)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engram.learner import FloatArray

_CANDIDATES = np.geomspace(1e-2, 1e2, 17)
_MOST = -float(np.log(1e-12))  # nats that one example costs

Rough = npt.NDArray[np.float32]


class Tempered(NamedTuple):
    """The best temperature, and what each example's true label costs at it: (M,) −ln of its probability."""

    temperature: float
    losses: FloatArray

    def better_than(self, other: Tempered, errors: float) -> bool:
        """Whether it costs less on the same examples, by that many standard errors of the mean difference."""
        gain = other.losses - self.losses
        return bool(gain.mean() > errors * gain.std() / np.sqrt(len(gain)))


def temper(scores: FloatArray, truth: npt.NDArray[np.intp], near: float = 1.0) -> Tempered:
    """Fit the temperature to (M, C) scores, −inf where there is none, and the true columns.

    Args:
        near: a guess, from which the search sets out; what is found does not depend on it.

    The mean cost is convex in 1/T: the candidates are halved by the sign of its slope, in single precision.

    >>> sharp = temper(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))
    >>> sharp.temperature
    0.01
    """
    there = np.isfinite(scores)
    if not there.all():
        scores = np.where(there, scores, scores[there].min())
    ahead = scores.T - scores[np.arange(len(truth)), truth]  # (C, M): summed over classes faster than (M, C)
    best = ahead.max(axis=0)
    ahead -= best
    rough, roughly = ahead.astype(np.float32), best.astype(np.float32)
    costs: dict[int, float] = {}
    low, high, guess = 0, len(_CANDIDATES), int(np.searchsorted(_CANDIDATES, near))
    while low < high:  # the first candidate beyond which a higher temperature costs more
        middle = guess if low <= guess < high and len(costs) < 2 else (low + high) // 2
        costs[middle], slope = _cost_and_slope(rough, roughly, _CANDIDATES[middle])
        low, high = (middle + 1, high) if slope > 0.0 else (low, middle)
        guess = middle + 1 if slope > 0.0 else middle - 1
    chosen = _CANDIDATES[min((some for some in (low - 1, low) if some in costs), key=lambda some: costs[some])]
    losses = np.log(np.exp(ahead / chosen).sum(axis=0)) + best / chosen
    return Tempered(float(chosen), np.minimum(losses, _MOST))


def _cost_and_slope(ahead: Rough, best: Rough, temperature: float) -> tuple[float, float]:
    """The mean of −ln of the probability of the true class, and whence it goes with 1/T.

    Args:
        ahead: (C, M) how far scores lie above the best; best: (M,) how far that one lies above the true one.
    """
    inverse = np.float32(1.0 / temperature)
    shares = np.exp(ahead * inverse)
    total = shares.sum(axis=0)
    shares *= ahead
    cost = np.log(total).mean(dtype=np.float64) + inverse * best.mean(dtype=np.float64)
    return float(cost), float((shares.sum(axis=0) / total + best).mean(dtype=np.float64))
