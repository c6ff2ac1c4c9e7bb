"""A few inputs are multiplied one by one, so that each is answered by the same bits alone as beside others.

BLAS rounds a row among others otherwise than alone. Whoever asks about one input shall get the same answer whether or
not somebody else asks at the same moment.
"""

from __future__ import annotations

from engram.learner import FloatArray

FEW = 16
"""Inputs at most that are multiplied one by one."""
SMALL = 2**16
"""Values at most of a matrix that stays in the cache, so that one by one takes hardly longer than together."""


def times(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    """(N, K) rows times a (D, K) matrix, or (N,) times a (D,) vector.

    Each is to the bit what it is alone, where there are at most `together(matrix.size)` rows.
    """
    if 1 < len(rows) <= together(matrix.size):
        product: FloatArray = (rows[:, None] @ matrix)[:, 0]
        return product
    return rows @ matrix


def together(size: int) -> int:
    """How many rows may be multiplied at once, each to the bit as alone, by a matrix of so many values.

    >>> together(64 * 64), together(1280 * 1280)
    (16, 1)
    """
    return FEW if size <= SMALL else 1
