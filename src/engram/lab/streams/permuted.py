"""The same classes with values permuted: every experience another domain.

Permuted MNIST: I. Goodfellow, M. Mirza, D. Xiao, A. Courville, Y. Bengio, "An empirical investigation of catastrophic
forgetting in gradient-based neural networks", arXiv 1312.6211, 2013.
"""

from __future__ import annotations

import numpy as np

from engram.lab.data_sets.data_set import Array, Change, DataSet
from engram.lab.streams.domains import domains
from engram.lab.streams.stream import Stream
from engram.learner import InputError


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
