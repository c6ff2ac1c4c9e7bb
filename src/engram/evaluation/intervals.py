"""Mean, spread and confidence over seeds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engram.learner import InputError


class Interval(NamedTuple):
    """A mean over n runs: sample standard deviation, and the two-sided confidence interval of the mean."""

    mean: float
    sd: float
    low: float
    high: float
    n: int


def interval(values: Any, confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean of independent runs. One run has no spread: low = high = mean.

    Raises:
        InputError: no values.

    >>> [round(x, 2) for x in interval([98.8, 99.0, 98.9])]
    [98.9, 0.1, 98.65, 99.15, 3]
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    if not array.size:
        raise InputError("No values, no interval.")
    mean, n = float(array.mean()), len(array)
    if n == 1:
        return Interval(mean, 0.0, mean, mean, 1)
    from scipy.stats import t

    sd = float(array.std(ddof=1))
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * sd / n**0.5
    return Interval(mean, sd, mean - half, mean + half, n)
