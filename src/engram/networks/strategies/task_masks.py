"""A mask per task: of one network, every task uses a part of its own. XdG, PackNet, HAT and supermasks share this, and
differ in what a mask covers, units or weights, and in how it comes about.

A task is what arrives between two calls of `consolidate`. A label belongs to the task with which it first came.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import Consolidation, Label
from engram.networks.strategies.growing_network import GrowingNetwork, OutputLayer, Snapshot
from engram.networks.strategies.strategy import Strategy
from engram.networks.structure.units import Units, layers_of_units


class TaskOutputs(OutputLayer):
    """An output layer that knows with which task each label came.

    Attributes:
        tasks: (C,) int64, of each label.
        current: the number of the task that is open; a scalar int64.
    """

    tasks: Tensor
    current: Tensor

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_buffer("tasks", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("current", torch.zeros((), dtype=torch.int64))

    def grow(self, labels: Iterable[Label]) -> list[Label]:
        """As of `OutputLayer`; new labels belong to the open task."""
        new = super().grow(labels)
        self.tasks = torch.cat([self.tasks, self.current.repeat(len(new))])
        return new

    def resize(self, labels: Iterable[Label]) -> None:
        """As of `OutputLayer`; the tasks too are to be loaded."""
        super().resize(labels)
        self.tasks = self.tasks.new_zeros(len(self.book))


class MaskedNetwork(GrowingNetwork, ABC):
    """Inputs (N, ...) -> logits (N, C), where the logits of a label are those of the network under its task's mask.

    A mask is multiplied with the weights: a row of zeros switches a unit off. The masks of closed tasks are kept in
    `closed`, buffers with a row for each task.
    """

    layer = TaskOutputs
    outputs: TaskOutputs

    def __init__(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> None:
        super().__init__(network, shape, device, dtype)
        self.closed = nn.Module()

    @abstractmethod
    def masks(self, task: int) -> dict[str, Tensor]:
        """What the parameters of the network are multiplied with in a task, by name; those without one are whole."""

    def under(self, task: int, inputs: Tensor) -> Tensor:
        """Logits (N, C) of (N, …) inputs under a task's mask; minus infinity where the label is another task's."""
        masks = self.masks(task)
        masked = {name: parameter * masks[name] for name, parameter in self.network.named_parameters() if name in masks}
        logits: Tensor = self.outputs(self.features(inputs, masked))
        return logits.masked_fill(self.outputs.tasks != task, -torch.inf)

    def forward(self, inputs: Tensor) -> Tensor:
        """Log-probabilities (N, C) of the labels of (N, …) inputs, each within its task.

        So where nobody tells the task, it is the one whose answer is surest (M. Wortsman et al. 2020, section 3.3).
        """
        tasks = torch.unique(self.outputs.tasks).tolist()
        answers = [self.under(task, inputs).log_softmax(dim=1) for task in tasks]
        return torch.stack(answers).amax(dim=0) if answers else self.outputs(self.features(inputs))

    def remember(self, masks: Mapping[str, Tensor]) -> None:
        """Called once, by the constructor: masks like these, each under its name, are kept of every closed task."""
        for name, mask in masks.items():
            self.closed.register_buffer(_key(name), mask.detach()[None][:0].clone())

    def close(self, masks: Mapping[str, Tensor]) -> None:
        """The open task ends, and these are its masks."""
        for name, mask in masks.items():
            setattr(self.closed, _key(name), torch.cat([self.kept(name), mask.detach()[None]]))
        self.outputs.current += 1

    def kept(self, name: str) -> Tensor:
        """The masks of closed tasks under a name, (tasks, …)."""
        return self.closed.get_buffer(_key(name))

    def become(self, snapshot: Snapshot) -> None:
        """As of `GrowingNetwork`; with the masks that there were."""
        for name, rows in list(self.closed.named_buffers()):
            setattr(self.closed, name, torch.zeros_like(snapshot.tensors[f"closed.{name}"], dtype=rows.dtype))
        super().become(snapshot)

    def require_fit(self) -> None:
        """
        Raises:
            ValueError, RuntimeError: labels of tasks that never were, or masks of another number of tasks or of other
                shapes.
        """
        tasks, current = self.outputs.tasks, int(self.outputs.current)
        if bool(((tasks < 0) | (tasks > current)).any()) or any(len(rows) != current for rows in self.closed.buffers()):
            raise ValueError(f"labels or masks of other tasks than {current}")
        parameters = dict(self.network.named_parameters())
        for task in range(current + 1):
            for name, mask in self.masks(task).items():
                mask.expand_as(parameters[name])


def _key(name: str) -> str:
    return name.replace(".", "/")


class MaskPerTask(Strategy):
    """A strategy on a `MaskedNetwork`: the loss of an example is that over the labels of its own task, under that
    task's mask, whatever is `active`. With each task the optimiser starts anew.

    Running statistics of normalisation layers are shared by all tasks.
    """

    boundaries = True
    model: MaskedNetwork

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy within the task, a scalar; `inputs` (N, …), `targets` (N,)."""
        tasks = self.model.outputs.tasks[targets]
        total = inputs.new_zeros((), dtype=torch.float32)
        for task in torch.unique(tasks).tolist():
            own = tasks == task
            logits = self.competing(self.model.under(task, inputs[own]), targets[own])
            total = total + functional.cross_entropy(logits, targets[own], reduction="sum")
        return total / len(inputs)

    def held(self) -> dict[str, Tensor]:
        """How much of a step each entry of a parameter of `model` is kept from, 0 to 1; those without one move."""
        return {}

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step on `inputs` (N, …) and `targets` (N,), from which `held` is taken back: also what an optimiser's
        momentum and weight decay would do."""
        held = self.held()
        before = {name: parameter.detach().clone() for name, parameter in self.model.named_parameters() if name in held}
        loss = super().training_step(inputs, targets)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name in held:
                    parameter.lerp_(before[name], held[name].expand_as(parameter))
        return loss

    def close_task(self) -> None:
        """The open task has ended: keep its mask, by `model.close`, and be ready for the next."""
        self.model.close({})

    def consolidate(self) -> Consolidation:
        """What was learned since the last time was one task; what comes is another, if it brings new labels."""
        outputs = self.model.outputs
        if bool((outputs.tasks == outputs.current).any()):
            self.close_task()
            self.optimizer = self.fresh_optimizer()
        return Consolidation(details={"tasks": int(outputs.current)})

    def restored(self) -> None:
        """Masks and tasks fit the network."""
        self.model.require_fit()


class GatedNetwork(MaskedNetwork):
    """A masked network whose masks cover units: a row of weights and its bias together."""

    @property
    def layers(self) -> list[Units]:
        """Whose units they are."""
        return layers_of_units(self.network)

    @abstractmethod
    def open_gate(self, units: Units) -> Tensor:
        """What the units (size,) of a layer are multiplied with in the open task."""

    def masks(self, task: int) -> dict[str, Tensor]:
        """The gates of the task, in front of the rows."""
        found = {}
        for units in self.layers:
            rows = self.kept(units.weight)
            gate = self.open_gate(units) if task == len(rows) else rows[task]
            for name, parameter in units.parameters.items():
                found[name] = gate.reshape(-1, *[1] * (parameter.ndim - 1))
        return found

    def close_gates(self) -> None:
        """The open task ends, and its gates are kept."""
        self.close({units.weight: self.open_gate(units) for units in self.layers})

    def remember_gates(self) -> None:
        """Called once, when there are gates: those of every closed task are kept."""
        self.remember({units.weight: self.open_gate(units) for units in self.layers})
