"""Vectors as they come: sensors, or embeddings computed elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from engram.backbones.backbone import Features, Progress, fingerprint_of
from engram.inputs.vectors import as_vectors
from engram.learner import DamagedError, FloatArray, InputError


class VectorBackbone:
    """The identity, or (x − offset) · scale where the readings differ in kind.

    A bundle around raw readings is not normalised to unit length, and its step decides how fine and how far
    they are told apart: with step 2^-10 a difference of 0.001 counts and values reach to ±8 about the mean.
    `VectorBackbone.standardised(examples)` brings every reading to mean 0 and standard deviation 1 first.

    Args:
        width: D, how many readings make a vector.
        offset, scale: one value per reading, or None for the identity.
        name: what people call it.

    >>> VectorBackbone(2).features([[1, 2], [3, 4]]).shape
    (2, 2)
    """

    kind: ClassVar[str] = "vectors"
    network_file: ClassVar[str | None] = None

    def __init__(
        self,
        width: int,
        offset: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        *,
        name: str = "vectors",
    ) -> None:
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise InputError(f"width is how many values make a vector, not {width!r}.")
        self.name = name
        self.width = width
        self._offset = _per_reading("offset", offset, width, 0.0)
        self._scale = _per_reading("scale", scale, width, 1.0)
        self.fingerprint = fingerprint_of(self.kind, self.config(), None)

    @classmethod
    def standardised(cls, examples: Any, *, name: str = "vectors") -> Self:
        """Each reading to mean 0 and standard deviation 1 on (N, D) examples; constant ones only centred."""
        vectors = as_vectors(examples)
        spread = vectors.std(axis=0)
        scale = np.divide(1.0, spread, out=np.ones_like(spread), where=spread > 0)
        return cls(vectors.shape[1], vectors.mean(axis=0).tolist(), scale.tolist(), name=name)

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """(N, D) vectors, or one (D,), as (N, D) float32.

        Raises:
            InputError: another width, NaN, infinity, or values beyond float32.
        """
        vectors = (as_vectors(inputs, self.width) - self._offset) * self._scale
        with np.errstate(over="ignore"):
            features = vectors.astype(np.float32)
        if not np.isfinite(features).all():
            raise InputError("Values beyond 3e38 do not fit float32: rescale them.")
        if progress is not None:
            progress(len(features), len(features))
        return features

    def config(self) -> dict[str, Any]:
        """Width, offset and scale as JSON values."""
        return {"width": self.width, "offset": self._offset.tolist(), "scale": self._scale.tolist()}

    def network(self) -> None:
        """There is none."""

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds."""
        try:
            return cls(config["width"], config["offset"], config["scale"], name=name)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"The description of backbone {name!r} cannot be used: {error}") from error


def _per_reading(what: str, values: Sequence[float] | None, width: int, default: float) -> FloatArray:
    if values is None:
        return np.full(width, default)
    array = np.asarray(values, np.float64)
    if array.shape != (width,) or not np.isfinite(array).all():
        raise InputError(f"{what} is one finite value for each of the {width} readings.")
    return array
