"""The laws of a core for streams: what it remembers is its state, and nothing else.

`check_core(make)` runs all of them on what `make()` returns; `core_checks()` gives them one by one, for pytest. They
need numpy alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from engram.checks.trial import LawBroken, require, require_refused
from engram.learner import FloatArray, InputError, State
from engram.packing import pack

Ran = tuple[State, FloatArray]


@dataclass(frozen=True)
class CoreTrial:
    """What a law works with.

    Attributes:
        make: returns a core, the same one each time.
        length: frames of a sequence.
        sequences: how many are heard together.
        unit: the time between frames, about; it is irregular.
        loud: how large frames are in the law of bounds.
        tolerance: by how much outputs of one computation in another order may differ.
    """

    make: Callable[[], Any]
    length: int = 24
    sequences: int = 3
    unit: float = 1.0
    loud: float = 1e3
    tolerance: float = 1e-8
    seed: int = 0

    @cached_property
    def core(self) -> Any:
        """One core."""
        return self.make()

    @cached_property
    def frames(self) -> FloatArray:
        """(n, L, channels): a random walk that does not wander off."""
        rng = np.random.default_rng(self.seed)
        return np.sin(np.cumsum(rng.normal(size=(self.sequences, self.length, self.core.channels)), axis=1))

    @cached_property
    def dt(self) -> FloatArray:
        """(n, L): irregular times, other ones in each sequence."""
        rng = np.random.default_rng([self.seed, 1])
        return self.unit * rng.uniform(0.3, 1.7, (self.sequences, self.length))

    @cached_property
    def whole(self) -> Ran:
        """All frames heard at once."""
        return self.heard(self.frames, self.dt)

    def heard(self, frames: FloatArray, dt: FloatArray, state: State | None = None) -> Ran:
        """What a core makes of frames, from the start or from a state."""
        began = self.core.start(len(frames)) if state is None else state
        moved, outputs = self.core.advance(began, frames, dt)
        return moved, outputs

    def same(self, one: Ran, two: Ran, sentence: str) -> None:
        """States and outputs agree up to rounding."""
        require(one[1].shape == two[1].shape and np.allclose(one[1], two[1], rtol=self.tolerance, atol=self.tolerance),
                f"{sentence}: the outputs differ")
        require(one[0].keys() == two[0].keys() and all(
            np.allclose(one[0][name], two[0][name], rtol=self.tolerance, atol=self.tolerance) for name in one[0]
        ), f"{sentence}: the states differ")


def outputs(trial: CoreTrial) -> None:
    """One output a frame, finite, of the width that the core states."""
    state, found = trial.whole
    core = trial.core
    require(found.shape == (*trial.dt.shape, core.width) and found.dtype == np.float64,
            f"expected outputs {(*trial.dt.shape, core.width)} of float64, got {found.shape} of {found.dtype}")
    require(np.isfinite(found).all(), "outputs are not finite")
    require(all(len(array) == trial.sequences for array in state.values()), "axis 0 of a state is the sequence")
    require(found.std() > 0, "the outputs never change")


def chunks(trial: CoreTrial) -> None:
    """Frames heard in parts come to what they do at once."""
    for cut in (1, trial.length // 2, trial.length - 1):
        state, first = trial.heard(trial.frames[:, :cut], trial.dt[:, :cut])
        state, second = trial.heard(trial.frames[:, cut:], trial.dt[:, cut:], state)
        trial.same(trial.whole, (state, np.concatenate([first, second], axis=1)),
                   f"{cut} frames, then {trial.length - cut}, against all at once")


def batch(trial: CoreTrial) -> None:
    """Sequences heard together come to what each does by itself, irregular times included."""
    state, found = trial.whole
    for i in range(trial.sequences):
        mine = {name: array[i : i + 1] for name, array in state.items()}
        trial.same((mine, found[i : i + 1]), trial.heard(trial.frames[i : i + 1], trial.dt[i : i + 1]),
                   f"sequence {i + 1} together with others, against alone")


def padding(trial: CoreTrial) -> None:
    """Frames at time 0 change nothing, wherever they stand and whatever they hold."""
    rng = np.random.default_rng([trial.seed, 2])
    total = trial.length + 7
    frames, dt = rng.normal(size=(trial.sequences, total, trial.core.channels)) * 9, np.zeros((trial.sequences, total))
    places = np.stack([np.sort(rng.permutation(total)[: trial.length]) for _ in range(trial.sequences)])
    places[0], places[-1] = np.arange(trial.length), np.arange(7, total)
    rows = np.arange(trial.sequences)[:, None]
    frames[rows, places], dt[rows, places] = trial.frames, trial.dt
    state, found = trial.heard(frames, dt)
    trial.same(trial.whole, (state, found[rows, places]), "with padding, against without")
    require(np.allclose(found[0, trial.length :], found[0, trial.length - 1], atol=trial.tolerance),
            "at padding the output changes, though the state stands still")


def isolation(trial: CoreTrial) -> None:
    """What one stream hears never reaches another, nor does it stay in the core."""
    others = np.array(trial.frames)
    others[1:] += 1.0
    require(np.array_equal(trial.heard(others, trial.dt)[1][0], trial.whole[1][0]),
            "the first sequence's outputs change with the frames of the others")
    cut = trial.length // 2
    state, _ = trial.heard(trial.frames[:, :cut], trial.dt[:, :cut])
    trial.heard(others, trial.dt)
    after = trial.heard(trial.frames[:, cut:], trial.dt[:, cut:], state)
    trial.same((trial.whole[0], trial.whole[1][:, cut:]), after, "with another stream in between, against alone")


def given(trial: CoreTrial) -> None:
    """The given state and frames stay the caller's; a returned state shares no memory with them."""
    state = trial.heard(trial.frames, trial.dt)[0]
    before, frames = _digest(state), np.array(trial.frames)
    moved, found = trial.heard(frames, trial.dt, state)
    require(_digest(state) == before and np.array_equal(frames, trial.frames), "the given state or frames changed")
    for array in (*moved.values(), found):
        array[...] = -7.0
    require(_digest(state) == before and np.array_equal(frames, trial.frames),
            "the returned state shares memory with what was given")


