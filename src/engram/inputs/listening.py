"""A stream of samples, cut into what is said: each part between two pauses, while the samples come."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.inputs.audio import Sound
from engram.inputs.sounds import RATES
from engram.inputs.vectors import as_array
from engram.learner import InputError

_FRAME = 0.01  # seconds
_HISTORY = 300  # frames by which the noise is measured
_QUIET = 0.2  # the share of them that is quieter than the noise
_CEILING = -40.0  # decibels beyond which nothing counts as noise
_BEGINS = 3  # loud frames in a row with which something begins


class Segment(NamedTuple):
    """What was said between two pauses: seconds since the stream began, and the sound with a margin on either side."""

    begin: float
    end: float
    sound: Sound


class Listener:
    """Finds what is said in a stream; it remembers a few seconds, however long the stream is.

    The noise is the level that a fifth of the last three seconds lies below. Something begins where three frames of
    10 ms in a row are louder than that by `loud`, and ends where a pause follows. How the samples are divided among
    calls makes no difference.

    Args:
        rate: samples a second.
        loud: decibels above the noise.
        pause: seconds of quiet after which something has ended.
        shortest: seconds that it lasts at least.
        longest: seconds after which it is cut.
        margin: seconds of sound that are added before and after.

    Raises:
        InputError: a rate that no sound has.

    >>> time = np.arange(8000) / 8000
    >>> stream = np.concatenate([0 * time, np.sin(2500 * time[:4000]), 0 * time])
    >>> [(round(one.begin, 1), round(one.end, 1)) for one in Listener(8000).feed(stream)]
    [(1.0, 1.5)]
    """

    def __init__(
        self, rate: int, *, loud: float = 12.0, pause: float = 0.25, shortest: float = 0.1, longest: float = 3.0,
        margin: float = 0.1,
    ) -> None:
        if isinstance(rate, bool) or not isinstance(rate, int) or not RATES[0] <= rate <= RATES[1]:
            raise InputError(f"The rate is a whole number of samples a second from {RATES[0]:,} to {RATES[1]:,}, not "
                             f"{rate!r}.")
        self.rate, self._loud, self._hop = rate, loud, round(rate * _FRAME)
        self._pause, self._shortest, self._longest, self._margin = (
            max(1, round(seconds / _FRAME)) for seconds in (pause, shortest, longest, margin))
        self._levels: deque[float] = deque(maxlen=_HISTORY)
        self._before: deque[npt.NDArray[np.float32]] = deque(maxlen=self._margin + _BEGINS)
        self._said: list[npt.NDArray[np.float32]] = []
        self._rest = np.empty(0, np.float32)
        self._frame = self._loud_in_a_row = self._quiet_in_a_row = self._begun = 0

    @property
    def speaking(self) -> bool:
        """Whether something has begun that has not ended."""
        return bool(self._said)

    def feed(self, samples: Any) -> list[Segment]:
        """Hear more, and get what ended meanwhile.

        Args:
            samples: (N,) floats about ±1.

        Raises:
            InputError: not samples of one channel, or not finite; nothing was heard then.
        """
        array = np.asarray(as_array(samples))
        if array.ndim != 1 or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(f"Samples of a stream are (N,) finite floats, not {array.dtype} of shape {array.shape}.")
        whole = np.concatenate([self._rest, array.astype(np.float32)])
        count = len(whole) // self._hop
        self._rest = whole[count * self._hop :]
        found = (self._hear(frame) for frame in whole[: count * self._hop].reshape(count, self._hop))
        return [segment for segment in found if segment is not None]

    def finish(self) -> list[Segment]:
        """What was being said when the stream ended."""
        ended = self._ended() if self._said else None
        return [] if ended is None else [ended]

    def _hear(self, frame: npt.NDArray[np.float32]) -> Segment | None:
        level = 10 * np.log10(np.square(frame, dtype=np.float64).mean() + 1e-12)
        self._levels.append(float(level))
        noise = min(float(np.quantile(self._levels, _QUIET)), _CEILING)
        loud = level > noise + self._loud
        self._frame += 1
        self._loud_in_a_row = self._loud_in_a_row + 1 if loud else 0
        self._quiet_in_a_row = 0 if loud else self._quiet_in_a_row + 1
        if not self._said:
            self._before.append(frame)
            if self._loud_in_a_row >= _BEGINS:
                self._begun = self._frame - self._loud_in_a_row
                self._said = list(self._before)
            return None
        self._said.append(frame)
        if self._quiet_in_a_row >= self._pause or self._frame - self._begun >= self._longest:
            return self._ended()
        return None

    def _ended(self) -> Segment | None:
        """None where it was too short."""
        end = self._frame - self._quiet_in_a_row
        surplus = max(0, self._quiet_in_a_row - self._margin)
        said = self._said[: len(self._said) - surplus]
        self._said = []
        self._before.clear()
        self._loud_in_a_row = 0
        if end - self._begun < self._shortest:
            return None
        return Segment(self._begun * _FRAME, end * _FRAME, Sound(np.concatenate(said), self.rate))
