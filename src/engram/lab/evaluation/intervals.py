"""Mean, spread and confidence over seeds."""

from __future__ import annotations

import math
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
        raise InputError("An interval needs at least one value.")
    mean, n = float(array.mean()), len(array)
    if n == 1:
        return Interval(mean, 0.0, mean, mean, 1)
    sd = float(array.std(ddof=1))
    half = student_quantile(confidence, n - 1) * sd / n**0.5
    return Interval(mean, sd, mean - half, mean + half, n)


def student_quantile(confidence: float, freedom: int) -> float:
    """The t that |T| stays under with this probability, T having Student's distribution; by bisection.

    >>> round(student_quantile(0.95, 4), 3)
    2.776
    """
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _share_within(middle, freedom) < confidence else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _share_within(angle: float, freedom: int) -> float:
    """P(|T| < √freedom · tan angle): Abramowitz, Stegun 1964, 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2 == 1
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for power in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
