"""Domain-incremental streams: every experience has all training examples, changed in its own way.

Values permuted (Permuted MNIST): I. Goodfellow, M. Mirza, D. Xiao, A. Courville, Y. Bengio, "An empirical investigation
of catastrophic forgetting in gradient-based neural networks", arXiv 1312.6211, 2013. Pictures turned (Rotated MNIST):
D. Lopez-Paz, M. Ranzato, "Gradient episodic memory for continual learning", NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engram.lab.data_sets.data_set import Array, Change, DataSet
from engram.lab.streams.stream import Stream, hold_out
from engram.learner import InputError


def domains(
    name: str, data: DataSet, changes: Mapping[str, Change | None], settings: Mapping[str, Any],
    held_out: float | int = 0, seed: int = 0,
) -> Stream:
    """A domain-incremental stream: the same classes, the inputs of every experience changed in its own way.

    Args:
        changes: the experience's name -> what happens to its inputs, training, held-out and test ones alike; None for
            nothing.
        settings: what describes the stream, as JSON values.
        held_out, seed: see `class_incremental`.
    """
    parts = hold_out(data, held_out, seed)
    rng = np.random.default_rng([seed, 6])
    experiences = []
    for label, change in changes.items():
        plain = parts.all_of(label, rng.permutation(parts.taught))
        experiences.append(plain if change is None else replace(
            plain, train=plain.train.map(change), held_out=plain.held_out.map(change), test=plain.test.map(change)))
    return Stream(name, tuple(experiences), settings)


def permuted(data: DataSet, experiences: int = 10, *, held_out: float | int = 0, seed: int = 0) -> Stream:
    """All training examples in every experience, the values of each input in a fixed random order; first as they are.

    Args:
        experiences: how many orders.
        held_out, seed: see `class_incremental`; the seed also draws the orders.

    Raises:
        InputError: no experience.
    """
    if experiences < 1:
        raise InputError(f"A stream has one experience or more, not {experiences}.")
    width = int(np.prod(data.train_inputs[np.array([0])].shape[1:]))
    rng = np.random.default_rng([seed, 5])
    changes: dict[str, Change | None] = {"as it is": None}
    for number in range(1, experiences):
        changes[f"order {number}"] = _permuting(rng.permutation(width))
    settings = {"data": data.name, "arrival": "permuted", "experiences": experiences, "held_out": held_out,
                "seed": seed}
    return domains(f"{data.name}, permuted", data, changes, settings, held_out, seed)


def _permuting(order: Array) -> Change:
    return lambda inputs: inputs.reshape(len(inputs), -1)[:, order].reshape(inputs.shape)


AT_ONCE = 512
"""Pictures turned together: what they take in memory stays small."""


def rotated(
    data: DataSet, angles: Sequence[float] = (0, 36, 72, 108, 144), *, held_out: float | int = 0, seed: int = 0
) -> Stream:
    """All training pictures in every experience, turned by an angle of its own.

    Args:
        data: pictures (N, H, W) or (N, H, W, C).
        angles: degrees, counter-clockwise, one for each experience.
        held_out, seed: see `class_incremental`.

    Raises:
        InputError: no angle, the same angle twice, or inputs that are not pictures.
    """
    shape = data.train_inputs[np.array([0])].shape[1:]
    if len(shape) not in (2, 3):
        raise InputError(f"Only pictures (H, W) or (H, W, C) can be turned, not inputs of shape {shape}.")
    if not len(angles) or len(set(angles)) < len(angles):
        raise InputError("Every experience has an angle of its own; give one or more.")
    changes: dict[str, Change | None] = {f"{angle:.15g}°": _turning(angle) if angle % 360 else None for angle in angles}
    settings = {"data": data.name, "arrival": "rotated", "angles": list(angles), "held_out": held_out, "seed": seed}
    return domains(f"{data.name}, rotated", data, changes, settings, held_out, seed)


def turned(pictures: Array, angle: float) -> Array:
    """Pictures (N, H, W) or (N, H, W, C) turned about their middle, bilinear, what comes from outside being 0.

    >>> turned(np.arange(4.0).reshape(1, 2, 2), 90)[0].tolist()
    [[1.0, 3.0], [0.0, 2.0]]
    """
    height, width = pictures.shape[1:3]
    y, x = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    sine, cosine = (round(float(f(np.deg2rad(angle))), 12) for f in (np.sin, np.cos))
    from_y = x * sine + y * cosine + (height - 1) / 2
    from_x = x * cosine - y * sine + (width - 1) / 2
    top, left = np.floor(from_y).astype(np.intp), np.floor(from_x).astype(np.intp)
    result = np.zeros(pictures.shape, np.float32)
    for down in (0, 1):
        for right in (0, 1):
            row, column = top + down, left + right
            weight = (1 - np.abs(from_y - row)) * (1 - np.abs(from_x - column))
            weight[(row < 0) | (row >= height) | (column < 0) | (column >= width)] = 0
            taken = pictures[:, row.clip(0, height - 1), column.clip(0, width - 1)]
            result += taken * weight.astype(np.float32).reshape(height, width, *[1] * (pictures.ndim - 3))
    return np.rint(result).astype(pictures.dtype) if pictures.dtype.kind in "iu" else result.astype(pictures.dtype)


def _turning(angle: float) -> Change:
    def turn(pictures: Array) -> Array:
        if not len(pictures):
            return pictures
        return np.concatenate([turned(pictures[i : i + AT_ONCE], angle) for i in range(0, len(pictures), AT_ONCE)])

    return turn
