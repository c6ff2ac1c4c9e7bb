"""Outputs of a core, folded over time into one feature vector, while they come."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from engram.features.cores.core import check_count
from engram.learner import FloatArray, InputError, State

Pool = Literal["last", "mean", "moments"]
"""The last output; the mean over time; the mean and the standard deviation over time."""


class Fold:
    """What has come so far of n streams of outputs, of bounded size however long they are.

    Each output counts by the time that passed since the one before it. Padding (time 0) counts for nothing. Means and
    deviations of parts are combined by Chan, Golub and LeVeque 1979, so nothing cancels.

    Args:
        pool: what becomes of the outputs.
        outputs: values of one.

    >>> fold = Fold("moments", 1)
    >>> state = fold.add(fold.start(1), np.array([[[1.0], [4.0]]]), np.array([[2.0, 1.0]]))
    >>> fold.features(state).round(3).tolist()
    [[2.0, 1.414]]
    """

    def __init__(self, pool: Pool, outputs: int) -> None:
        if pool not in get_args(Pool):
            raise InputError(f"pool is one of {', '.join(get_args(Pool))}, not {pool!r}.")
        self.pool, self._outputs = pool, check_count("outputs", outputs)
        self.width = 2 * outputs if pool == "moments" else outputs

    def start(self, n: int) -> State:
        """Nothing of n streams."""
        state: State = {"time": np.zeros(check_count("n", n))}
        names = {"last": ("last",), "mean": ("mean",), "moments": ("mean", "squares")}[self.pool]
        return state | {name: np.zeros((n, self._outputs)) for name in names}

    def add(self, state: State, outputs: FloatArray, dt: FloatArray) -> State:
        """The state after (n, L, width) more outputs with times (n, L); the given one is not changed."""
        time = dt.sum(axis=1)
        total = state["time"] + time
        if self.pool == "last":
            here = dt.astype(np.bool_)
            places = outputs.shape[1] - 1 - here[:, ::-1].argmax(axis=1)
            latest = outputs[np.arange(len(outputs)), places]
            return {"time": total, "last": np.where(here.any(axis=1, keepdims=True), latest, state["last"])}
        whole = np.where(time > 0, time, 1.0)[:, None]
        mean = (dt[:, None] @ outputs)[:, 0] / whole
        share = np.divide(time, total, out=np.zeros_like(total), where=total > 0)[:, None]
        apart = mean - state["mean"]
        added = {"time": total, "mean": state["mean"] + share * apart}
        if self.pool == "mean":
            return added
        squares = (dt[:, None] @ np.square(outputs - mean[:, None]))[:, 0]
        between = np.square(apart) * share * state["time"][:, None]
        return added | {"squares": state["squares"] + squares + between}

    def features(self, state: State) -> FloatArray:
        """(n, width).

        Raises:
            InputError: of one of the streams nothing came yet.
        """
        if not (state["time"] > 0).all():
            raise InputError("Nothing was heard yet: feed a frame first.")
        if self.pool == "last":
            return state["last"].copy()
        if self.pool == "mean":
            return state["mean"].copy()
        deviation = np.sqrt(state["squares"] / state["time"][:, None])
        return np.concatenate([state["mean"], deviation], axis=1)
