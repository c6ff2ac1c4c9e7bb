"""All training examples in every experience, each time looking otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from engram.lab.data_sets.data_set import Change, DataSet
from engram.lab.streams.stream import Stream, hold_out


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
