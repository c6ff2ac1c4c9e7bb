"""Neural ordinary differential equation (Chen et al. 2018, arXiv 1806.07366), driven by frames, in fixed steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from engram.features.cores.core import check_count
from engram.features.cores.recurrent import Array, Moving, Operations, Recurrent
from engram.features.cores.solvers import integrated


class NeuralODE(Recurrent):
    """dx/dt = tanh(W x + U u + b), by `unfolds` Runge-Kutta steps from frame to frame. Nothing pulls the state back.

    >>> NeuralODE.fresh(channels=3, width=8).flows
    True
    """

    kind: ClassVar[str] = "neural-ode"
    flows = True
    settings: ClassVar[Mapping[str, int]] = {"unfolds": 1}
    unfolds: int

    def check(self) -> None:
        """Raises InputError where a frame has no step."""
        check_count("unfolds", self.unfolds)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """U, b and W."""
        return {"input": (self.channels, self.width), "bias": (self.width,), "recurrent": (self.width, self.width)}

    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """U u + b."""
        return frames @ p["input"] + p["bias"]

    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """From frame to frame."""
        def slope(x: Array) -> Array:
            return ops.tanh(x @ p["recurrent"] + driven)

        return {"hidden": integrated(slope, state["hidden"], dt, self.unfolds)}
