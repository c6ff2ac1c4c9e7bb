"""When connections go while a network is trained: gradually, along a cubic schedule (Zhu, Gupta 2017, arXiv
1710.01878), or a few percent of each layer at a time, for as long as training brings the accuracy back
(US 12,393,842 B2)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from torch import Tensor

from engram.learner import InputError
from engram.networks.strategies.growing_network import GrowingNetwork, Snapshot
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.update_recipe import UpdateRecipe
from engram.networks.structure import dynamic_sparsity, pruning
from engram.networks.structure.growth import Gradients
from engram.networks.structure.masks import Masks

EVERY = 50  # steps, or more often where there are few
FEWEST = 20  # prunings
PATIENCE = 4  # half epochs in which what was pruned must be as accurate as before


OnStep = Callable[[int, int], None]
"""Called before each step with its number and how many there will be."""


class Prunable(Protocol):
    """What a schedule needs of a learner whose connections come and go; see `Structural`."""

    recipe: UpdateRecipe
    masks: Masks
    model: GrowingNetwork
    parameters: int
    shown: int
    report: dict[str, Any]

    def fit(self, data: Kept, epochs: float, rate: float, on_step: OnStep = ..., /) -> None: ...

    def scores(self, data: Kept, /) -> dict[str, Tensor]: ...

    def accuracy(self, data: Kept, /) -> float: ...

    def gradients_on_some(self, data: Kept, /) -> Gradients: ...

    def become(self, snapshot: Snapshot, /) -> None: ...


def gradually(learner: Prunable, data: Kept) -> None:
    """Every few steps down to what the cubic schedule leaves; without a gate no more than `parameters` stay.

    Raises:
        InputError: recoverable, or for its parameters that are never pruned, it cannot be as small as that.
    """
    recipe, start = learner.recipe, learner.masks.live

    def thin(step: int, steps: int) -> None:
        last = int(steps * recipe.prune_share)
        every = max(1, min(EVERY, last // FEWEST))
        if (step % every and step != last) or step > last or not _accurate_enough(learner, data):
            return
        share = step / last if last else 1.0
        _limit(learner, data, int(pruning.cubic(share, start, learner.parameters)))
        if recipe.regrowth and share < 1:
            dynamic_sparsity.exchange(learner.masks, recipe.regrowth * (1 - share),
                                      learner.gradients_on_some(data).magnitude, recoverable=recipe.recoverable)

    learner.fit(data, recipe.prune_epochs, recipe.prune_rate, thin)
    if recipe.gate is None:
        _limit(learner, data, learner.parameters)
        if learner.masks.live > learner.parameters:
            raise too_few(learner.parameters, learner.masks.live)


def require_room(learner: Prunable) -> None:
    """Before any training: `parameters` are as many as gradual pruning has to leave of what is alive now.

    Raises:
        InputError: they are too few.
    """
    recipe = learner.recipe
    if recipe.pruning == "cubic" and recipe.gate is None and recipe.recoverable:
        needed = pruning.fewest(learner.masks)
        if learner.parameters < needed:
            raise too_few(learner.parameters, needed)


def too_few(parameters: int, needed: int) -> InputError:
    """The refusal, with what to do about it."""
    return InputError(f"parameters={parameters} cannot be reached: at least {needed} have to stay alive, all that is "
                      "not masked and, where pruning is recoverable, a way in and a way out of every neuron. Give more "
                      "parameters (new labels will need some), a smaller network, or a recipe with recoverable=False.")


def while_accurate(learner: Prunable, data: Kept) -> None:
    """A few percent of each layer at a time, each undone if the accuracy does not recover."""
    recipe = learner.recipe
    wanted = learner.accuracy(data) - recipe.tolerance
    most = learner.shown + recipe.prune_epochs * recipe.repeats(len(data)) * len(data)
    while learner.masks.live > learner.parameters and learner.shown < most:
        before = learner.model.snapshot()
        pruned = pruning.prune_percentile(learner.masks, recipe.beta, learner.scores(data),
                                          recoverable=recipe.recoverable)
        if not pruned:
            break
        if not _recovers(learner, data, wanted):
            learner.become(before)
            break


SCHEDULES: dict[str, Callable[[Prunable, Kept], None]] = {"cubic": gradually, "percentile": while_accurate}


def _accurate_enough(learner: Prunable, data: Kept) -> bool:
    """Gated by validation, pruning waits until the network is nearly as accurate as it was when grown."""
    gate = learner.recipe.gate
    return gate is None or learner.accuracy(data) >= learner.report["grown-accuracy"] - gate


def _limit(learner: Prunable, data: Kept, live: int) -> None:
    pruning.prune_to(learner.masks, live, learner.scores(data), recoverable=learner.recipe.recoverable)
    if not learner.recipe.recoverable:
        with suppress(InputError):  # where layers do not follow each other, what leads nowhere stays
            pruning.trim(learner.masks)


def _recovers(learner: Prunable, data: Kept, wanted: float) -> bool:
    for _ in range(PATIENCE):
        if learner.accuracy(data) >= wanted:
            return True
        learner.fit(data, 0.5 / learner.recipe.repeats(len(data)), learner.recipe.prune_rate)
    return learner.accuracy(data) >= wanted
