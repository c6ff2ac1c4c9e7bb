"""m0 and S0 in an eighth of the bytes, for a bundle that ships: correlations to 16 bits, each once.

S0 of D features is kept as D standard deviations and D(D − 1)/2 correlations, rounded to 1/32767. For 1,280 features
that is 1.6 MB instead of 13. What rounding changes is far below what another sample of pictures would.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from engram.learner import DamagedError, FloatArray
from engram.packing import pack

LEVELS = 32767


def statistics_file(mean: FloatArray, covariance: FloatArray, freedom: int) -> bytes:
    """The content of the file.

    Args:
        mean: m0, (D,) float64.
        covariance: S0, (D, D) float64.
        freedom: examples less classes that S0 was measured on.
    """
    deviations = np.sqrt(covariance.diagonal())
    unit = np.where(deviations > 0, deviations, 1.0)
    correlations = (covariance / np.outer(unit, unit))[np.triu_indices(len(mean), 1)]
    return pack({
        "mean": mean.astype(np.float32),
        "deviations": deviations.astype(np.float32),
        "correlations": np.rint(LEVELS * np.clip(correlations, -1, 1)).astype(np.int16),
        "freedom": np.array([freedom], np.int64),
    })


def read_statistics(path: Path) -> tuple[FloatArray, FloatArray, int]:
    """m0 (D,), S0 (D, D) and its degrees of freedom.

    Raises:
        DamagedError: the file is missing, damaged or something else.
    """
    try:
        arrays = load(path.read_bytes())
        deviations = arrays["deviations"].astype(np.float64)
        covariance = np.zeros((len(deviations), len(deviations)))
        covariance[np.triu_indices(len(deviations), 1)] = arrays["correlations"] / LEVELS
        covariance += covariance.T + np.eye(len(deviations))
        covariance *= np.outer(deviations, deviations)
        return arrays["mean"].astype(np.float64), covariance, int(arrays["freedom"][0])
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise DamagedError(f"The statistics in {path} cannot be read: {error}") from error
