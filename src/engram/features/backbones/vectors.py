"""Vectors as they come: sensors, or embeddings computed elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from engram.features.backbones.backbone import Features, Takes, fingerprint_of
from engram.inputs.vectors import as_array, as_vectors
from engram.learner import DamagedError, FloatArray, InputError
from engram.progress import Progress

_CHANCE, _LIKELY = 1e-6, 1e-3
"""Chances of an accident by which a column is told from the others: where all could stay as they are, and where not."""

_TAIL = 3.0 / 16.0
"""Of the reach: what e times as much adds beyond it. So the room of a head, 4 reach, ends at e^16 times as much."""

_LARGEST = float(np.finfo(np.float32).max)


class VectorBackbone:
    """The identity, or (x − offset) · scale where the readings differ in kind.

    A bundle around raw readings is not normalised to unit length, and its step decides how fine and how far
    they are told apart: with step 2^-10 a difference of 0.001 counts and values reach to ±8 about the mean.
    `VectorBackbone.standardised(examples)` brings every reading to mean 0 and standard deviation 1 first.

    Args:
        width: D, how many readings make a vector.
        offset, scale: one value per reading, or None for the identity.
        reach: up to where scaled readings are told as they are; beyond, v becomes reach + c ln(1 + (v − reach)/c) with
            c = 3/16 reach, so a reading a million times as large is still one, at 4 reach. None: all as they are.
        name: what people call it.

    >>> VectorBackbone(2).features([[1, 2], [3, 4]]).shape
    (2, 2)
    """

    kind: ClassVar[str] = "vectors"
    takes: Takes = "vectors"
    network_file: ClassVar[str | None] = None

    def __init__(
        self,
        width: int,
        offset: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        *,
        reach: float | None = None,
        name: str = "vectors",
    ) -> None:
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise InputError(f"width is how many values make a vector, not {width!r}.")
        self.name = name
        self.width = width
        self._offset = _per_reading("offset", offset, width, 0.0)
        self._scale = _per_reading("scale", scale, width, 1.0)
        if reach is not None and not (np.isfinite(reach) and reach > 0):
            raise InputError(f"reach is a finite number above 0, or None, not {reach!r}.")
        self._reach = None if reach is None else float(reach)
        self.fingerprint = fingerprint_of(self.kind, self.config(), None)

    @classmethod
    def standardised(cls, examples: Any, *, name: str = "vectors") -> Self:
        """Each reading to mean 0 and standard deviation 1 on (N, D) examples; constant ones only centred."""
        vectors = as_vectors(examples)
        spread = vectors.std(axis=0)
        scale = np.divide(1.0, spread, out=np.ones_like(spread), where=spread > 0)
        return cls(vectors.shape[1], vectors.mean(axis=0).tolist(), scale.tolist(), name=name)

    @classmethod
    def ranged(cls, examples: Any, reach: float = 8.0, resolution: float = 2.0**-10, *, name: str = "vectors") -> Self:
        """Each reading scaled by a power of two, where the first examples call for it, and otherwise left as it is.

        Readings that lie between 8 steps and `reach` stay as they are. Otherwise all share one scale, and a column has
        one of its own where its values are so small beside the others that this is no accident: the chance that as many
        values of the larger scale are all so small is below `_CHANCE`. The fewer values there are, the more room is
        left above them: 4 to 8 times the largest from 16 values on, 256 to 512 times for a single one.

        Args:
            examples: (N, D) the first ones, or one (D,).
            reach: the largest value that is told as it is.
            resolution: the step of a bundle around it.

        >>> VectorBackbone.ranged([[1e-4, 2.0, 1013.0], [3e-4, 1.0, 1009.0]]).config()["scale"]
        [256.0, 0.03125, 0.000244140625]
        """
        given = as_array(examples)
        vectors = np.abs(as_vectors(given))
        noise = 16 * np.finfo(given.dtype if given.dtype.kind == "f" else np.float64).eps
        vectors[vectors < noise * vectors.max()] = 0.0  # what rounding leaves of a zero
        largest, count, most = vectors.max(axis=0), np.count_nonzero(vectors, axis=0), float(vectors.max())
        if not most:
            return cls(vectors.shape[1], reach=reach, name=name)
        told = 8 * resolution <= most or _accident(most, count.sum()) >= _CHANCE  # a few small values decide nothing
        fits = told and most <= reach
        alone = (largest > 0) & (_accident(largest / most, count) * len(largest) < (_CHANCE if fits else _LIKELY))
        if fits:
            alone &= largest < resolution
        shared = 1.0 if fits else _to(np.array(most), _room(count.sum()))
        scale = np.where(alone, _to(largest, _room(count)), shared)
        return cls(vectors.shape[1], None, scale.tolist(), reach=reach, name=name)

    @property
    def units(self) -> FloatArray:
        """(D,) what each feature is multiplied by to be in the unit that its reading came in."""
        units: FloatArray = 1.0 / np.where(self._scale == 0, 1.0, np.abs(self._scale))
        return units

    def readings(self, features: FloatArray) -> FloatArray:
        """The inputs that give these (N, D) features, about: the other way round."""
        if self._reach is not None:
            size, tail = np.abs(features), _TAIL * self._reach
            far = self._reach + tail * np.expm1(np.maximum(size - self._reach, 0.0) / tail)
            features = np.where(size > self._reach, np.sign(features) * far, features)
        return features / np.where(self._scale == 0, 1.0, self._scale) + self._offset

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """(N, D) vectors, or one (D,), as (N, D) float32.

        Raises:
            InputError: another width, NaN or infinity. Values beyond 3e38 count as 3e38, far beyond what is learned.
        """
        vectors = (as_vectors(inputs, self.width) - self._offset) * self._scale
        if self._reach is not None and np.abs(vectors).max() > self._reach:
            size, tail = np.abs(vectors), _TAIL * self._reach
            far = self._reach + tail * np.log1p(np.maximum(size - self._reach, 0.0) / tail)
            vectors = np.where(size > self._reach, np.sign(vectors) * far, vectors)
        features = np.maximum(np.minimum(vectors, _LARGEST), -_LARGEST).astype(np.float32)
        if progress is not None:
            progress(len(features), len(features))
        return features

    def config(self) -> dict[str, Any]:
        """Width, offset, scale and reach as JSON values."""
        found = {"width": self.width, "offset": self._offset.tolist(), "scale": self._scale.tolist()}
        return found if self._reach is None else {**found, "reach": self._reach}

    def network(self) -> None:
        """There is none."""

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds.

        Raises:
            DamagedError: the configuration cannot be used.
        """
        try:
            return cls(config["width"], config["offset"], config["scale"], reach=config.get("reach"), name=name)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"The description of backbone {name!r} cannot be used: {error}") from error


def _to(values: FloatArray, most: Any) -> FloatArray:
    """Powers of two that bring positive values up to `most`, and above half of it; 1 for zeros."""
    powers: FloatArray = 2.0 ** np.floor(np.log2(most / np.where(values > 0, values, 1.0)))
    return np.where(values > 0, powers, 1.0)


def _room(count: Any) -> Any:
    """Up to where the largest of so many values is brought."""
    return 2.0 * np.clip(count / 16, 1 / 16, 1.0) ** 1.5


def _accident(share: Any, count: Any) -> Any:
    """The chance that so many values, spread evenly up to 1, all lie below a share of it."""
    return np.minimum(share, 1.0) ** count


def _per_reading(what: str, values: Sequence[float] | None, width: int, default: float) -> FloatArray:
    if values is None:
        return np.full(width, default)
    array = np.asarray(values, np.float64)
    if array.shape != (width,) or not np.isfinite(array).all():
        raise InputError(f"{what} is one finite value for each of the {width} readings.")
    return array