def resume(trial: CoreTrial) -> None:
    """A state that was saved and loaded, in another core of the same make, goes on to the same bits."""
    from safetensors.numpy import load

    cut = trial.length // 2
    state, _ = trial.heard(trial.frames[:, :cut], trial.dt[:, :cut])
    loaded = load(pack(dict(reversed(state.items()))))
    rest = trial.frames[:, cut:], trial.dt[:, cut:]
    one, two = trial.heard(*rest, state), trial.make().advance(loaded, *rest)
    require(np.array_equal(one[1], two[1]) and _digest(one[0]) == _digest(two[0]),
            "after saving and loading the state, the outputs are others")


def refinement(trial: CoreTrial) -> None:
    """Where the state flows, two steps of half the time come to one, the closer the shorter they are."""
    state, _ = trial.whole
    frames = trial.frames[:, :1]
    apart = []
    for time in (trial.unit / 2, trial.unit / 8):
        dt = np.full((trial.sequences, 1), time)
        one = trial.heard(frames, dt, state)[1][:, -1]
        two = trial.heard(np.repeat(frames, 2, axis=1), np.repeat(dt / 2, 2, axis=1), state)[1][:, -1]
        apart.append(float(np.abs(one - two).max()))
    require(apart[1] <= apart[0] / 4 + trial.tolerance,
            f"two half steps differ from one by {apart[0]:.3g}, and by {apart[1]:.3g} where they are four times "
            "shorter")


def bounded(trial: CoreTrial) -> None:
    """The state never grows in size, and stays finite under loud frames."""
    size = {name: array.nbytes for name, array in trial.core.start(trial.sequences).items()}
    state = None
    for _ in range(20):
        state, found = trial.heard(trial.loud * trial.frames, trial.dt, state)
        require({name: array.nbytes for name, array in state.items()} == size, "the state grows with the stream")
        require(np.isfinite(found).all() and all(np.isfinite(array).all() for array in state.values()),
                "after loud frames, outputs or state are no longer finite")


