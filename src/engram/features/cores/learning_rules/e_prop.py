"""E-prop (Bellec et al. 2020, Nature Communications 11:3625): gradients of spiking neurons while the stream goes on.

The gradient of a weight is the sum over time of a learning signal, which each neuron is told, and an eligibility trace,
which each synapse keeps: how the neuron's output depends on the weight through the neuron itself. What a spike does to
other neurons is left out. So nothing is unrolled, and memory does not grow with time; where no neuron hears another, it
is the gradient of backpropagation through time.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from engram.features.cores.core import heard
from engram.features.cores.integrate_and_fire import DAMPED, IntegrateAndFire
from engram.learner import FloatArray, InputError

Kind = Literal["symmetric", "random", "adaptive"]
"""Errors come back by the weights of the read-out, by weights that were drawn, or by such that follow the read-out."""


class EProp:
    """The gradients of a core's arrays, frame by frame.

    After each frame, `step` returns the outputs; `learn` takes how the loss depends on them. What has come together
    since the start is in `gradients`.

    Args:
        core: its neurons, plain or adaptive.
        n: sequences that are heard together.

    >>> core = IntegrateAndFire.fresh(2, 4, seed=1)
    >>> rule = EProp(core, n=1)
    >>> for _ in range(20):
    ...     outputs = rule.step(np.ones((1, 2)))
    ...     rule.learn(outputs - 0.5)
    >>> {name: array.shape for name, array in rule.gradients.items()}
    {'input': (2, 4), 'bias': (4,), 'recurrent': (4, 4)}
    """

    def __init__(self, core: IntegrateAndFire, n: int) -> None:
        self.core, self.state = core, core.start(n)
        shape = (n, core.channels + 1 + core.width, core.width)
        self._voltage, self._raised, self._spike, self._filtered = (np.zeros(shape) for _ in range(4))
        self._sum = np.zeros(shape[1:])

    def step(self, frame: Any, dt: Any = 1.0) -> FloatArray:
        """Hear a frame.

        Args:
            frame: (n, channels).
            dt: (n,) units of time since the frame before, or one for all; 0 is padding.

        Returns:
            (n, width) outputs.

        Raises:
            InputError: as `Core.advance`; nothing has changed then.
        """
        core, state = self.core, self.state
        passed = np.broadcast_to(np.asarray(dt, np.float64), (len(state["voltage"]),))
        rows, times = heard(core, state, np.asarray(frame)[:, None], passed[:, None])
        came = np.concatenate([rows[:, 0], np.ones((len(rows), 1)), state["spikes"]], axis=1)
        self.state, outputs = core.advance(state, rows, times)
        self._trace(came, state["raised"], times[:, :, None])
        return np.asarray(outputs[:, 0])

    def _trace(self, came: FloatArray, raised: FloatArray, dt: FloatArray) -> None:
        """What depends on each weight (n, inputs, width): voltage, spike, threshold, filtered spike."""
        core = self.core
        apart = (self.state["voltage"] - core.threshold - core.beta * raised) / core.threshold
        slope = (DAMPED * np.maximum(0.0, 1 - np.abs(apart)) / core.threshold)[:, None]
        voltage = np.exp(-dt / core.membrane) * self._voltage + came[:, :, None] - core.threshold * self._spike
        spike = slope * (voltage - core.beta * self._raised)
        raised_by = np.exp(-dt / core.adaptation) * self._raised + spike
        keep = np.exp(-dt / core.trace)
        filtered = keep * self._filtered + (1 - keep) * spike
        alive = dt > 0
        self._voltage, self._spike = np.where(alive, voltage, self._voltage), np.where(alive, spike, self._spike)
        self._raised, self._filtered = (np.where(alive, raised_by, self._raised),
                                        np.where(alive, filtered, self._filtered))

    def learn(self, signal: FloatArray) -> None:
        """Take the learning signal, (n, width): the derivative of the loss by the outputs of the last frame."""
        if signal.shape != self.state["voltage"].shape or not np.isfinite(signal).all():
            raise InputError(f"A learning signal is a finite number for each of {self.state['voltage'].shape} outputs, "
                             f"not an array of shape {signal.shape}.")
        self._sum += np.einsum("nij,nj->ij", self._filtered, signal)

    @property
    def gradients(self) -> dict[str, FloatArray]:
        """Of each array of the core."""
        channels = self.core.channels
        return {"input": self._sum[:channels].copy(), "bias": self._sum[channels].copy(),
                "recurrent": self._sum[channels + 1 :].copy()}


class Feedback:
    """How errors of a read-out (width, K) become learning signals.

    Args:
        kind: "symmetric", "random" or "adaptive".
        readout: (width, K) its weights at first.
        seed: of what is drawn.

    >>> Feedback("symmetric", np.eye(2))(np.array([[1.0, 0.0]]))
    array([[1., 0.]])
    """

    def __init__(self, kind: Kind, readout: FloatArray, seed: int = 0) -> None:
        if kind not in get_args(Kind):
            raise InputError(f"Feedback is one of {', '.join(get_args(Kind))}, not {kind!r}.")
        self.kind = kind
        drawn = np.random.default_rng(seed).normal(size=readout.shape) / np.sqrt(readout.shape[1])
        self.weights = readout.copy() if kind == "symmetric" else drawn

    def __call__(self, errors: FloatArray) -> FloatArray:
        """(n, width) of (n, K)."""
        return np.asarray(errors @ self.weights.T)

    def follow(self, change: FloatArray, decay: float = 0.0) -> None:
        """The read-out's weights have changed by this; drawn ones that adapt change alike, and fade as those do."""
        if self.kind != "random":
            self.weights = (1 - decay) * self.weights + change
