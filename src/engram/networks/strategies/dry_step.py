"""One step on a copy of a network: what cannot be taught or asked is found before anything is learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from engram.learner import InputError
from engram.networks.module_copy import module_copy
from engram.networks.strategies.answering import Answering
from engram.networks.strategies.growing_network import GrowingNetwork
from engram.networks.strategies.networks import seeded

TOLERANCE = 1e-3
"""Features of an input may differ by this share of the largest when another input is asked about with it."""

RATE = 1e-3
"""Of the step; that it is a step matters, not its length."""


def dry_step(model: GrowingNetwork, shape: Sequence[int]) -> None:
    """Teach copies of the network two inputs (all zeros, all ones) and one, and ask what was taught.

    The network stays as it is but for `alone`, which is found out.

    Raises:
        InputError: the network fails in one of these, or its answer to an input depends on what else is asked, or on
            chance.
    """
    device = model.outputs.weight.device
    rows = torch.stack([torch.zeros(*shape), torch.ones(*shape)]).to(device)
    with seeded(0):
        with _refusing("be asked about several inputs at once"):
            _require_own_answers(module_copy(model).eval(), rows)
        model.alone = _is_taught_alone(model, rows[:1])
        with _refusing("be taught several inputs at once"):
            _taught(model, rows)
        with _refusing("be taught a single input"):
            trial = _taught(model, rows[:1])
        with _refusing("be asked after it was taught"):
            Answering(trial).logits(rows)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Whatever the layers raise says what the network cannot."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"The network cannot {what}: {error}") from error


def _taught(model: GrowingNetwork, rows: Tensor) -> GrowingNetwork:
    """A copy after one step of descent."""
    trial = module_copy(model).train()
    trial.outputs.grow(range(len(rows)))
    loss = functional.cross_entropy(trial(rows), torch.arange(len(rows), device=rows.device))
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in trial.parameters():
            if parameter.grad is not None:
                parameter.sub_(RATE * parameter.grad)
    return trial


@torch.no_grad()
def _require_own_answers(trial: GrowingNetwork, rows: Tensor) -> None:
    """In evaluation mode the features of an input are its own."""
    together, single = trial.network(rows)[:1], trial.network(rows[:1])
    largest = float(together.abs().max()) if together.numel() else 0.0
    if not torch.allclose(together, single, rtol=TOLERANCE, atol=TOLERANCE * largest, equal_nan=True):
        raise InputError("In evaluation mode the network's answer to an input depends on what else is asked, or on "
                         "chance: give batch normalisation its running statistics (track_running_stats=True), and "
                         "drop units with nn.Dropout, which does nothing in evaluation mode.")


@torch.no_grad()
def _is_taught_alone(model: GrowingNetwork, row: Tensor) -> bool:
    """Whether the network in training mode takes a single input."""
    try:
        module_copy(model).train().network(row)
    except (ValueError, RuntimeError):  # batch normalisation raises a ValueError
        return False
    return True
