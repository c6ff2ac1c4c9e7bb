"""A core turns frames into outputs, step by step, and keeps nothing inside: all it remembers is its state.

So one core serves any number of streams, a stream is saved as a dictionary of arrays, and what one stream hears never
reaches another. `engram.checks.check_core` holds a core to these laws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from engram.inputs.vectors import as_array
from engram.learner import DamagedError, FloatArray, InputError, State

Arrays = Mapping[str, npt.NDArray[Any]]
"""What a core computes with, by name."""


@runtime_checkable
class Core(Protocol):
    """Frames -> outputs.

    Attributes:
        channels: values of a frame.
        width: values of an output.
        flows: whether the state follows a differential equation, so that two steps of half the time come to what one
            step does, the closer the shorter they are.
    """

    channels: int
    width: int
    flows: bool

    def start(self, n: int) -> State:
        """The state of n sequences of which nothing was seen yet: arrays with the sequence on axis 0."""

    def advance(self, state: State, frames: Any, dt: Any) -> tuple[State, FloatArray]:
        """Go on by L frames.

        Args:
            state: what `start` or `advance` returned; it is not changed.
            frames: (n, L, channels).
            dt: (n, L) seconds since the frame before; 0 is padding, at which the state stands still.

        Returns:
            A new state, and outputs (n, L, width) float64: each is read from the state after its frame.

        Raises:
            InputError: shapes that do not fit, values that are not finite, negative times, or another core's state.
        """


@runtime_checkable
class Stored(Core, Protocol):
    """A core that can be saved: its kind, JSON values and arrays.

    Attributes:
        kind: its key in `engram.features.cores.CORES`.
        arrays: what it computes with.
    """

    kind: ClassVar[str]
    arrays: Arrays

    def config(self) -> dict[str, Any]:
        """The constructor's arguments beside the arrays: JSON values."""

    @classmethod
    def fresh(cls, channels: int, *, seed: int = 0) -> Self:
        """One for frames of so many channels, untrained, with the settings that suit it by default."""


class Heard(NamedTuple):
    """(n, L, channels) frames and (n, L) times, finite float64."""

    frames: FloatArray
    dt: FloatArray


def heard(core: Core, state: State, frames: Any, dt: Any) -> Heard:
    """What `advance` was given, checked.

    Raises:
        InputError: see `Core.advance`.
    """
    try:
        rows, times = np.asarray(as_array(frames), np.float64), np.asarray(as_array(dt), np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Frames and times are numbers: {error}") from error
    if rows.ndim != 3 or rows.shape[2] != core.channels or not rows.size:
        raise InputError(f"Frames have shape (n, L, {core.channels}), not {rows.shape}.")
    if times.shape != rows.shape[:2]:
        raise InputError(f"There is one time for each frame: {rows.shape[:2]}, not {times.shape}.")
    if not (_finite(rows) and _finite(times)):
        raise InputError("A frame or a time is NaN or infinite: fill in missing values, or leave the frame out.")
    if times.min() < 0:
        raise InputError("A time is negative: dt is how many seconds passed since the frame before, 0 for padding.")
    _check_state(core, state, len(rows))
    return Heard(rows, times)


def _finite(array: npt.NDArray[Any]) -> bool:
    """Whether all values are; their sum of squares says it at a third of the time, where it does not overflow."""
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def _check_state(core: Core, state: State, n: int) -> None:
    """Raises InputError where the state is none of n sequences of this core."""
    wanted = core.start(n)
    if state.keys() != wanted.keys():
        raise InputError(f"The state of another core: it holds {', '.join(state) or 'nothing'}, not "
                         f"{', '.join(wanted)}. Begin with start({n}).")
    for name, array in wanted.items():
        if np.shape(state[name]) != array.shape:
            raise InputError(f"{name!r} of the state has shape {np.shape(state[name])}, not {array.shape}: it belongs "
                             f"to other sequences than these {n}, or to another core.")
        if not _finite(state[name]):
            raise InputError(f"{name!r} of the state holds NaN or infinity: begin anew with start({n}).")


def read_only(arrays: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, npt.NDArray[Any]]:
    """Copies of the arrays that nobody changes; floats as float64.

    Raises:
        DamagedError: one is missing, one too many, of another shape, or not finite.
    """
    if arrays.keys() != shapes.keys():
        raise DamagedError(f"This core is made of {', '.join(shapes)}; given: {', '.join(arrays) or 'nothing'}.")
    kept = {}
    for name, shape in shapes.items():
        given = np.asarray(arrays[name])
        copy = np.array(given, np.float64 if given.dtype.kind == "f" else given.dtype, order="C")
        if copy.shape != shape or not np.isfinite(copy).all():
            raise DamagedError(f"{name!r} of this core must be finite numbers of shape {shape}, not {copy.shape}.")
        copy.setflags(write=False)
        kept[name] = copy
    return kept


def check_count(what: str, value: Any, least: int = 1) -> int:
    """A whole number, `least` or more. Raises InputError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{what} is a whole number from {least} on, not {value!r}.")
    return int(value)
