"""Leaky integrate-and-fire neurons, with or without an adaptive threshold (Bellec et al. 2018, arXiv 1803.09574)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engram.features.cores.recurrent import Array, Moving, Operations, Recurrent
from engram.learner import FloatArray, InputError

DAMPED = 0.3
"""How steep a learning rule takes a spike to be at the threshold; a triangle around it (Bellec et al. 2018)."""


class IntegrateAndFire(Recurrent):
    """v ← α v + W z + V u + b − z v_th; z = 1 where v exceeds v_th + β a, else 0; a ← ρ a + z.

    α = exp(−dt/membrane), ρ = exp(−dt/adaptation). Outputs are filtered spikes, y ← κ y + (1 − κ) z with
    κ = exp(−dt/trace). β = 0 is the plain neuron; with β above 0 each spike raises the threshold for a while, which is
    a memory of its own.

    >>> plain, adaptive = IntegrateAndFire.fresh(2, 8), IntegrateAndFire.fresh(2, 8, beta=0.2)
    >>> spikes = [core.advance(core.start(1), np.ones((1, 200, 2)), np.ones((1, 200)))[1][0, -1].sum()
    ...           for core in (plain, adaptive)]
    >>> bool(0 < spikes[1] < spikes[0])
    True
    """

    kind: ClassVar[str] = "lif"
    settings: ClassVar[Mapping[str, float]] = {
        "membrane": 20.0, "adaptation": 200.0, "trace": 20.0, "threshold": 1.0, "beta": 0.0,
    }
    membrane: float
    adaptation: float
    trace: float
    threshold: float
    beta: float

    def check(self) -> None:
        """Raises InputError for times that are not above 0, and for a threshold that falls by spikes."""
        for name in ("membrane", "adaptation", "trace", "threshold"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(f"{name} is a finite number above 0, not {getattr(self, name)!r}.")
        if not 0 <= self.beta < np.inf:
            raise InputError(f"beta is a finite number from 0 on, not {self.beta!r}.")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """V, b and W."""
        return {"input": (self.channels, self.width), "bias": (self.width,), "recurrent": (self.width, self.width)}

    def begin(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """No neuron listens to itself."""
        array = super().begin(name, shape, rng)
        if name == "recurrent":
            np.fill_diagonal(array, 0.0)
        return array

    def memory(self) -> dict[str, tuple[int, ...]]:
        """Voltages, spikes, what was added to thresholds, and filtered spikes."""
        return dict.fromkeys(("voltage", "spikes", "raised", "filtered"), (self.width,))

    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """V u + b."""
        return frames @ p["input"] + p["bias"]

    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """One frame."""
        spikes = state["spikes"]
        voltage = (ops.exp(-dt / self.membrane) * state["voltage"] + spikes @ p["recurrent"] + driven
                   - self.threshold * spikes)
        fired = ops.spike((voltage - self.threshold - self.beta * state["raised"]) / self.threshold)
        keep = ops.exp(-dt / self.trace)
        return {
            "voltage": voltage, "spikes": fired,
            "raised": ops.exp(-dt / self.adaptation) * state["raised"] + fired,
            "filtered": keep * state["filtered"] + (1 - keep) * fired,
        }

    def read(self, state: Moving) -> Array:
        """Filtered spikes."""
        return state["filtered"]
