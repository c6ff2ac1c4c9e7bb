"""What every strategy stands on: a network, an output layer that grows, an optimiser and a loop.

A method fills as little as it needs:

    loss                  another loss, or a term more (regularisation, distillation, energies)
    observe               what one step sees (replay adds examples to the batch)
    project               the gradients, between backward and step
    train                 the passes over what arrived (structural change, another schedule)
    consolidate           what happens where an experience ends, or while idle
    remembered, recall    what it saves beside the network
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.heads.head import columns_of, focus, nothing_known, softmax
from engram.inputs.arrays import as_batch
from engram.inputs.vectors import as_labels
from engram.learner import Consolidation, InputError, Label, Predictions, State
from engram.strategies import optimiser as optimisers
from engram.strategies import saving
from engram.strategies.answering import Answering
from engram.strategies.growing_network import GrowingNetwork, Knowledge, shape_of
from engram.strategies.networks import build, seeded
from engram.structure.multiply_adds import multiply_adds


class Strategy:
    """A network that goes on learning by gradient descent: a Learner of inputs (N, *shape) with labels.

    Asked while it learns, it answers from before. Where learning is interrupted (Ctrl-C, no memory), the network is
    again what it was before the call; only the optimiser's running averages start anew.

    Args:
        network: (N, *shape) float32 -> (N, width) features: a module, or the `spec` of one of `networks`.
        epochs: passes over what one call of `learn` brings.
        batch: examples in a step.
        learning_rate, optimiser: one of `optimiser.OPTIMISERS`.
        active: the outputs that compete in the loss: all labels seen so far, or those that arrived together with the
            example's own (task-incremental learning: van de Ven, Tolias 2018, arXiv 1809.10635).
        seed: of everything random in learning; the network has its own.
        device: "cpu", "cuda" or another of PyTorch's.
        shape: of one input, where the network has no attribute `shape`.

    Raises:
        InputError: no shape, or a setting that cannot be.
    """

    exact = False
    boundaries = False

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
        network = network if isinstance(network, nn.Module) else build(network)
        found = shape_of(network, shape)
        if found is None:
            raise InputError("The network does not say the shape of an input: pass shape=(...).")
        if min(epochs, batch) < 1 or learning_rate <= 0 or active not in ("all", "experience"):
            raise InputError("epochs and batch are 1 or more, learning_rate above 0, active 'all' or 'experience'.")
        self.epochs, self.batch, self.learning_rate, self.optimiser = epochs, batch, learning_rate, optimiser
        self.active, self.seed, self.device, self.shape = active, seed, device, found
        self.whole = GrowingNetwork(network, found, device)
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
        return multiply_adds(self.whole, self.shape)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the whole state: network, optimiser and whatever the method remembers."""
        return sum(array.nbytes for array in self.state().values())

    def learn(self, inputs: Any, targets: Any) -> None:
        """Learn (N, *shape) inputs, or one, with a label for each.

        Raises:
            InputError, LabelError: nothing was changed.
        """
        batch = as_batch(inputs, self.shape)
        labels = as_labels(targets, len(batch), next(iter(self.labels), None))
        with self.changing():
            self.grow(labels)
            self.train(torch.from_numpy(batch).to(self.device), self.places(labels))

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """The loop: `epochs` passes in random order, a `batch` at a time."""
        self.whole.train()
        for _ in range(self.epochs):
            for rows in torch.split(torch.randperm(len(inputs), generator=self.generator), self.batch):
                self.observe(inputs[rows], targets[rows])

    def observe(self, inputs: Tensor, targets: Tensor) -> None:
        """One step of descent."""
        loss = self.loss(inputs, targets)
        self.steps.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.project()
        self.steps.step()

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over the outputs that compete, a scalar."""
        return functional.cross_entropy(self.competing(self.whole(inputs), targets), targets)

    def competing(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The logits (N, C), at minus infinity where an output does not compete for the example."""
        return logits if self.active == "all" else logits.masked_fill(~self.companions[targets], -torch.inf)

    def project(self) -> None:
        """Change the gradients before the step; here they stay."""

    def predict(self, inputs: Any, among: Iterable[Label] | None = None) -> Predictions:
        """Answer (N, *shape) inputs, or one; `among` limits the candidates (task-incremental use).

        Raises:
            InputError: wrong shape, NaN or infinity.
            LabelError: `among` names a label that was never taught.
        """
        batch = as_batch(inputs, self.shape)
        labels, logits = self._answering.logits(torch.from_numpy(batch))
        if not labels:
            return nothing_known(len(batch))
        columns = columns_of(among, {label: place for place, label in enumerate(labels)})
        if columns is not None:
            labels, logits = tuple(labels[i] for i in columns), logits[:, columns]
        return Predictions(labels, logits, np.ones(len(logits), bool), softmax(logits).max(axis=1), focus(logits))

    def consolidate(self) -> Consolidation:
        """Nothing to do between experiences unless a method says otherwise."""
        return Consolidation()

    def grow(self, labels: list[Label]) -> list[Label]:
        """Outputs for the labels that are new, which are returned; all of these arrived together."""
        new = self.whole.outputs.grow(labels)
        if new:
            old, self.steps = self.steps, self.fresh_steps()
            optimisers.carry(old, self.steps)
            known = self.companions
            self.companions = known.new_zeros(len(self.labels), len(self.labels))
            self.companions[: len(known), : len(known)] = known
        together = self.places(list(dict.fromkeys(labels)))
        self.companions[together[:, None], together] = True
        return new

    def places(self, labels: list[Label]) -> Tensor:
        """(N,) int64: the output of each label."""
        return torch.tensor([self.whole.outputs.book[label] for label in labels], device=self.device)

    def fresh_steps(self) -> torch.optim.Optimizer:
        """An optimiser for the network as it is, that has taken no step."""
        return optimisers.make(self.optimiser, self.whole.parameters(), self.learning_rate)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The network may change here, seeded; others are answered from before, and an exception takes it back."""
        with self._answering.changing() as before:
            try:
                with seeded(int(torch.randint(2**62, (), generator=self.generator))):
                    yield
            except BaseException:
                self.become(before)
                raise

    def become(self, knowledge: Knowledge) -> None:
        """Know this and nothing else; the optimiser starts anew."""
        self.whole.become(knowledge)
        self.companions = self.companions[: len(self.labels), : len(self.labels)]
        self.steps = self.fresh_steps()

    def remembered(self) -> State:
        """What the method keeps beside the network and the optimiser, as arrays."""
        return {}

    def recall(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take back what `remembered` gave."""

    def state(self) -> State:
        """The whole strategy as arrays: what `from_state` needs, no pickle."""
        return saving.pack(self)

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]], network: nn.Module | None = None) -> Self:
        """The strategy that `state` described.

        Args:
            network: one of the same structure, where it was not made by `networks`.

        Raises:
            DamagedError: another strategy's, or entries are missing or do not fit each other.
            InputError: the network has to be passed.
        """
        return saving.unpack(cls, state, network)
