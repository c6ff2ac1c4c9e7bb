"""Continuous-time recurrent network (Funahashi and Nakamura 1993): leaky units that pull at each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engram.features.cores.core import check_count
from engram.features.cores.recurrent import Array, Moving, Operations, Recurrent
from engram.features.cores.solvers import integrated
from engram.learner import FloatArray


class CTRNN(Recurrent):
    """dx/dt = −x/τ + tanh(W x + U u + b), the frame u standing still until the next one.

    `unfolds` midpoint steps go from frame to frame; τ = exp(log_tau) is trained.

    >>> core = CTRNN.fresh(channels=3, width=8)
    >>> core.flows, core.config()["unfolds"]
    (True, 2)
    """

    kind: ClassVar[str] = "ct-rnn"
    flows = True
    settings: ClassVar[Mapping[str, int]] = {"unfolds": 2}
    unfolds: int

    def check(self) -> None:
        """Raises InputError where a frame has no step."""
        check_count("unfolds", self.unfolds)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """U, b, W and ln τ."""
        h = self.width
        return {"input": (self.channels, h), "bias": (h,), "recurrent": (h, h), "log_tau": (h,)}

    def begin(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Time constants from 1 to 10 frames."""
        return rng.uniform(0.0, np.log(10.0), shape) if name == "log_tau" else super().begin(name, shape, rng)

    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """U u + b."""
        return frames @ p["input"] + p["bias"]

    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """From frame to frame."""
        rate = ops.exp(-p["log_tau"])

        def slope(x: Array) -> Array:
            return ops.tanh(x @ p["recurrent"] + driven) - x * rate

        return {"hidden": integrated(slope, state["hidden"], dt, self.unfolds, "midpoint")}
