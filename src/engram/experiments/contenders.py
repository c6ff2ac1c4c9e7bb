"""The heads that are compared, all on the same prepared features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.backbones.bundle import Bundle
from engram.heads import HEADS
from engram.heads.fast import FastHead
from engram.heads.head import Head
from engram.inputs.vectors import unit_length
from engram.learner import FloatArray

RECOMMENDED = "fast"


def fast_head(bundle: Bundle, **options: Any) -> FastHead:
    """The recommended head with the bundle's own statistics; takes features as the backbone gives them."""
    return FastHead(bundle.mean, bundle.covariance, step=bundle.step, normalise=bundle.normalise, **options)


def prepared(bundle: Bundle, features: npt.NDArray[Any]) -> FloatArray:
    """(N, D) float64: of unit length where the bundle says so, counted from its mean. What contenders take."""
    vectors = features.astype(np.float64)
    return (unit_length(vectors) if bundle.normalise else vectors) - bundle.mean


def contenders(bundle: Bundle, without: tuple[str, ...] = ()) -> dict[str, Callable[[], Head]]:
    """Name -> maker of every head, the recommended one first, the others with their own default settings.

    Beside the recommended head stands the same head without the bundle's covariance, which shows what that is
    worth, and with its prototypes as read-out.
    """
    ready: dict[str, Any] = {"step": bundle.step, "normalise": False}
    made: dict[str, Callable[[], Head]] = {
        RECOMMENDED: lambda: FastHead(None, bundle.covariance, **ready),
        "fast, by prototypes": lambda: FastHead(None, bundle.covariance, readout="prototypes", **ready),
        "fast, no statistics": lambda: FastHead(**ready),
    }
    made |= {name: kind for name, kind in HEADS.items() if name != RECOMMENDED}
    return {name: make for name, make in made.items() if name not in without}
