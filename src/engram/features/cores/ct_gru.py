"""Continuous-time gated recurrent unit (Mozer et al. 2017, arXiv 1710.04110): memories that fade at several speeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from engram.features.cores.core import check_count
from engram.features.cores.recurrent import Array, Moving, Operations, Recurrent
from engram.learner import FloatArray, InputError


class CTGRU(Recurrent):
    """Each unit has `scales` traces that decay with time constants τ_k = shortest · √10^k.

    What is retrieved and what is stored is shared among the traces by how near ln τ_k is to a time scale that the unit
    asks for: r, s = softmax_k −(ln τ − ln τ_k)². q = tanh(W u + U Σ r_k h_k + b);
    h_k ← ((1 − s_k) h_k + s_k q) exp(−dt/τ_k); h = Σ h_k. Storing is an event at each frame.

    >>> CTGRU.fresh(channels=3, width=8).start(1)["traces"].shape
    (1, 8, 5)
    """

    kind: ClassVar[str] = "ct-gru"
    settings: ClassVar[Mapping[str, Any]] = {"scales": 5, "shortest": 1.0}
    scales: int
    shortest: float

    def check(self) -> None:
        """Raises InputError for no trace, or a time constant that is none."""
        check_count("scales", self.scales)
        if not 0 < self.shortest < np.inf:
            raise InputError(f"shortest is a time constant above 0, not {self.shortest!r}.")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Columns of the first three: time scales of retrieving, of storing, and what is stored."""
        h = self.width
        return {"input": (self.channels, 3 * h), "bias": (3 * h,), "recurrent": (h, 2 * h), "retrieved": (h, h)}

    def begin(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Time scales that are asked for lie in the middle at first."""
        array = super().begin(name, shape, rng)
        if name == "bias":
            array[: 2 * self.width] = self._logs.mean()
        return array

    @property
    def _logs(self) -> FloatArray:
        """(scales,) ln τ_k."""
        return np.asarray(np.log(self.shortest) + 0.5 * np.log(10.0) * np.arange(self.scales))

    def memory(self) -> dict[str, tuple[int, ...]]:
        """The traces, and their sum, which goes out."""
        return {"hidden": (self.width,), "traces": (self.width, self.scales)}

    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """W u + b of all three."""
        return frames @ p["input"] + p["bias"]

    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """One frame."""
        h, traces = self.width, state["traces"]
        asked = driven[:, : 2 * h] + state["hidden"] @ p["recurrent"]
        apart = ops.stack([asked - float(log) for log in self._logs], 2)
        shares = ops.softmax(-apart * apart)
        retrieve, store = shares[:, :h], shares[:, h:]
        new = ops.tanh(driven[:, 2 * h :] + (retrieve * traces).sum(2) @ p["retrieved"])
        decay = ops.stack([ops.exp(-dt / float(np.exp(log))) for log in self._logs], 2)
        traces = (traces + store * (new[:, :, None] - traces)) * decay
        return {"hidden": traces.sum(2), "traces": traces}
