"""Long short-term memory (Hochreiter and Schmidhuber 1997; with the forget gate of Gers et al. 2000)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engram.features.cores.recurrent import Array, Moving, Operations, Recurrent
from engram.learner import FloatArray


class LSTM(Recurrent):
    """i, f, o = σ(W x + U h + b), g = tanh(…); c ← f ∘ c + i ∘ g; h = o ∘ tanh(c).

    Times between frames make no difference to it. An untrained one remembers: its forget gate begins open, with a bias
    of 1 (Jozefowicz et al. 2015).

    >>> core = LSTM.fresh(channels=3, width=8)
    >>> sorted(core.start(1))
    ['cell', 'hidden']
    """

    kind: ClassVar[str] = "lstm"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Columns: i, f, o, g."""
        h = self.width
        return {"input": (self.channels, 4 * h), "bias": (4 * h,), "recurrent": (h, 4 * h)}

    def begin(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """The forget gate is open at first."""
        array = super().begin(name, shape, rng)
        if name == "bias":
            array[self.width : 2 * self.width] = 1.0
        return array

    def memory(self) -> dict[str, tuple[int, ...]]:
        """What goes out, and what is kept."""
        return {"hidden": (self.width,), "cell": (self.width,)}

    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """W x + b of all four."""
        return frames @ p["input"] + p["bias"]

    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """One frame."""
        h = self.width
        summed = driven + state["hidden"] @ p["recurrent"]
        gates = ops.sigmoid(summed[:, : 3 * h])
        cell = gates[:, h : 2 * h] * state["cell"] + gates[:, :h] * ops.tanh(summed[:, 3 * h :])
        return {"hidden": gates[:, 2 * h :] * ops.tanh(cell), "cell": cell}