def bad_input(trial: CoreTrial) -> None:
    """What cannot be heard is refused with a clear error, and nothing changes."""
    core, n = trial.core, trial.sequences
    state = trial.whole[0]
    before = _digest(state)
    holed, endless, backwards = np.array(trial.frames), np.array(trial.dt), np.array(trial.dt)
    holed[0, 1, 0], endless[0, 1], backwards[0, 1] = np.nan, np.inf, -1.0
    name = next(iter(state))
    cases: dict[str, tuple[Any, Any, Any]] = {
        "NaN in a frame": (state, holed, trial.dt), "an infinite time": (state, trial.frames, endless),
        "a negative time": (state, trial.frames, backwards), "no frames": (state, trial.frames[:, :0], trial.dt[:, :0]),
        "one channel too many": (state, np.zeros((n, 2, core.channels + 1)), np.ones((n, 2))),
        "frames without sequences": (state, trial.frames[0], trial.dt[0]),
        "times of another shape": (state, trial.frames, trial.dt[:, 1:]), "text": (state, "frames", trial.dt),
        "another number of sequences": (core.start(n + 1), trial.frames, trial.dt),
        "a state that lacks a part": ({key: state[key] for key in state if key != name}, trial.frames, trial.dt),
        "a state that is not finite": (state | {name: np.full_like(state[name], np.nan)}, trial.frames, trial.dt),
    }
    for what, arguments in cases.items():
        require_refused(core.advance, arguments, (InputError,), what)
        require(_digest(state) == before, f"{what}: the state changed")
    require_refused(core.start, (0,), (InputError,), "no sequences")
    trial.same(trial.whole, trial.heard(trial.frames, trial.dt), "after what was refused, against before")


def seeds(trial: CoreTrial) -> None:
    """Made again, it is the same core, to the bit."""
    other = trial.make()
    found = other.advance(other.start(trial.sequences), trial.frames, trial.dt)[1]
    require(np.array_equal(found, trial.whole[1]), "the same make gives other outputs")


def _digest(state: State) -> str:
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(name.encode() + np.ascontiguousarray(state[name]).tobytes())
    return total.hexdigest()


@dataclass(frozen=True)
class CoreCheck:
    """One law, callable with a maker of cores; its name says which.

    Attributes:
        name: what holds, in words.
        test: raises LawBroken where it does not hold.
        flows: whether it binds only cores whose state flows.
        settings: fields of `CoreTrial` that differ from its defaults.
    """

    name: str
    test: Callable[[CoreTrial], None]
    flows: bool = False
    settings: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return self.name

    def __call__(self, make_core: Callable[[], Any]) -> bool:
        """Check the law; False where it does not bind the core.

        Raises:
            LawBroken: naming the law and what was seen.
        """
        trial = CoreTrial(make_core, **dict(self.settings))
        if self.flows and not trial.core.flows:
            return False
        try:
            self.test(trial)
        except LawBroken as broken:
            raise LawBroken(f"{self}: {broken}") from broken.__cause__
        except Exception as error:
            raise LawBroken(f"{self}: {type(error).__name__}: {error}") from error
        return True


CORE_CHECKS = (
    CoreCheck("one output a frame", outputs),
    CoreCheck("frames in parts are heard as at once", chunks),
    CoreCheck("sequences together are heard as one by one", batch),
    CoreCheck("padding changes nothing", padding),
    CoreCheck("streams are isolated", isolation),
    CoreCheck("what was given stays the caller's", given),
    CoreCheck("a saved state goes on to the bit", resume),
    CoreCheck("two half steps are one", refinement, flows=True),
    CoreCheck("the state is bounded", bounded),
    CoreCheck("bad input is refused and leaves no trace", bad_input),
    CoreCheck("the same seed gives the same core", seeds),
)


def core_checks(**settings: Any) -> list[CoreCheck]:
    """Every law as a named check.

    Args:
        settings: fields of `CoreTrial` other than `make`.

    >>> len(core_checks()), str(core_checks()[3])
    (11, 'padding changes nothing')
    """
    return [replace(check, settings=tuple(settings.items())) for check in CORE_CHECKS]


def check_core(make_core: Callable[[], Any], **settings: Any) -> list[str]:
    """Hold a core to every law that binds it.

    Args:
        make_core: returns a core, the same one each time.
        settings: as in `core_checks`.

    Returns:
        The names of the laws that were checked.

    Raises:
        LawBroken: at the first law broken.
    """
    return [str(check) for check in core_checks(**settings) if check(make_core)]
