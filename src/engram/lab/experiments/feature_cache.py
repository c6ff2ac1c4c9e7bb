"""Features that were computed once: a file per backbone and set of inputs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from engram.files import make_folder, writing
from engram.locations import cache_folder


class Featurer(Protocol):
    """What the cache asks of a bundle or backbone."""

    @property
    def fingerprint(self) -> str: ...
    def features(self, inputs: Any) -> npt.NDArray[np.float32]: ...


class Cached(NamedTuple):
    """(N, D) float32 features, and how long computing them took when they were computed."""

    features: npt.NDArray[np.float32]
    seconds: float


def cached_features(bundle: Featurer, name: str, inputs: Callable[[], Any]) -> Cached:
    """The bundle's features of `inputs()`, from the cache where they are in it.

    Args:
        name: what the inputs are, preparation included; with the bundle's fingerprint it names the file.
    """
    path = cache_folder() / "features" / f"{name}-{bundle.fingerprint[:16]}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            return Cached(stored["features"], float(stored["seconds"]))
    made = inputs()
    start = time.perf_counter()
    features = bundle.features(made)
    seconds = time.perf_counter() - start
    make_folder(path.parent)
    with writing(path) as out:
        np.savez(out, features=features, seconds=np.float64(seconds))
    return Cached(features, seconds)
