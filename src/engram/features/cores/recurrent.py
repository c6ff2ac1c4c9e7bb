"""Cores that go from frame to frame by equations over named arrays.

The equations are written once, for numpy's arrays and PyTorch's tensors alike: numpy runs a core, a learning rule
(`engram.features.cores.learning_rules`) trains its arrays through PyTorch, and a device that runs them needs numpy
alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from engram.features.cores.core import Arrays, check_count, heard, read_only
from engram.learner import FloatArray, State

Array = Any
"""An array of numpy's, or a tensor of PyTorch's."""

Moving = dict[str, Array]
"""A state while it moves."""


class Operations(Protocol):
    """What the equations need beside + - * / and @."""

    def exp(self, x: Array, /) -> Array: ...
    def tanh(self, x: Array, /) -> Array: ...
    def sigmoid(self, x: Array, /) -> Array: ...
    def softplus(self, x: Array, /) -> Array: ...
    def softmax(self, x: Array, /) -> Array: ...
    def concatenate(self, parts: list[Array], axis: int, /) -> Array: ...
    def stack(self, parts: list[Array], axis: int, /) -> Array: ...
    def where(self, condition: Array, x: Array, y: Array, /) -> Array: ...
    def spike(self, x: Array, /) -> Array:
        """1 where x is above 0, else 0; how it is differentiated is up to who trains."""


class _Numpy:
    """The operations on numpy's arrays."""

    exp, tanh, where = staticmethod(np.exp), staticmethod(np.tanh), staticmethod(np.where)
    concatenate, stack = staticmethod(np.concatenate), staticmethod(np.stack)

    @staticmethod
    def sigmoid(x: Array, /) -> Array:
        half = np.tanh(0.5 * x)  # never overflows
        half *= 0.5
        half += 0.5
        return half

    @staticmethod
    def softplus(x: Array, /) -> Array:
        return np.logaddexp(0.0, x)

    @staticmethod
    def softmax(x: Array, /) -> Array:
        """Over the last axis."""
        grown = np.exp(x - x.max(-1, keepdims=True))
        return grown / grown.sum(-1, keepdims=True)

    @staticmethod
    def spike(x: Array, /) -> Array:
        return (x > 0).astype(np.float64)


NUMPY: Operations = _Numpy()


class Recurrent(ABC):
    """A core of equations over named arrays.

    A kind of it says what arrays it has (`shapes`), what its state holds (`memory`), what of a frame can be computed
    for all frames at once (`driven`), how the state moves by a frame (`step`), and what goes out (`read`).

    Args:
        arrays: by name, as `shapes` has them.
        channels: values of a frame.
        width: values of an output.
        settings: more constants of the equations; JSON values, kept as attributes.
    """

    kind: ClassVar[str]
    flows: bool = False
    settings: ClassVar[Mapping[str, Any]] = {}
    """Constants of the equations with their defaults."""
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Arrays that no learning rule changes."""

    def __init__(self, arrays: Arrays, *, channels: int, width: int, **settings: Any) -> None:
        self.channels, self.width = check_count("channels", channels), check_count("width", width)
        if unknown := settings.keys() - self.settings.keys():
            raise TypeError(f"{type(self).__name__} has no setting {', '.join(sorted(unknown))}")
        for name, default in self.settings.items():
            setattr(self, name, settings.get(name, default))
        self.check()
        self.arrays: Arrays = read_only(arrays, self.shapes())

    @classmethod
    def fresh(cls, channels: int, width: int = 64, *, seed: int = 0, **settings: Any) -> Self:
        """An untrained one: weights uniform within ±1/√(inputs of the unit), biases 0, unless its file says otherwise.

        Raises:
            InputError: a number of channels or a width that is not one from 1 on, or a setting out of range.
        """
        bare = cls.__new__(cls)
        bare.channels, bare.width = check_count("channels", channels), check_count("width", width)
        for name, default in cls.settings.items():
            setattr(bare, name, settings.get(name, default))
        bare.check()
        rng = np.random.default_rng(seed)
        return cls({name: bare.begin(name, shape, rng) for name, shape in bare.shapes().items()}, channels=channels,
                   width=width, **settings)

    def check(self) -> None:
        """Raises InputError for a setting out of range."""

    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Array -> its shape."""

    def begin(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """An array of an untrained core."""
        if len(shape) == 1:
            return np.zeros(shape)
        return np.asarray(rng.uniform(-1, 1, shape) / np.sqrt(shape[0]))

    def memory(self) -> dict[str, tuple[int, ...]]:
        """What the state holds of each sequence: name -> shape."""
        return {"hidden": (self.width,)}

    @abstractmethod
    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """(n, L, K): what the equations need of each frame."""

    @abstractmethod
    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """The state after a frame: driven (n, K), dt (n, 1)."""

    def read(self, state: Moving) -> Array:
        """(n, width): what goes out."""
        return state["hidden"]

    def start(self, n: int) -> State:
        """See `Core.start`."""
        count = check_count("n", n)
        return {name: np.zeros((count, *shape)) for name, shape in self.memory().items()}

    def advance(self, state: State, frames: Any, dt: Any) -> tuple[State, FloatArray]:
        """See `Core.advance`."""
        given = heard(self, state, frames, dt)
        moved, outputs = unrolled(self, self.arrays, state, given.frames, given.dt, NUMPY)
        return moved, outputs

    def config(self) -> dict[str, Any]:
        """The constructor's arguments beside the arrays."""
        return {"channels": self.channels, "width": self.width, **{name: getattr(self, name) for name in self.settings}}

    def with_arrays(self, arrays: Arrays) -> Self:
        """The same equations with other arrays, such as trained ones."""
        return type(self)(arrays, **self.config())


def unrolled(
    core: Recurrent, p: Mapping[str, Array], state: Moving, frames: Array, dt: Array, ops: Operations
) -> tuple[Moving, Array]:
    """Go through (n, L, channels) frames with times (n, L); the state afterwards, and outputs (n, L, width)."""
    driven, outputs = core.driven(p, frames, ops), []
    resting = dt <= 0
    rests = bool(resting.any())
    for t in range(frames.shape[1]):
        moved = core.step(p, state, driven[:, t], dt[:, t, None], ops)
        if rests:
            moved = {name: ops.where(resting[:, t].reshape(-1, *[1] * (after.ndim - 1)), state[name], after)
                     for name, after in moved.items()}
        state = moved
        outputs.append(core.read(state))
    return state, ops.stack(outputs, 1)
