"""A hand-made description of pictures: needs no weights, no download and no training.

Oriented gradients on two grids, as in the histograms of oriented gradients of Dalal and Triggs (CVPR 2005) and the
spatial pyramids of Bosch, Zisserman and Munoz (CIVR 2007); colour as soft histograms of hue, lightness and chroma
(van de Sande, Gevers and Snoek, PAMI 2010). Every part has unit length, and square roots tame its bursts (Arandjelović
and Zisserman, CVPR 2012). It tells apart what differs in shape and colour; a trained network tells apart far more.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np

from engram.features.backbones.backbone import Features, Takes, count, fingerprint_of, in_batches
from engram.features.backbones.preprocessing import Preprocessing
from engram.inputs.images import each
from engram.learner import DamagedError, FloatArray
from engram.progress import Progress

_SIDE = 64
_GRADIENTS = ((6, 9, np.pi), (4, 16, 2 * np.pi))  # cells a side, orientations, period of the angle
_COLOURS = (1, 3)  # cells a side
_HUES, _LIGHTS, _CHROMAS = 12, 8, 6


class DescriptorBackbone:
    """Pictures -> 856 numbers: 6x6 cells of 9 and 4x4 of 16 gradient directions; colours of the whole and 3x3 cells.

    >>> DescriptorBackbone().features(np.zeros((2, 32, 32))).shape
    (2, 856)
    """

    kind: ClassVar[str] = "descriptor"
    takes: Takes = "pictures"
    network_file: ClassVar[str | None] = None
    width = sum(n * n * bins for n, bins, _ in _GRADIENTS) + 16 + sum(
        n * n * (_HUES + _LIGHTS + _CHROMAS) for n in _COLOURS
    )

    def __init__(self, *, name: str = "descriptor") -> None:
        self.name = name
        self.preprocessing = Preprocessing((_SIDE, _SIDE), resize="area", layout="nhwc")
        self.fingerprint = fingerprint_of(self.kind, self.config(), None)

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One vector per picture, (N, 856) float32.

        Raises:
            InputError: something is not a picture, or nothing was given.
        """
        prepare = self.preprocessing
        return in_batches(
            each(inputs),
            lambda one: describe(prepare(one)[0].astype(np.float64))[None],
            size=1, total=count(inputs), progress=progress,
        )

    def config(self) -> dict[str, Any]:
        """The version of the description and the preprocessing, as JSON values."""
        return {"version": 1, "preprocessing": self.preprocessing.config()}

    def network(self) -> None:
        """There is none."""

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds.

        Raises:
            DamagedError: the configuration cannot be used.
        """
        made = cls(name=name)
        if config != made.config():
            raise DamagedError(f"The picture descriptor of {name!r} is not version 1 of this program's.")
        return made


def describe(pixels: FloatArray) -> FloatArray:
    """(856,) from an (H, W, 3) picture with values in [0, 1]."""
    across, down = _strongest_gradient(np.sqrt(pixels))
    size, angle = np.hypot(across, down), np.arctan2(down, across)
    parts = []
    for cells, bins, period in _GRADIENTS:
        votes = _soft_votes(angle % period / period * bins, size, bins, circular=True)
        parts.append(_unit(np.sqrt(_block_normalised(_pooled(votes, cells)))))
    parts.append(0.5 * _unit(np.sqrt(_pooled(votes, 1))))
    colours = _colours(pixels)
    parts += [_unit(np.sqrt(_pooled(colours, cells))) for cells in _COLOURS]
    return np.concatenate([part.ravel() for part in parts])


def _strongest_gradient(pixels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Central differences of the channel in which they are largest, (H, W) each."""
    across, down = np.zeros_like(pixels), np.zeros_like(pixels)
    across[:, 1:-1] = pixels[:, 2:] - pixels[:, :-2]
    down[1:-1] = pixels[2:] - pixels[:-2]
    channel = np.hypot(across, down).argmax(axis=2)[..., None]
    return np.take_along_axis(across, channel, 2)[..., 0], np.take_along_axis(down, channel, 2)[..., 0]


def _colours(pixels: FloatArray) -> FloatArray:
    """Each pixel's soft votes for hue (weighted by chroma), lightness and chroma, (H, W, 26)."""
    red, green, blue = np.moveaxis(pixels, 2, 0)
    chroma = pixels.max(axis=2) - pixels.min(axis=2)
    hue = np.arctan2((red + green - 2 * blue) / np.sqrt(3), red - green) % (2 * np.pi) / (2 * np.pi)
    one = np.ones_like(chroma)
    return np.concatenate([
        _soft_votes(hue * _HUES, chroma, _HUES, circular=True),
        _soft_votes(pixels.mean(axis=2) * (_LIGHTS - 1), one, _LIGHTS),
        _soft_votes(np.minimum(2 * chroma, 1) * (_CHROMAS - 1), one, _CHROMAS),
    ], axis=2)


def _soft_votes(place: FloatArray, weight: FloatArray, bins: int, *, circular: bool = False) -> FloatArray:
    """(H, W, bins): each pixel's weight, shared between the two bins beside its place."""
    low = np.floor(place)
    share = place - low
    low = low.astype(np.intp)
    first, second = (low % bins, (low + 1) % bins) if circular else (low, np.minimum(low + 1, bins - 1))
    votes = np.zeros((*place.shape, bins))
    rows, columns = np.indices(place.shape)
    votes[rows, columns, first] += weight * (1 - share)
    votes[rows, columns, second] += weight * share
    return votes


def _pooled(votes: FloatArray, cells: int) -> FloatArray:
    """(cells, cells, bins): sums under overlapping triangular windows, so that small shifts change little."""
    window = _windows(votes.shape[0], cells)
    pooled: FloatArray = np.tensordot(window, votes, 1)  # (cells, W, bins)
    return np.tensordot(pooled, window, ([1], [1])).transpose(0, 2, 1)


@lru_cache(maxsize=16)
def _windows(side: int, cells: int) -> FloatArray:
    centres = (np.arange(cells) + 0.5) * side / cells
    return np.maximum(0.0, 1 - np.abs(np.arange(side) + 0.5 - centres[:, None]) * cells / side)


def _block_normalised(histograms: FloatArray) -> FloatArray:
    """Each cell divided by the energy of the 3x3 cells about it, then clipped: light and shadow cancel."""
    cells = len(histograms)
    energy = np.pad(np.square(histograms).sum(axis=2), 1, mode="edge")
    around = sum(energy[i : i + cells, j : j + cells] for i in range(3) for j in range(3))
    return np.minimum(histograms / np.sqrt(around + 0.5)[..., None], 0.3)


def _unit(part: FloatArray) -> FloatArray:
    """The part at unit length; a blank part stays near zero."""
    unit: FloatArray = part / (np.sqrt(np.square(part).sum()) + 1e-3)
    return unit
