"""Gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), with the reset gate after the product as in cuDNN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from engram.features.cores.recurrent import Array, Moving, Operations, Recurrent


class GRU(Recurrent):
    """r = σ(W_r x + U_r h), z = σ(W_z x + U_z h), ĥ = tanh(W_n x + r ∘ (U_n h + c)), h ← (1 − z) ∘ ĥ + z ∘ h.

    Times between frames make no difference to it.

    >>> import numpy as np
    >>> core = GRU.fresh(channels=3, width=8)
    >>> state, outputs = core.advance(core.start(2), np.ones((2, 5, 3)), np.ones((2, 5)))
    >>> outputs.shape, state["hidden"].shape
    ((2, 5, 8), (2, 8))
    """

    kind: ClassVar[str] = "gru"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Columns: r, z, n."""
        h = self.width
        return {"input": (self.channels, 3 * h), "bias": (3 * h,), "recurrent": (h, 3 * h), "inner_bias": (h,)}

    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """W x + b of all three."""
        return frames @ p["input"] + p["bias"]

    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """One frame."""
        hidden, h = state["hidden"], self.width
        recurrent = hidden @ p["recurrent"]
        gates = ops.sigmoid(driven[:, : 2 * h] + recurrent[:, : 2 * h])
        reset, update = gates[:, :h], gates[:, h:]
        new = ops.tanh(driven[:, 2 * h :] + reset * (recurrent[:, 2 * h :] + p["inner_bias"]))
        return {"hidden": new + update * (hidden - new)}
