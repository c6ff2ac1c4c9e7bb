"""Schedules of the learning rate: by which factor it is multiplied when a share of the steps is done."""

from __future__ import annotations

import math
from collections.abc import Callable

from engram.learner import InputError

WARM_UP = 0.05  # share of the steps in which the rate rises


def annealed(share: float) -> float:
    """A short rise, then half a cosine to zero (Loshchilov, Hutter 2017).

    >>> [round(annealed(share), 2) for share in (0, 0.025, 0.05, 0.525, 1)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return min(share / WARM_UP, 0.5 * (1 + math.cos(math.pi * max(share - WARM_UP, 0) / (1 - WARM_UP))))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "linear": lambda share: 1.0 - share,
    "cosine": lambda share: 0.5 * (1 + math.cos(math.pi * share)),
    "warm-up-cosine": annealed,
}


def factor_of(schedule: str, share: float) -> float:
    """The factor of a schedule.

    Args:
        share: of the steps that are done, in [0, 1].

    Raises:
        InputError: no such schedule.

    >>> factor_of("linear", 0.25)
    0.75
    """
    if schedule not in SCHEDULES:
        raise InputError(f"schedule must be one of {', '.join(SCHEDULES)}, not {schedule!r}.")
    return SCHEDULES[schedule](share)
