"""Patch maps: what the early layers of a network see at each place of a picture, as one long vector.

Maps of several layers are brought to one grid, joined, and projected by random signs to fewer channels (Achlioptas
2003, "Database-friendly random projections"), which keeps distances. Unlike the features of whole pictures, a map says
where something is. Layers in the middle of a network tell faults best: the last ones name objects (Roth et al. 2022,
"Towards total recall in industrial anomaly detection", arXiv 2106.08265).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from engram.features.backbones.backbone import Features, Takes, count, fingerprint_of, in_batches
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.onnx import OnnxBackbone, open_session
from engram.features.backbones.onnx_graph import cut
from engram.features.backbones.preprocessing import Preprocessing
from engram.inputs.images import each
from engram.learner import DamagedError, InputError
from engram.progress import Progress

STEP = 2.0**-8
"""Quantisation step of a map's values; they are clipped to ±32, which they reach only in pictures of pure noise."""

_REACH = 32.0 - STEP


class PatchMaps:
    """Pictures -> rows · columns · channels numbers, place after place.

    Args:
        network: an ONNX file whose outputs are maps (1, C, H, W); H and W are multiples of the grid's rows and columns.
        preprocessing: how a picture becomes its input.
        grid: rows and columns.
        channels: d, how many numbers of each place.
        seed: of the random signs.
        name: what people call it.

    Raises:
        DamagedError: not an ONNX file.
        InputError: its maps do not fit the grid.
    """

    kind: ClassVar[str] = "patch-maps"
    takes: Takes = "pictures"
    network_file: ClassVar[str | None] = "network.onnx"

    def __init__(
        self, network: bytes, preprocessing: Preprocessing, *, grid: Sequence[int], channels: int, seed: int = 0,
        name: str = "patch-maps",
    ) -> None:
        self.name, self.preprocessing = name, preprocessing
        self.grid, self.channels, self.seed = (int(grid[0]), int(grid[1])), channels, seed
        self.width = self.grid[0] * self.grid[1] * channels
        self._network = bytes(network)
        self._session = open_session(self._network, threads=1)
        self._input = self._session.get_inputs()[0].name
        found = self._joined(np.zeros((1, *preprocessing.shape), np.float32))
        signs = np.random.default_rng(seed).integers(0, 2, (found.shape[1], channels))
        self._projection = ((2 * signs - 1) / np.sqrt(found.shape[1])).astype(np.float32)
        self.fingerprint = fingerprint_of(self.kind, self.config(), self._network)

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One map per picture, (N, D) float32.

        Raises:
            InputError: something is not a picture, or nothing was given.
        """
        prepare = self.preprocessing
        return in_batches(each(inputs), lambda one: self._of(prepare(one)), size=1, total=count(inputs),
                          progress=progress)

    def _of(self, prepared: npt.NDArray[np.float32]) -> Features:
        found: Features = np.clip(self._joined(prepared) @ self._projection, -_REACH, _REACH).reshape(1, -1)
        return found

    def _joined(self, prepared: npt.NDArray[np.float32]) -> Features:
        """(P, C) all channels of each place."""
        rows, columns = self.grid
        parts = []
        for found in self._session.run(None, {self._input: prepared}):
            height, width = found.shape[2:] if found.ndim == 4 else (0, 0)
            if not height or height % rows or width % columns:
                raise InputError(f"A map of {height} x {width} does not fit a grid of {rows} x {columns}: cut the"
                                 " network at layers whose maps are multiples of the grid.")
            cells = found[0].reshape(-1, rows, height // rows, columns, width // columns).mean(axis=(2, 4))
            parts.append(cells.reshape(len(cells), -1).T)
        return np.ascontiguousarray(np.concatenate(parts, axis=1), np.float32)

    def config(self) -> dict[str, Any]:
        """Preprocessing, grid, channels and seed as JSON values."""
        return {"preprocessing": self.preprocessing.config(), "grid": list(self.grid), "channels": self.channels,
                "seed": self.seed}

    def network(self) -> bytes:
        """The network, cut where its maps are."""
        return self._network

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds.

        Raises:
            DamagedError: the configuration or the network cannot be used.
        """
        try:
            preprocessing = Preprocessing.from_config(config["preprocessing"])
            return cls(network or b"", preprocessing, grid=config["grid"], channels=config["channels"],
                       seed=config["seed"], name=name)
        except (KeyError, TypeError, ValueError, IndexError, InputError) as error:
            raise DamagedError(f"The description of backbone {name!r} cannot be used: {error}") from error


@lru_cache(maxsize=1)
def good_parts() -> Bundle:
    """The bundle "good-parts": maps of 20 x 20 places out of the packaged photo backbone.

    >>> good_parts().features(np.zeros((1, 64, 64, 3))).shape
    (1, 25600)
    """
    from engram.features.backbones.bundle_folder import packaged_folder

    photos = Bundle.open(packaged_folder() / "photos").backbone
    assert isinstance(photos, OnnxBackbone)
    assert photos.preprocessing is not None
    layers = ("/layer1/layer1.1/Relu_1_output_0", "/layer2/layer2.1/Relu_1_output_0")
    network = cut(photos.network(), *layers, entry=("images", ("batch", 3, 160, 160)))
    seen = replace(photos.preprocessing, size=(160, 160))
    maps = PatchMaps(network, seen, grid=(20, 20), channels=64, name="good-parts")
    return Bundle.bare(maps, step=STEP, normalise=False)
