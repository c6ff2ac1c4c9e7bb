"""Liquid time-constant network (Hasani et al. 2021, arXiv 2006.04439): what a unit hears sets how fast it moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engram.features.cores.core import check_count
from engram.features.cores.recurrent import Array, Moving, Operations, Recurrent
from engram.learner import FloatArray


class LiquidTimeConstant(Recurrent):
    """dx/dt = −(1/τ + f) x + f A with f = g σ(W x + U u + b), by the paper's fused solver (its equation 3).

    `unfolds` steps δ go from frame to frame, x ← (x + δ f A) / (1 + δ (1/τ + f)), which stays between 0 and A whatever
    the step. f is one network of all units, as in the paper's text, not one for each synapse: so a step is one matrix
    product. `engram.features.cores.neural_circuit_policy` has the synapses.

    >>> core = LiquidTimeConstant.fresh(channels=3, width=8)
    >>> core.flows, core.config()["unfolds"]
    (True, 3)
    """

    kind: ClassVar[str] = "ltc"
    flows = True
    settings: ClassVar[Mapping[str, int]] = {"unfolds": 3}
    unfolds: int

    def check(self) -> None:
        """Raises InputError where a frame has no step."""
        check_count("unfolds", self.unfolds)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """U, b, W, ln τ, ln g and A."""
        h = self.width
        return {"input": (self.channels, h), "bias": (h,), "recurrent": (h, h), "log_tau": (h,), "log_gain": (h,),
                "reversal": (h,)}

    def begin(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Time constants from 1 to 10 frames, g from 1 to 10; half of the units are pulled up, half down."""
        if name in ("log_tau", "log_gain"):
            return rng.uniform(0.0, np.log(10.0), shape)
        return rng.choice([-1.0, 1.0], shape) if name == "reversal" else super().begin(name, shape, rng)

    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """U u + b."""
        return frames @ p["input"] + p["bias"]

    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """From frame to frame."""
        x, delta = state["hidden"], dt / self.unfolds
        still, most = 1 + delta * ops.exp(-p["log_tau"]), delta * ops.exp(p["log_gain"])
        for _ in range(self.unfolds):
            pull = most * ops.sigmoid(x @ p["recurrent"] + driven)
            x = (x + pull * p["reversal"]) / (still + pull)
        return {"hidden": x}
