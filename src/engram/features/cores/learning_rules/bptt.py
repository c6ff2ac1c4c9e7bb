"""Backpropagation through time (Werbos 1990): the loss of whole sequences, differentiated by every array of a core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engram.features.cores.integrate_and_fire import DAMPED
from engram.features.cores.recurrent import Moving, Operations, Recurrent, unrolled
from engram.learner import EngramError


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
        epochs: passes over all sequences.
        batch: sequences in a step.
        learning_rate: of AdamW at first; it falls to 0 along a cosine.
        weight_decay: of AdamW.
        clip: the norm that gradients are cut to.
        seed: of the order of sequences.
    """

    epochs: int = 50
    batch: int = 64
    learning_rate: float = 5e-3
    weight_decay: float = 0.0
    clip: float = 1.0
    seed: int = 0


class _Spike(torch.autograd.Function):
    """A step, differentiated as a triangle around it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return incoming[0] * DAMPED * torch.clamp(1 - x.abs(), min=0.0)


class _Torch:
    """The operations on PyTorch's tensors."""

    exp, tanh, sigmoid = staticmethod(torch.exp), staticmethod(torch.tanh), staticmethod(torch.sigmoid)
    stack, concatenate = staticmethod(torch.stack), staticmethod(torch.cat)
    softplus = staticmethod(nn.functional.softplus)

    @staticmethod
    def where(condition: Tensor, x: Tensor, y: Tensor, /) -> Tensor:
        return torch.where(condition, x, y)

    @staticmethod
    def softmax(x: Tensor, /) -> Tensor:
        """Over the last axis."""
        return torch.softmax(x, -1)

    @staticmethod
    def spike(x: Tensor, /) -> Tensor:
        return _Spike.apply(x)  # type: ignore[no-any-return, no-untyped-call]


TORCH: Operations = _Torch()


def parameters_of(core: Recurrent) -> dict[str, Tensor]:
    """The arrays of a core as tensors; those that are learned are parameters."""
    made: dict[str, Tensor] = {}
    for name, array in core.arrays.items():
        tensor = torch.from_numpy(np.array(array, np.float32 if array.dtype.kind == "f" else array.dtype))
        made[name] = tensor if name in core.fixed else nn.Parameter(tensor)
    return made


def outputs_of(core: Recurrent, parameters: Mapping[str, Tensor], frames: Tensor, dt: Tensor) -> Tensor:
    """(n, L, width), from the start; differentiable."""
    began: Moving = {name: frames.new_zeros(array.shape) for name, array in core.start(len(frames)).items()}
    outputs: Tensor = unrolled(core, parameters, began, frames, dt, TORCH)[1]
    return outputs


Loss = Callable[..., Tensor]
"""(outputs (n, L, width), frames, dt, *further tensors of the batch) -> a scalar."""


def bptt(
    core: Recurrent, data: tuple[Tensor, ...], objective: nn.Module, schedule: Schedule | None = None,
    watch: Callable[[int, float], None] | None = None,
) -> Recurrent:
    """A core trained by backpropagation through time; it runs on numpy, as any core does.

    Args:
        core: where training begins; it is not changed.
        data: frames (N, L, channels), times (N, L), then what the objective takes besides; N on axis 0 of each.
        objective: outputs, frames, times, … -> the loss; its own parameters, such as a read-out, are trained with it.
        schedule: how long and how fast.
        watch: called after each epoch with its number and the mean loss.

    Raises:
        EngramError: the loss is not finite any more: the learning rate is too high.
    """
    plan = schedule or Schedule()
    parameters = parameters_of(core)
    learned = [*(p for p in parameters.values() if isinstance(p, nn.Parameter)), *objective.parameters()]
    optimiser = torch.optim.AdamW(learned, plan.learning_rate, weight_decay=plan.weight_decay)
    batches = -(-len(data[0]) // plan.batch)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, plan.epochs * batches)
    generator = torch.Generator().manual_seed(plan.seed)
    objective.train()
    for epoch in range(plan.epochs):
        total = 0.0
        for batch in _shuffled(data, plan.batch, generator):
            loss = objective(outputs_of(core, parameters, *batch[:2]), *batch)
            if not torch.isfinite(loss):
                raise EngramError(f"The loss is {loss.item()} in epoch {epoch + 1}: choose a lower learning rate than "
                                  f"{plan.learning_rate:g}.")
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(learned, plan.clip)
            optimiser.step()
            falling.step()
            total += loss.item() * len(batch[0])
        if watch is not None:
            watch(epoch, total / len(data[0]))
    objective.eval()
    return trained(core, parameters)


def trained(core: Recurrent, parameters: Mapping[str, Tensor]) -> Recurrent:
    """The core with these arrays."""
    return core.with_arrays({
        name: core.arrays[name] if name in core.fixed else tensor.detach().numpy().astype(np.float64)
        for name, tensor in parameters.items()
    })


def _shuffled(data: tuple[Tensor, ...], size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
    for places in torch.split(torch.randperm(len(data[0]), generator=generator), size):
        yield tuple(part[places] for part in data)
