"""How far to trust an answer that rests on distances alone."""

from __future__ import annotations

import numpy as np

from engram.heads.head import softmax
from engram.learner import FloatArray

_SHARPNESS = 12.0  # a lead of a twelfth of the mean distance makes the odds e : 1


def by_distance(distances: FloatArray) -> FloatArray:
    """(N,) in [0, 1], from the squared distances (N, C) to the candidates: a softmax that knows no unit.

    >>> by_distance(np.array([[0.1, 1.0, 1.2], [1.0, 1.0, 1.0]])).round(2).tolist()
    [1.0, 0.33]
    """
    mean = np.maximum(distances.mean(axis=1, keepdims=True), 1e-12)
    confidence: FloatArray = softmax(-_SHARPNESS * distances / mean).max(axis=1)
    return confidence
