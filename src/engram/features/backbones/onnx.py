"""Any network in an ONNX file, run by ONNX Runtime and cut where its features are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

import numpy as np
import numpy.typing as npt

from engram.features.backbones.backbone import (
    Features,
    Pool,
    Takes,
    count,
    fingerprint_of,
    in_batches,
    pooled,
)
from engram.features.backbones.onnx_graph import before_pooling, check_self_contained
from engram.features.backbones.onnx_graph import cut as cut_network
from engram.features.backbones.preprocessing import Preprocessing
from engram.inputs.images import decode, each
from engram.inputs.vectors import as_vectors
from engram.learner import DamagedError, InputError
from engram.progress import Progress

_STRIDE = 32  # pixels that the sides of a picture are multiples of, so that every layer's maps have whole sides


@dataclass(frozen=True, slots=True)
class Ports:
    """What goes into a network and what comes out: names, and the input's shape (None: any size)."""

    input: str
    output: str
    shape: tuple[int | None, ...]


class OnnxBackbone:
    """Features from an ONNX network with one float32 input.

    Inputs are pictures where there is a preprocessing, else vectors (N, D) handed on as they are. They run
    through the network one at a time unless `batch` says otherwise: nothing promises that the last bits of a
    feature do not depend on its company in a batch, and then teaching many at once would not be exactly
    teaching them one by one.

    Args:
        network: the content of the file. (`OnnxBackbone.load` takes a path.)
        preprocessing: how pictures become inputs; None for vectors.
        cut: the name of the value that is the feature; None for the network's first output.
        pool: what becomes of (N, T, D) tokens: their "average" or the "first". Maps (N, C, H, W) are always
            averaged over H and W.
        name: what people call it.
        threads: ONNX Runtime's threads within one operator.
        batch: how many inputs run at once, for small networks over many inputs.

    Raises:
        DamagedError: not an ONNX file, or truncated.
        InputError: the network does not fit the preprocessing, or nothing in it is called `cut`.
    """

    kind: ClassVar[str] = "onnx"
    network_file: ClassVar[str | None] = "network.onnx"

    def __init__(
        self,
        network: bytes,
        preprocessing: Preprocessing | None = None,
        *,
        cut: str | None = None,
        pool: Pool = "average",
        name: str = "onnx",
        threads: int = 1,
        batch: int = 1,
    ) -> None:
        if pool not in get_args(Pool):
            raise InputError(f"pool is one of {get_args(Pool)}, not {pool!r}.")
        self.name = name
        self.preprocessing = preprocessing
        self.takes: Takes = "vectors" if preprocessing is None else "pictures"
        self.cut = cut
        self.pool = pool
        self.batch = batch
        self.threads = threads
        self._network = bytes(network)
        self._places: Any = None  # the session that gives maps, once it was asked for
        check_self_contained(self._network)
        self._session = open_session(self._network if cut is None else cut_network(self._network, cut), threads)
        self._ports = _ports(self._session)
        self.fingerprint = fingerprint_of(self.kind, self.config(), self._network)
        self.width = self._probe()

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], preprocessing: Preprocessing | None = None, **options: Any
    ) -> Self:
        """The network in a file, called after it unless `name` says otherwise.

        Raises:
            InputError: the file cannot be read, or is not a network that can be cut there.
        """
        file = Path(path)
        try:
            network = file.read_bytes()
        except OSError as error:
            raise InputError(f"Cannot read {file}: {error.strerror or error}.") from error
        return cls(network, preprocessing, **{"name": file.stem, **options})

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One vector per picture or row, (N, D) float32.

        Raises:
            InputError: not what this network takes, none at all, or features that are not finite.
        """
        if self.preprocessing is None:
            rows = as_vectors(inputs, self._ports.shape[1])
            return in_batches(rows, self.run, size=self.batch, total=len(rows), progress=progress)
        prepare = self.preprocessing
        return in_batches(
            each(inputs), lambda pictures: self.run(prepare(pictures)),
            size=self.batch, total=count(inputs), progress=progress,
        )

    def places(self, picture: Any, times: float) -> npt.NDArray[np.float32]:
        """What the features of a picture are the average of, place by place: (rows, columns, D) float32.

        Args:
            picture: what `features` takes one of.
            times: how many times as long as the network's own input the longer side of the picture becomes.

        Raises:
            InputError: the network does not take pictures, or does not end in an average over places.
        """
        prepare = self.preprocessing
        if prepare is None or prepare.layout != "nchw" or self.cut is not None:
            raise InputError(f"The backbone {self.name!r} does not see places of pictures: use `photos` or"
                             " `efficientnet-lite0`.")
        if self._places is None:
            depth = 3 if prepare.channels == "rgb" else 1
            entry = (self._ports.input, ("batch", depth, "rows", "columns"))
            maps = cut_network(self._network, before_pooling(self._network), entry=entry)
            self._places = open_session(maps, self.threads)
        pixels = decode(picture, peak=prepare.peak)
        scale = times * max(prepare.size) / max(pixels.shape[:2])
        size = tuple(max(_STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in pixels.shape[:2])
        whole = replace(prepare, size=(size[0], size[1]), crop=1.0, fit="stretch")
        found = self._places.run(None, {self._ports.input: whole([pixels])})[0][0]
        return np.ascontiguousarray(found.transpose(1, 2, 0), np.float32)

    def config(self) -> dict[str, Any]:
        """Preprocessing, cut and pooling as JSON values."""
        prepared = None if self.preprocessing is None else self.preprocessing.config()
        return {"preprocessing": prepared, "cut": self.cut, "pool": self.pool}

    def network(self) -> bytes:
        """The file's content, uncut."""
        return self._network

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds.

        Raises:
            DamagedError: the configuration or the network cannot be used.
        """
        try:
            prepared = config["preprocessing"]
            preprocessing = None if prepared is None else Preprocessing.from_config(prepared)
            return cls(network or b"", preprocessing, cut=config["cut"], pool=config["pool"], name=name)
        except (KeyError, TypeError, InputError) as error:
            raise DamagedError(f"The description of backbone {name!r} cannot be used: {error}") from error

    def with_preprocessing(self, preprocessing: Preprocessing) -> Self:
        """The same network under another preprocessing, and so with another fingerprint."""
        return type(self)(
            self._network, preprocessing, cut=self.cut, pool=self.pool,
            name=self.name, threads=self.threads, batch=self.batch,
        )

    def _probe(self) -> int:
        """Run one blank input: the network's promise of shapes is checked by keeping it."""
        shape = self._ports.shape
        if self.preprocessing is not None:
            wanted = self.preprocessing.shape
            if len(shape) != len(wanted) + 1 or any(
                s not in (None, w) for s, w in zip(shape[1:], wanted, strict=True)
            ):
                raise InputError(
                    f"The network takes {shape}, the preprocessing gives {(None, *wanted)}: change its size, "
                    "channels or layout."
                )
        elif len(shape) != 2 or shape[1] is None:
            raise InputError(f"The network takes {shape}: give the preprocessing of its pictures.")
        else:
            wanted = (shape[1],)
        return int(self.run(np.zeros((1, *wanted), np.float32)).shape[1])

    def run(self, inputs: npt.NDArray[Any] | Iterable[Any]) -> Features:
        """(N, D) features of inputs that are prepared already, as one batch."""
        batch = np.asarray(inputs, np.float32)
        fixed = self._ports.shape[0]
        if fixed is None:
            return self._once(batch)
        parts = [batch[i : i + fixed] for i in range(0, len(batch), fixed)]
        return np.concatenate([self._once(_filled(part, fixed))[: len(part)] for part in parts])

    def _once(self, batch: npt.NDArray[Any]) -> Features:
        try:
            out = self._session.run([self._ports.output], {self._ports.input: batch})[0]
        except Exception as error:  # ONNX Runtime raises its own, unrelated exceptions
            raise InputError(f"The network {self.name!r} failed on its input: {first_line(error)}") from error
        nhwc = self.preprocessing is not None and self.preprocessing.layout == "nhwc"
        features = pooled(out, self.pool, channels_last=nhwc)
        if len(features) != len(batch):
            raise InputError(f"The network gives {len(features)} vectors for {len(batch)} inputs: cut it elsewhere.")
        return features


def _filled(batch: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """For a network exported with a fixed batch: the rest of it stays blank."""
    blank = np.zeros((size - len(batch), *batch.shape[1:]), batch.dtype)
    return np.concatenate([batch, blank])


def open_session(network: bytes, threads: int) -> Any:
    """ONNX Runtime's session for a network. Raises DamagedError where the content is none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise DamagedError(f"Not a complete ONNX network: {first_line(error)}") from error


def _ports(session: Any) -> Ports:
    entries = session.get_inputs()
    if len(entries) != 1 or entries[0].type != "tensor(float)":
        found = [(entry.name, entry.type) for entry in entries]
        raise InputError(f"A backbone has one input of float32; this network has {found}.")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in entries[0].shape)
    output = session.get_outputs()[0]
    if output.type != "tensor(float)":
        raise InputError(f"Features are float32; {output.name!r} is {output.type}.")
    return Ports(entries[0].name, output.name, shape)


def first_line(error: Exception) -> str:
    """The first line of an error of ONNX Runtime, short enough to quote."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
