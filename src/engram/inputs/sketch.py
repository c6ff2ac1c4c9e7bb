"""Sketches of vectors: 64 signs that say whether two vectors are nearly the same, and nothing else.

Of two vectors at an angle θ each sign differs with probability θ/π (Charikar 2002, "Similarity estimation techniques
from rounding algorithms"). The same picture, saved again or mirrored, differs in a few; another one in about thirty.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SIGNS = 64

_SAME = 8  # signs by which sketches of the same thing may differ

Sketches = npt.NDArray[np.uint8]


def sketches(vectors: npt.NDArray[np.floating]) -> Sketches:
    """(N, 8) bytes of (N, D) vectors, counted from the mean of their kind.

    >>> one = np.random.default_rng(0).normal(size=(1, 50))
    >>> bool((sketches(one) == sketches(3 * one)).all())
    True
    """
    directions = np.random.default_rng(0).normal(size=(vectors.shape[1], SIGNS))
    return np.packbits(vectors @ directions > 0, axis=1)


def seen_among(some: Sketches, others: Sketches) -> npt.NDArray[np.bool_]:
    """(N,) whether each of (N, 8) sketches is nearly one of (M, 8) others."""
    if not len(some) or not len(others):
        return np.zeros(len(some), bool)
    one, two = (2.0 * np.unpackbits(bits, axis=1).astype(np.float32) - 1.0 for bits in (some, others))
    alike: npt.NDArray[np.bool_] = (one @ two.T).max(axis=1) >= SIGNS - 2 * _SAME
    return alike
