"""The same sentence said by another person: cepstra at another speed, from another vocal tract, with gaps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from engram.lab.data_sets.an4 import COEFFICIENTS, Frames

BANDS = 40  # mel bands behind the cepstra
SPEED = 0.15
TRACT = 0.12
GAPS = 2
LONGEST_GAP = 15  # frames


def another_speaker(cepstra: Frames, rng: np.random.Generator) -> Frames:
    """Up to 15% faster or slower, and formants up to 12% higher or lower, as of a shorter or longer vocal tract.

    Args:
        cepstra: (T, 13), not normalised.
    """
    steps = max(1, round(len(cepstra) * rng.uniform(1 - SPEED, 1 + SPEED)))
    place = np.linspace(0, len(cepstra) - 1, steps)
    low = place.astype(np.intp)
    share = (place - low).astype(np.float32)[:, None]
    faster = cepstra[low] * (1 - share) + cepstra[np.minimum(low + 1, len(cepstra) - 1)] * share
    return faster @ vocal_tract(round(float(rng.uniform(1 - TRACT, 1 + TRACT)), 2))


def with_gaps(frames: Frames, rng: np.random.Generator) -> Frames:
    """Two gaps of up to 15 frames, and up to a tenth of the whole, in which nothing is heard (after Park et al. 2019).

    Args:
        frames: (T, K), normalised: silence is 0.
    """
    frames = frames.copy()
    for _ in range(GAPS):
        gap = int(rng.integers(0, min(LONGEST_GAP, len(frames) // 10) + 1))
        start = int(rng.integers(0, len(frames) - gap + 1))
        frames[start:start + gap] = 0
    return frames


@lru_cache(maxsize=64)
def vocal_tract(stretch: float) -> npt.NDArray[np.float32]:
    """(13, 13) float32: what cepstra are multiplied with, from the right, to stretch the mel axis under them.

    The cepstra are turned into the smooth log-spectrum they stand for, which is read at stretched places and turned
    back: all linear, hence one matrix.

    >>> np.allclose(vocal_tract(1.0), np.eye(13), atol=1e-6)
    True
    """
    cosines = np.sqrt(2 / BANDS) * np.cos(np.pi * np.outer(np.arange(COEFFICIENTS), np.arange(BANDS) + 0.5) / BANDS)
    cosines[0] /= np.sqrt(2)
    place = np.clip(np.arange(BANDS) * stretch, 0, BANDS - 1)
    low = place.astype(np.intp)
    reading = np.zeros((BANDS, BANDS))
    reading[np.arange(BANDS), low] += 1 - (place - low)
    reading[np.arange(BANDS), np.minimum(low + 1, BANDS - 1)] += place - low
    matrix: npt.NDArray[np.float32] = (cosines @ reading @ cosines.T).T.astype(np.float32)
    return matrix
