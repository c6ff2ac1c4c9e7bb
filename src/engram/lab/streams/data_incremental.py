"""More data of the same kind, portion after portion, or one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engram.lab.data_sets.data_set import DataSet
from engram.lab.streams.arrival import ORDERS, Indices, shuffled
from engram.lab.streams.stream import Experience, Stream, hold_out
from engram.learner import InputError


def data_incremental(data: DataSet, portions: int = 10, *, held_out: float | int = 0, seed: int = 0) -> Stream:
    """Equal random portions of the training part, every one about all classes and asked about the whole test part.

    Ten portions of MNIST with `held_out=5000` are 5,500 examples each, and 5,000 for validation.

    Args:
        portions: how many; their sizes differ by one example at most. One portion is all data at once.
        held_out: a share of the training examples, or a number of them, that is not taught; the same for all portions.
        seed: of the draws.

    Raises:
        InputError: no portion, or more portions than examples.
    """
    parts = hold_out(data, held_out, seed)
    if not 1 <= portions <= len(parts.taught):
        raise InputError(f"{len(parts.taught)} examples cannot come in {portions} portions.")
    order = parts.taught[next(shuffled(parts.taught, seed, len(parts.taught)))]
    return Stream(
        f"{data.name}, data-incremental", _sharing_tests(parts.all_of, np.array_split(order, portions), "portion"),
        {"data": data.name, "arrival": "data", "portions": portions, "held_out": held_out, "seed": seed},
    )


def one_by_one(
    data: DataSet, looks: int = 10, *, order: str = "shuffled", held_out: float | int = 0, seed: int = 0
) -> Stream:
    """Every example taught on its own, in some order; asked about the whole test part `looks` times on the way.

    Any stream can be taught one by one: `stream.in_batches(1)`.

    Args:
        looks: how many experiences the examples are cut into.
        order: of the examples: "shuffled", "class-by-class" or "one-per-class"; see `arrival`.
        held_out, seed: see `data_incremental`.

    Raises:
        InputError: no look, more looks than examples, or an order there is not.
    """
    if order not in ORDERS:
        raise InputError(f"Unknown order {order!r}. Choose from: {', '.join(ORDERS)}.")
    parts = hold_out(data, held_out, seed)
    if not 1 <= looks <= len(parts.taught):
        raise InputError(f"{len(parts.taught)} examples cannot be looked at {looks} times on the way.")
    arriving = np.concatenate(list(ORDERS[order](data.train_labels[parts.taught], seed)))
    return Stream(
        f"{data.name}, one by one",
        _sharing_tests(parts.all_of, np.array_split(parts.taught[arriving], looks), "look"),
        {"data": data.name, "arrival": "one-by-one", "order": order, "looks": looks,
         "held_out": held_out, "seed": seed},
        batch=1,
    )


def _sharing_tests(
    make: Callable[[str, Indices], Experience], portions: list[Indices], kind: str
) -> tuple[Experience, ...]:
    """An experience for each portion; they share one test and one held-out part."""
    made = [make(f"{kind} {number}", places) for number, places in enumerate(portions, 1)]
    return tuple(replace(each, test=made[0].test, held_out=made[0].held_out) for each in made)
