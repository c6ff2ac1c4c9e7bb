"""A network with outputs that grow, as a learner apart from how it learns: it answers, changes safely and is saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

import numpy.typing as npt
import torch
from torch import Tensor, nn

from engram.inputs.arrays import as_batch
from engram.inputs.vectors import as_labels
from engram.learner import InputError, Label, Predictions, State
from engram.networks.module_copy import module_copy
from engram.networks.strategies import optimiser as optimisers
from engram.networks.strategies import saving
from engram.networks.strategies.answering import Answering
from engram.networks.strategies.dry_step import dry_step
from engram.networks.strategies.growing_network import GrowingNetwork, Knowledge, shape_of
from engram.networks.strategies.networks import build, seeded
from engram.networks.structure.denormals import denormals_flushed
from engram.networks.structure.multiply_adds import multiply_adds


class NetworkLearner:
    """What `Strategy` stands on; see there for the arguments."""

    def __init__(
        self,
        network: nn.Module | Mapping[str, Any],
        *,
        epochs: int = 1,
        batch: int = 128,
        learning_rate: float = 1e-3,
        optimiser: str = "adam",
        active: Literal["all", "experience"] = "all",
        seed: int = 0,
        device: str = "cpu",
        shape: Sequence[int] | None = None,
    ) -> None:
        given = isinstance(network, nn.Module)
        network = module_copy(network) if isinstance(network, nn.Module) else build(network)
        found = shape_of(network, shape)
        if found is None:
            raise InputError("The network does not say the shape of an input: pass shape=(...).")
        for name, count in {"epochs": epochs, "batch": batch}.items():
            if not isinstance(count, int) or count < 1:
                raise InputError(f"{name} is a whole number from 1, not {count!r}.")
        if not learning_rate > 0:
            raise InputError(f"learning_rate is above 0, not {learning_rate!r}.")
        if active not in ("all", "experience"):
            raise InputError(f"active is 'all' or 'experience', not {active!r}.")
        self.epochs, self.batch, self.learning_rate, self.optimiser = epochs, batch, learning_rate, optimiser
        self.active, self.seed, self.device, self.shape = active, seed, device, found
        self.whole = GrowingNetwork(network, found, device)
        if given:
            dry_step(self.whole, found)
        self.generator = torch.Generator().manual_seed(seed)
        self.companions = torch.zeros(0, 0, dtype=torch.bool, device=device)  # which labels arrived together
        self.steps = self.fresh_steps()
        self._answering = Answering(self.whole)

    @property
    def network(self) -> nn.Module:
        """Inputs to features."""
        return self.whole.network

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels taught so far, in the order of their first arrival."""
        return self.whole.labels

    @property
    def multiply_adds(self) -> int:
        """Multiplications with a weight that is not zero, for one input."""
        with self._answering.at_rest():
            return multiply_adds(self.whole, self.shape)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the whole state: network, optimiser and whatever the method remembers."""
        return sum(array.nbytes for array in self.state().values())

    def admitted(self, inputs: Any, targets: Any) -> tuple[Tensor, list[Label]]:
        """What is to be learned: inputs (N, ...) where the network lives, and the label of each.

        Raises:
            InputError, LabelError: they cannot be learned.
        """
        batch = as_batch(inputs, self.shape)
        labels = as_labels(targets, len(batch), next(iter(self.labels), None))
        return torch.from_numpy(batch).to(self.device), labels

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """Answer (N, ...) inputs, or one; `among` limits the candidates (task-incremental use).

        Raises:
            InputError: wrong shape, NaN or infinity.
            LabelError: `among` names a label that was never taught.
        """
        return self._answering.predictions(torch.from_numpy(as_batch(inputs, self.shape)), among)

    def fresh_steps(self) -> torch.optim.Optimizer:
        """An optimiser for the network as it is, that has taken no step."""
        return optimisers.make(self.optimiser, self.whole.parameters(), self.learning_rate)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The network may change here, seeded; others are answered from before, and an exception takes it back.

        Raises:
            InputError: it diverged.
        """
        with self._answering.changing() as before:
            companions, generator = self.companions.clone(), self.generator.get_state()
            try:
                with seeded(int(torch.randint(2**62, (), generator=self.generator))), denormals_flushed():
                    yield
                self.require_finite()
            except BaseException:
                self.become(before)
                self.companions = companions
                self.generator.set_state(generator)
                raise

    @torch.no_grad()
    def require_finite(self) -> None:
        """Called where training ends: what diverged would go on answering, and could not be loaded.

        Raises:
            InputError: a weight is NaN or infinite.
        """
        sound = [parameter.sum().isfinite() for parameter in self.whole.parameters()]  # one NaN is enough; no copies
        sound += [~buffer.isnan().any() for buffer in self.whole.buffers()]  # some hold infinities on purpose: masks
        if not torch.stack(sound).all():
            raise InputError("Learning diverged: weights are no longer finite. Give a smaller learning_rate, or inputs "
                             "of smaller numbers.")

    def become(self, knowledge: Knowledge) -> None:
        """Know this and nothing else; the optimiser starts anew."""
        self.whole.become(knowledge)
        self.fit_companions()
        self.steps = self.fresh_steps()

    def fit_companions(self) -> None:
        """A row and a column for every label; one that is new has arrived with none yet."""
        count, known = len(self.labels), self.companions[: len(self.labels), : len(self.labels)]
        self.companions = known.new_zeros(count, count)
        self.companions[: len(known), : len(known)] = known

    def remembered(self) -> State:
        """What the method keeps beside the network and the optimiser, as arrays."""
        return {}

    def recall(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `remembered` gave."""

    def state(self) -> State:
        """The whole learner as arrays: what `from_state` needs, no pickle. Waits while it learns."""
        with self._answering.at_rest():
            return saving.pack(self)

    @classmethod
    def from_state(
        cls, state: Mapping[str, npt.NDArray[Any]], network: nn.Module | None = None, device: str | None = None
    ) -> Self:
        """The learner that `state` described.

        Args:
            network: one of the same structure, where it was not made by `networks`.
            device: where it is to live; None for where it lived.

        Raises:
            DamagedError: another method's, or entries are missing or do not fit each other.
            InputError: the network has to be passed.
        """
        return saving.unpack(cls, state, network, device)
