"""Closed-form continuous-time network (Hasani et al. 2022, arXiv 2106.13898): a liquid network without a solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from engram.features.cores.core import check_count
from engram.features.cores.recurrent import Array, Moving, Operations, Recurrent


class ClosedFormContinuous(Recurrent):
    """x ← (1 − σ_t) ∘ g + σ_t ∘ h, where a shared layer of [u, x] feeds g, h and the gate σ_t = σ(f_a dt + f_b).

    The shared layer has `backbone` units of LeCun's tanh, 1.7159 tanh(2/3 ·). What a frame does is computed at the
    frame, so two steps of half the time are not one step.

    >>> core = ClosedFormContinuous.fresh(channels=3, width=8)
    >>> core.flows, core.config()["backbone"]
    (False, 64)
    """

    kind: ClassVar[str] = "cfc"
    settings: ClassVar[Mapping[str, int]] = {"backbone": 64}
    backbone: int

    def check(self) -> None:
        """Raises InputError for a shared layer without units."""
        check_count("backbone", self.backbone)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shared layer; then columns: g, h, f_a, f_b."""
        h, b = self.width, self.backbone
        return {"input": (self.channels, b), "bias": (b,), "recurrent": (h, b), "heads": (b, 4 * h),
                "heads_bias": (4 * h,)}

    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """What the shared layer hears of the frame."""
        return frames @ p["input"] + p["bias"]

    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """One frame."""
        h = self.width
        shared = 1.7159 * ops.tanh(2 / 3 * (driven + state["hidden"] @ p["recurrent"]))
        heads = shared @ p["heads"] + p["heads_bias"]
        ends = ops.tanh(heads[:, : 2 * h])
        early, late = ends[:, :h], ends[:, h:]
        gate = ops.sigmoid(heads[:, 2 * h : 3 * h] * dt + heads[:, 3 * h :])
        return {"hidden": early + gate * (late - early)}
