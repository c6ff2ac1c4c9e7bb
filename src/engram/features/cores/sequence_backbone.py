"""A core as a backbone: sequences or sounds -> what the core makes of them, folded over time into one vector each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from engram.features.backbones.backbone import Features, Takes, fingerprint_of, in_batches
from engram.features.backbones.log_mel import loud_frames
from engram.features.cores import CORES
from engram.features.cores.core import Stored
from engram.features.cores.pool import Fold, Pool
from engram.inputs import sequences, sounds
from engram.learner import DamagedError, FloatArray, InputError
from engram.packing import pack
from engram.progress import Progress

VERSION = 1
"""Raised whenever the same sequence would give other features."""

BANDS, FRAME = 40, 0.01
"""Of a sound: mel bands, and seconds from frame to frame. A frame holds each band, and its change since the last."""

UNITS = 200
"""Width of a core that is made of the first inputs, where it has units."""


def _of_sound(source: Any) -> sequences.Sequence:
    bands = loud_frames(sounds.decode(source), BANDS)
    frames = np.concatenate([bands, np.diff(bands, axis=0, prepend=bands[:1])], axis=1)
    return sequences.Sequence(frames, np.full(len(frames), FRAME))


HEARING: dict[str, tuple[Callable[[Any], Any], Callable[[Any], sequences.Sequence]]] = {
    "sequences": (sequences.each, sequences.decode), "sound": (sounds.each, _of_sound),
}
"""What it takes -> the single ones in whatever was given, and the frames of one."""


class SequenceBackbone:
    """Sequences of any lengths -> (N, width) float32.

    Args:
        core: what hears the frames.
        pool: what becomes of its outputs over time: "last", "mean" or "moments"; see `Fold`.
        takes: "sequences", or "sound": then frames are log-mel power of the loud part, 40 bands and their changes, 100
            a second.
        offset, scale: (channels,) what is taken from each channel, and what it is multiplied by then; None: nothing.
        unit: the seconds that the core counts as 1: about the time between two frames.
        name: what people call it.

    >>> from engram.features.cores.echo_state import EchoState
    >>> backbone = SequenceBackbone(EchoState.fresh(channels=2, width=50), "mean")
    >>> backbone.features([np.ones((30, 2)), np.zeros((9, 2))]).shape
    (2, 50)
    """

    kind: ClassVar[str] = "sequence"
    network_file: ClassVar[str | None] = "network.safetensors"

    def __init__(
        self, core: Stored, pool: Pool = "moments", *, takes: Takes = "sequences",
        offset: Sequence[float] | None = None, scale: Sequence[float] | None = None, unit: float = 1.0,
        name: str = "sequence",
    ) -> None:
        if takes not in HEARING:
            raise InputError(f"A core takes {' or '.join(HEARING)}, not {takes!r}.")
        if takes == "sound" and core.channels != 2 * BANDS:
            raise InputError(f"Of a sound come frames of {2 * BANDS} channels; this core takes {core.channels}.")
        if not 0 < unit < np.inf:
            raise InputError(f"unit is a number of seconds above 0, not {unit!r}.")
        self.core, self.fold, self.takes, self.unit, self.name = core, Fold(pool, core.width), takes, unit, name
        self._offset = _per_channel("offset", offset, core.channels, 0.0)
        self._scale = _per_channel("scale", scale, core.channels, 1.0)
        self.width = self.fold.width
        self.fingerprint = fingerprint_of(self.kind, self.config(), self.network())

    @classmethod
    def hearing(
        cls, first: Iterable[Any], core: str = "echo-state", pool: Pool = "moments", *, takes: Takes = "sequences",
        seed: int = 0, name: str | None = None, **settings: Any,
    ) -> Self:
        """One around a new core, scaled to the first inputs.

        Args:
            first: sequences or sounds; each channel of theirs is brought to mean 0 and standard deviation 1, and the
                usual time between two frames counts as 1.
            core: a name in `CORES`.
            seed, settings: of the core; its width is 200 where it has units.

        Raises:
            InputError: none of that name, no inputs, or inputs with different numbers of channels.

        >>> first = [np.random.default_rng(i).normal(5.0, 2.0, (40, 3)) for i in range(4)]
        >>> SequenceBackbone.hearing(first, "gru", width=16).features(first).shape
        (4, 32)
        """
        known = [HEARING[takes][1](one) for one in first]
        widths = sorted({one.frames.shape[1] for one in known})
        if len(widths) != 1:
            raise InputError(f"The sequences have different numbers of channels: {widths}." if widths else
                             "Nothing to work on: 0 sequences.")
        frames = np.concatenate([one.frames for one in known])
        spread = frames.std(axis=0)
        key = CORES.name_of(core)
        made = CORES.load(key).fresh(widths[0], seed=seed, **_usual(key) | dict(CORES[key].settings) | settings)
        return cls(made, pool, takes=takes, offset=frames.mean(axis=0).tolist(),
                   scale=np.divide(1.0, spread, out=np.ones_like(spread), where=spread > 1e-9).tolist(),
                   unit=float(np.median(np.concatenate([one.dt for one in known]))), name=name or key)

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One sequence or many as (N, width) float32, each heard by itself.

        Args:
            inputs: what `engram.inputs.sequences.decode`, or for sounds `engram.inputs.sounds.decode`, takes one of.

        Raises:
            InputError: not a sequence, or not of the core's channels.
        """
        many, _ = HEARING[self.takes]
        total = len(inputs) if isinstance(inputs, list) else None
        return in_batches(many(inputs), lambda batch: self._of(batch[0]), size=1, total=total, progress=progress)

    def frames(self, source: Any) -> FloatArray:
        """(L, channels) frames of one sequence or sound, not yet scaled. Raises InputError as `features`."""
        return HEARING[self.takes][1](source).frames

    def _of(self, source: Any) -> FloatArray:
        frames, dt = self.heard(HEARING[self.takes][1](source))
        _, outputs = self.core.advance(self.core.start(1), frames, dt)
        return self.fold.features(self.fold.add(self.fold.start(1), outputs, dt))

    def heard(self, sequence: sequences.Sequence) -> sequences.Sequence:
        """Frames (1, L, channels) and times (1, L) as the core takes them.

        Raises:
            InputError: another number of channels.
        """
        if sequence.frames.shape[1] != self.core.channels:
            raise InputError(f"This backbone hears {self.core.channels} channels, not {sequence.frames.shape[1]}.")
        return sequences.Sequence(((sequence.frames - self._offset) * self._scale)[None], sequence.dt[None] / self.unit)

    def config(self) -> dict[str, Any]:
        """Version, the core's kind and settings, pool, scaling: JSON values."""
        return {"version": VERSION, "core": self.core.kind, "settings": self.core.config(), "pool": self.fold.pool,
                "takes": self.takes, "offset": self._offset.tolist(), "scale": self._scale.tolist(), "unit": self.unit}

    def network(self) -> bytes:
        """The core's arrays, as a safetensors file."""
        return pack(self.core.arrays)

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone that a bundle holds.

        Raises:
            DamagedError: the configuration or the arrays cannot be used.
        """
        try:
            if config["version"] != VERSION:
                raise ValueError(f"features of version {config['version']!r}; this Engram has {VERSION}")
            core = CORES.load(config["core"])(load(network or b""), **config["settings"])
            return cls(core, config["pool"], takes=config["takes"], offset=config["offset"], scale=config["scale"],
                       unit=config["unit"], name=name)
        except (KeyError, TypeError, ValueError, SafetensorError) as error:
            raise DamagedError(f"The core of backbone {name!r} cannot be used: {error}") from error


def _usual(core: str) -> dict[str, Any]:
    """Settings by which an untrained core hears sequences of any kind."""
    if core == "next-generation-reservoir":
        return {}
    return {"width": UNITS} | ({"leak": 0.3} if core == "echo-state" else {})


def _per_channel(what: str, values: Sequence[float] | None, channels: int, default: float) -> FloatArray:
    array = np.full(channels, default) if values is None else np.asarray(values, np.float64)
    if array.shape != (channels,) or not np.isfinite(array).all():
        raise InputError(f"{what} is one finite value for each of the {channels} channels.")
    return array
