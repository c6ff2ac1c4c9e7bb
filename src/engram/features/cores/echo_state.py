"""Echo state network (Jaeger 2001; leaky units: Jaeger et al. 2007): a fixed random reservoir that remembers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from engram.features.cores.core import check_count
from engram.features.cores.recurrent import Array, Moving, Operations, Recurrent
from engram.learner import FloatArray, InputError


class EchoState(Recurrent):
    """x ← (1 − a) x + a tanh(W x + V u + b) with a = 1 − (1 − leak)^dt; nothing in it is trained.

    Each unit listens to `links` others, so a step costs `links` · width products. Weights are scaled without an
    eigenvalue being computed (Gallicchio et al. 2020, "Fast spectral radius initialization"): with independent weights
    of variance s² the spectral radius of a large reservoir is s √links.

    Args (of `fresh`):
        width: units of the reservoir.
        radius: the spectral radius that is aimed at.
        links: to how many units each one listens.
        leak: of the state that is replaced in a unit of time, above 0, at most 1.
        reach: how far input weights reach to either side of 0.
        offset: how far biases do.

    >>> core = EchoState.fresh(channels=1, width=400, radius=0.9)
    >>> dense = np.zeros((400, 400))
    >>> np.add.at(dense, (core.arrays["places"], np.arange(400)), core.arrays["weights"])
    >>> round(float(np.abs(np.linalg.eigvals(dense)).max()), 1)
    0.9
    """

    kind: ClassVar[str] = "echo-state"
    settings: ClassVar[Mapping[str, Any]] = {"radius": 0.9, "links": 10, "leak": 1.0, "reach": 0.5, "offset": 0.2}
    fixed: ClassVar[frozenset[str]] = frozenset({"input", "bias", "places", "weights"})
    radius: float
    links: int
    leak: float
    reach: float
    offset: float

    def check(self) -> None:
        """Raises InputError for a setting out of range."""
        self.links = min(check_count("links", self.links), self.width)
        if not 0 < self.leak <= 1:
            raise InputError(f"leak is above 0 and at most 1, not {self.leak!r}.")
        for name in ("radius", "reach", "offset"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} is a finite number from 0 on, not {getattr(self, name)!r}.")
        self.flows = self.leak < 1

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """V, b; and of each unit (a column) the units it listens to, with the weights."""
        return {"input": (self.channels, self.width), "bias": (self.width,), "places": (self.links, self.width),
                "weights": (self.links, self.width)}

    def begin(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Drawn uniformly."""
        if name == "places":
            return np.stack([rng.permutation(self.width)[: self.links] for _ in range(self.width)], axis=1)
        spans = {"input": self.reach, "bias": self.offset, "weights": self.radius * np.sqrt(3 / self.links)}
        return rng.uniform(-spans[name], spans[name], shape)

    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """V u + b."""
        return frames @ p["input"] + p["bias"]

    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """One frame."""
        hidden = state["hidden"]
        heard = (hidden[:, p["places"]] * p["weights"]).sum(1)
        new = ops.tanh(driven + heard)
        return {"hidden": new if self.leak == 1 else hidden + (1 - (1 - self.leak) ** dt) * (new - hidden)}
