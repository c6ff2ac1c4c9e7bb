"""Random patches: features whose filters are cut from the first pictures themselves. Nothing is trained before.

Patches are cut from places drawn at random, their contrast is evened out, and they are whitened: each then answers to
one small shape, little disturbed by how alike neighbouring pixels are. A picture's feature says how strongly, and
where, each shape and its opposite occur in it: responses above a threshold, averaged over a grid of overlapping cells,
and of each average the square root.
After Coates, Lee and Ng 2011, "An analysis of single-layer networks in unsupervised feature learning".

For small, grey, textured pictures and for spectrograms. A network trained on photographs does better on photographs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from engram.features.backbones.backbone import Features, Takes, count, fingerprint_of, in_batches
from engram.features.backbones.preprocessing import Preprocessing
from engram.inputs.images import each
from engram.learner import DamagedError, InputError
from engram.packing import pack
from engram.progress import Progress

Filters = npt.NDArray[np.float32]

CANDIDATES = 20_000
"""Patches that are looked at before filters are chosen among them."""

FLAT = 0.02
"""Standard deviation, of pixels from 0 to 1, that is added to a patch's own: what is nearly flat stays small."""

RIDGE = 0.03
"""Of the mean variance of a patch's pixels: added to each direction's variance before it is evened out."""

LEAST = np.float32(1e-6)
"""Added to each average: an even picture has a direction too, the same for all of them."""


class RandomPatches:
    """Pictures -> 2 · K · cells² numbers: how strongly K shapes and their opposites occur, cell by cell.

    `RandomPatches.cut(pictures)` makes one.

    Args:
        filters: (K, P · P) float32: what a patch, its contrast evened out, is multiplied by.
        threshold: how strong a response counts from; whitened responses have a standard deviation of about 1.
        cells: the grid's cells along each side.
        side: of the grey pictures in which patches are looked for.
        name: what people call it.
    """

    kind: ClassVar[str] = "random-patches"
    takes: Takes = "pictures"
    network_file: ClassVar[str | None] = "network.safetensors"

    def __init__(
        self, filters: Filters, *, threshold: float, cells: int, side: int, name: str = "random-patches"
    ) -> None:
        self.name = name
        self.preprocessing = Preprocessing((side, side), "grey", resize="area")
        self._filters = np.ascontiguousarray(filters, np.float32)
        self.patch = int(np.sqrt(filters.shape[1]))
        self.threshold, self.cells, self.side = float(threshold), cells, side
        places = side - self.patch + 1
        if self.patch**2 != filters.shape[1] or not 0 < cells <= places or not self.threshold >= 0:
            raise InputError(f"Filters {filters.shape} and {cells} cells a side do not fit pictures of {side} pixels.")
        self._window = _windows(places, cells)
        self.width = 2 * len(filters) * cells**2
        self.fingerprint = fingerprint_of(self.kind, self.config(), self.network())

    @classmethod
    def cut(
        cls, pictures: Iterable[Any], *, filters: int = 28, patch: int = 7, threshold: float = 0.5, cells: int = 3,
        side: int = 28, seed: int = 0, name: str = "random-patches",
    ) -> Self:
        """Filters out of these pictures; the more they show, the better, from about a hundred on.

        Args:
            pictures: whatever `engram.inputs.images.decode` takes.
            filters: K; the features are 2 · K · cells² numbers, 504 by default.
            patch: P, the side of a patch in pixels.
            threshold, cells, side, name: as for the class. All defaults were chosen on validation images of MNIST.
            seed: of the places where patches are cut.

        Raises:
            InputError: not pictures, none, or nothing in them but even areas.

        >>> shown = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
        >>> RandomPatches.cut(shown).features(shown).shape
        (20, 504)
        """
        if not 1 < patch <= side:
            raise InputError(f"A patch is 2 to {side} pixels wide, not {patch}.")
        rng = np.random.default_rng(seed)
        shown = Preprocessing((side, side), "grey", resize="area")(each(pictures))[:, 0]
        found = _patches(shown, patch)
        chosen = rng.integers(0, len(found) * found.shape[1], CANDIDATES)
        candidates = _evened(found[chosen // found.shape[1], chosen % found.shape[1]])
        candidates = candidates[np.abs(candidates).max(axis=1) > 0.5]
        if len(candidates) < filters:
            raise InputError("There is too little in these pictures to cut filters from: show it pictures with more in "
                             "them, or choose another backbone.")
        values, axes = np.linalg.eigh(candidates.T @ candidates / len(candidates))
        whitening = (axes / np.sqrt(np.maximum(values, 0) + RIDGE * values.mean())) @ axes.T
        white = candidates[rng.choice(len(candidates), filters, replace=False)] @ whitening
        white /= np.linalg.norm(white, axis=1, keepdims=True)
        return cls((white @ whitening).astype(np.float32), threshold=threshold, cells=cells, side=side, name=name)

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One vector per picture, (N, D) float32.

        Raises:
            InputError: something is not a picture, or nothing was given.
        """
        prepare = self.preprocessing
        return in_batches(
            each(inputs), lambda some: np.concatenate([self._of(one) for one in prepare(some)[:, 0]]),
            size=64, total=count(inputs), progress=progress,
        )

    def _of(self, pixels: npt.NDArray[np.float32]) -> Features:
        """(1, D) of one (S, S) picture with values from 0 to 1; by itself, so that its company changes no bit of it."""
        responses = _evened(_patches(pixels[None], self.patch)[0]) @ self._filters.T
        both = np.concatenate([responses - self.threshold, -responses - self.threshold], axis=1)
        np.maximum(both, 0, out=both)
        pooled: Features = np.sqrt(self._window @ both + LEAST).reshape(1, -1)
        return pooled

    def config(self) -> dict[str, Any]:
        """Version, threshold, cells and side, as JSON values."""
        return {"version": 1, "threshold": self.threshold, "cells": self.cells, "side": self.side}

    def network(self) -> bytes:
        """The filters, as a safetensors file."""
        return pack({"filters": self._filters})

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds.

        Raises:
            DamagedError: the configuration or the filters cannot be used.
        """
        try:
            filters = load(network or b"")["filters"]
            made = cls(filters, threshold=config["threshold"], cells=config["cells"], side=config["side"], name=name)
            if filters.dtype != np.float32 or config != made.config():
                raise ValueError("another version, or filters of another kind")
        except (KeyError, TypeError, ValueError, IndexError, SafetensorError, InputError) as error:
            raise DamagedError(f"The random patches of {name!r} cannot be used: {error}") from error
        return made


def _patches(pictures: npt.NDArray[np.float32], patch: int) -> npt.NDArray[np.float32]:
    """(N, places², P · P): every patch of (N, S, S) pictures."""
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (patch, patch), (1, 2))
    return windows.reshape(len(pictures), -1, patch * patch)


def _evened(patches: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(M, P · P) patches without their mean brightness, at about the same contrast."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=1, keepdims=True))
    evened: npt.NDArray[np.float32] = centred / (spread + np.float32(FLAT))
    return evened


def _windows(places: int, cells: int) -> npt.NDArray[np.float32]:
    """(cells², places²): each place's share in each cell, a triangle: small shifts matter little."""
    centres = (np.arange(cells) + 0.5) * places / cells
    along = np.maximum(0.0, 1 - np.abs(np.arange(places) + 0.5 - centres[:, None]) * cells / places)
    along /= along.sum(axis=1, keepdims=True)
    return np.kron(along, along).astype(np.float32)
