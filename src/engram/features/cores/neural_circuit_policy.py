"""Neural circuit policy (Lechner et al. 2020, Nature Machine Intelligence 2): few neurons, wired like a worm's.

Sensory neurons feed inter neurons, these the command neurons, which also feed each other, and these the motor neurons.
Each synapse is a liquid time-constant of its own: a conductance that the neuron before it opens, towards a voltage that
makes it excite or inhibit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from engram.features.cores.core import check_count
from engram.features.cores.recurrent import Array, Moving, Operations, Recurrent
from engram.learner import FloatArray, InputError


class NeuralCircuitPolicy(Recurrent):
    """C dv/dt = g (v_rest − v) + Σ w σ(γ (v_before − μ)) (E − v), over the synapses that end at a neuron.

    `unfolds` steps of the fused solver (Hasani et al. 2021) go from frame to frame. Conductances and capacities are
    softplus of what is trained. Outputs are the voltages of all neurons: inter, command, motor.

    With 32 channels and the defaults it has the published 19 neurons and 253 synapses: 32 · 6 from the sensory
    neurons, 12 · 4 from the inter neurons, 7 among command neurons and 6 to the motor neuron. The split is our own, as
    the paper gives the sum alone.

    >>> core = NeuralCircuitPolicy.fresh(channels=32)
    >>> core.width, len(core.arrays["wiring"])
    (19, 253)
    """

    kind: ClassVar[str] = "neural-circuit-policy"
    flows = True
    settings: ClassVar[Mapping[str, int]] = {
        "command": 6, "motor": 1, "sensory_fanout": 6, "inter_fanout": 4, "recurrent": 7, "motor_fanin": 6,
        "unfolds": 6,
    }
    fixed: ClassVar[frozenset[str]] = frozenset({"wiring"})
    command: int
    motor: int
    sensory_fanout: int
    inter_fanout: int
    recurrent: int
    motor_fanin: int
    unfolds: int

    @classmethod
    def fresh(cls, channels: int, width: int = 19, *, seed: int = 0, **settings: Any) -> NeuralCircuitPolicy:
        """An untrained one, its wiring drawn; `width` counts inter, command and motor neurons."""
        return super().fresh(channels, width, seed=seed, **settings)

    @property
    def inter(self) -> int:
        """How many inter neurons there are."""
        return self.width - self.command - self.motor

    def check(self) -> None:
        """Raises InputError for layers without neurons, or more synapses than neurons to draw them from."""
        for name in self.settings:
            check_count(name, getattr(self, name), 0 if name == "recurrent" else 1)
        if self.inter < 1:
            raise InputError(f"{self.width} neurons less {self.command} command and {self.motor} motor neurons leave "
                             "no inter neuron: make width larger.")
        for name, most in (("sensory_fanout", self.inter), ("inter_fanout", self.command),
                           ("motor_fanin", self.command), ("recurrent", self.command**2)):
            if getattr(self, name) > most:
                raise InputError(f"{name} is at most {most} here, not {getattr(self, name)}.")

    @property
    def synapses(self) -> int:
        """How many there are."""
        return (self.channels * self.sensory_fanout + self.inter * self.inter_fanout + self.recurrent
                + self.motor * self.motor_fanin)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each synapse a 1 where it begins (sensory neurons first) and one where it ends, and its constants."""
        s, h = self.synapses, self.width
        return {
            "wiring": (s, self.channels + 2 * h), "weight": (s,), "steepness": (s,), "middle": (s,), "reversal": (s,),
            "leak": (h,), "rest": (h,), "capacity": (h,), "gain": (self.channels,), "bias": (self.channels,),
        }

    def begin(self, name: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
        """Drawn as the authors do: weights and leaks small and positive, two of three synapses excite."""
        if name == "wiring":
            begins, ends = np.array(list(self._wiring(rng))).T
            return np.concatenate([np.eye(self.channels + self.width)[begins], np.eye(self.width)[ends]], axis=1)
        if name == "reversal":
            return rng.choice([1.0, 1.0, -1.0], shape)
        spans = {"weight": (0.01, 1.0), "steepness": (3.0, 8.0), "middle": (0.3, 0.8), "leak": (0.01, 1.0),
                 "rest": (-0.2, 0.2), "capacity": (0.4, 0.6), "gain": (1.0, 1.0), "bias": (0.0, 0.0)}
        drawn = rng.uniform(*spans[name], shape)
        return np.log(np.expm1(drawn)) if name in ("weight", "leak", "capacity") else drawn

    def _wiring(self, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
        """Where each synapse begins and ends; ends are dealt in turn, so that none is left without."""
        first, command, motor = self.channels, self.inter, self.inter + self.command
        yield from _dealt(range(self.channels), range(self.inter), self.sensory_fanout, rng)
        yield from _dealt(range(first, first + self.inter), range(command, motor), self.inter_fanout, rng)
        pairs = rng.permutation(self.command**2)[: self.recurrent]
        yield from ((first + command + int(p) // self.command, command + int(p) % self.command) for p in pairs)
        for one in range(motor, self.width):
            yield from ((first + command + int(c), one) for c in rng.permutation(self.command)[: self.motor_fanin])

    def driven(self, p: Mapping[str, Array], frames: Array, ops: Operations) -> Array:
        """The voltages of sensory neurons."""
        return frames * p["gain"] + p["bias"]

    def step(self, p: Mapping[str, Array], state: Moving, driven: Array, dt: Array, ops: Operations) -> Moving:
        """From frame to frame."""
        voltage, delta = state["hidden"], dt / self.unfolds
        begins, ends = p["wiring"][:, : -self.width].T, p["wiring"][:, -self.width :]
        weight, leak, capacity = (ops.softplus(p[name]) for name in ("weight", "leak", "capacity"))
        for _ in range(self.unfolds):
            before = ops.concatenate([driven, voltage], 1) @ begins
            open_ = weight * ops.sigmoid(p["steepness"] * (before - p["middle"]))
            pull, opened = (open_ * p["reversal"]) @ ends, open_ @ ends
            voltage = ((capacity * voltage + delta * (leak * p["rest"] + pull))
                       / (capacity + delta * (leak + opened)))
        return {"hidden": voltage}


def _dealt(sources: range, targets: range, each: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Each source to as many targets, all different; before one is dealt again, all others were."""
    deck: list[int] = []
    for source in sources:
        hand: list[int] = []
        while len(hand) < each:
            deck = deck or [int(target) for target in rng.permutation(targets)]
            new = next((target for target in deck if target not in hand), None)
            if new is None:  # all that are left are held: deal anew
                deck += [int(target) for target in rng.permutation(targets)]
                continue
            deck.remove(new)
            hand.append(new)
        yield from ((source, target) for target in hand)
