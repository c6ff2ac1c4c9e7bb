"""Strategies as users write them, each broken in one way: the law that is broken says so; unbroken, all are kept."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.checks import LawBroken, learner_checks  # noqa: E402
from engram.learner import Consolidation, InputError  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402
from engram.networks.strategies.strategy import Strategy  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [8], "hidden": [16]}
FAST = {"epochs": 4, "batch": 16, "learning_rate": 0.02}


class Springs(Strategy):
    """Each weight is held by the sum of its squared gradients so far: a simple case of synaptic intelligence."""

    boundaries = True

    def __init__(self, network: Any, **settings: Any) -> None:
        super().__init__(network, **settings)
        self.importance = {name: torch.zeros_like(p) for name, p in self.network.named_parameters()}
        self.centre: dict[str, Any] = {}

    def penalty(self) -> Any:
        if not self.centre:
            return None
        return sum(((p - self.centre[name]).square() * self.importance[name]).sum()
                   for name, p in self.network.named_parameters())

    def project(self, inputs: Any, targets: Any) -> None:
        for name, parameter in self.network.named_parameters():
            self.importance[name] += parameter.grad.square()

    def consolidate(self) -> Consolidation:
        self.centre = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        return Consolidation()

    def extra_state(self) -> Any:
        kept = {"centre": self.centre, "importance": self.importance}
        return {f"{what}:{name}": tensor.numpy().copy() for what, tensors in kept.items()
                for name, tensor in tensors.items()}

    def load_extra_state(self, state: Any) -> None:
        for key, array in state.items():
            what, _, name = key.partition(":")
            getattr(self, what)[name] = torch.from_numpy(array.copy())


class SavesNothing(Springs):
    def extra_state(self) -> Any:
        return {}


class SavesLiveTensors(Springs):
    def extra_state(self) -> Any:
        return {key: getattr(self, key.partition(":")[0])[key.partition(":")[2]].numpy()
                for key in super().extra_state()}


class Notebook:
    """Cannot be copied, and nobody may know that it was to be."""

    def __init__(self) -> None:
        self.lock, self.seen = threading.Lock(), 0


class WritesElsewhere(Naive):
    """Counts steps where an interruption does not take them back."""

    def __init__(self, network: Any, **settings: Any) -> None:
        super().__init__(network, **settings)
        self.notebook = Notebook()

    def after_step(self, loss: Any) -> None:
        self.notebook.seen += 1

    def extra_state(self) -> Any:
        return {"seen": np.array(self.notebook.seen)}

    def load_extra_state(self, state: Any) -> None:
        self.notebook.seen = int(state["seen"])


BROKEN = [
    (SavesNothing, "saved after consolidating"), (SavesLiveTensors, "saved after consolidating"),
    (WritesElsewhere, "interrupted anywhere"), (WritesElsewhere, "where training diverges"),
]


def law(name: str) -> Any:
    return next(check for check in learner_checks() if name in check.name)


@pytest.mark.parametrize(("kind", "name"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
def test_a_law_bites_a_strategy_that_breaks_it(kind: Any, name: str) -> None:
    with pytest.raises(LawBroken, match=name):
        law(name)(partial(kind, NETWORK, **FAST))


@pytest.mark.parametrize("name", dict(BROKEN).values())
def test_the_same_strategy_unbroken_keeps_these_laws(name: str) -> None:
    assert law(name)(partial(Springs, NETWORK, **FAST))


def test_a_consolidate_that_nobody_would_call_is_refused_when_the_class_is_used() -> None:
    class Forgotten(Naive):
        def consolidate(self) -> Consolidation:
            return Consolidation()

    class Idle(Forgotten):
        boundaries = False

    class Told(Forgotten):
        boundaries = True

    with pytest.raises(InputError, match=r"Forgotten has a consolidate of its own, .* boundaries = True"):
        Forgotten(NETWORK)
    assert (Idle(NETWORK).boundaries, Told(NETWORK).boundaries) == (False, True)


def test_a_hook_by_its_former_name_is_refused_where_the_class_is_written() -> None:
    with pytest.raises(TypeError, match="called training_step now"):
        type("Old", (Naive,), {"observe": lambda self, inputs, targets: None})
