"""One live stream: frames go in as they come, features of all heard so far come out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engram.features.cores.sequence_backbone import SequenceBackbone
from engram.inputs.sequences import Sequence, decode
from engram.learner import InputError, State


class Session:
    """A stream that is heard by a backbone.

    Args:
        backbone: what hears it.
        state: of an earlier session on the same backbone, which goes on to the bit; None begins.

    Raises:
        InputError: a state of another backbone.

    >>> from engram.features.cores.echo_state import EchoState
    >>> backbone = SequenceBackbone(EchoState.fresh(channels=1, width=20), "mean")
    >>> frames = np.sin(np.arange(60.0))[:, None]
    >>> session = Session(backbone)
    >>> for begin in range(0, 60, 7):
    ...     features = session.feed(frames[begin : begin + 7])
    >>> bool(np.allclose(features, backbone.features(frames)[0], atol=1e-6))
    True
    """

    def __init__(self, backbone: SequenceBackbone, state: State | None = None) -> None:
        self._backbone = backbone
        self._core, self._fold = backbone.core.start(1), backbone.fold.start(1)
        if state is not None:
            self._core, self._fold = _part(state, "core.", self._core), _part(state, "fold.", self._fold)

    def feed(self, frames: Any, dt: Any = None) -> npt.NDArray[np.float32]:
        """Hear more.

        Args:
            frames: (L, channels), or one (channels,).
            dt: (L,) seconds since the frame before, 0 for padding; None for the backbone's unit.

        Returns:
            (width,) features of all heard so far.

        Raises:
            InputError: other channels, values that are not finite, negative times; nothing was heard then.
        """
        rows, backbone = np.asarray(frames, np.float64), self._backbone
        rows = rows[None] if rows.ndim == 1 else decode(rows).frames
        times = np.full(len(rows), backbone.unit) if dt is None else np.asarray(dt, np.float64)
        given, passed = backbone.heard(Sequence(rows, times))
        core, outputs = backbone.core.advance(self._core, given, passed)
        fold = backbone.fold.add(self._fold, outputs, passed)
        features = np.asarray(backbone.fold.features(fold)[0], np.float32)
        self._core, self._fold = core, fold
        return features

    def state(self) -> State:
        """All that the session remembers, as arrays; its size does not grow."""
        return {**{f"core.{name}": array.copy() for name, array in self._core.items()},
                **{f"fold.{name}": array.copy() for name, array in self._fold.items()}}


def _part(state: State, begins: str, like: State) -> State:
    found = {name.removeprefix(begins): array for name, array in state.items() if name.startswith(begins)}
    if found.keys() != like.keys() or any(found[name].shape != like[name].shape for name in like):
        raise InputError("This is the state of a session on another backbone: begin a new session.")
    return {name: found[name].copy() for name in like}
