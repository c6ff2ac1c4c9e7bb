"""Generative replay: a generator dreams what came before, and each step sees new examples and dreams.

H. Shin, J. K. Lee, J. Kim, J. Kim, "Continual learning with deep generative replay", arXiv 1705.08690, 2017; with
distillation: G. M. van de Ven, A. S. Tolias, "Generative replay with feedback connections as a general strategy for
continual learning", arXiv 1809.10635, 2018.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import InputError
from engram.networks.generators import make
from engram.networks.generators.generative_model import GenerativeModel
from engram.networks.strategies.distillation import FormerNetwork
from engram.networks.strategies.strategy import Strategy

VAE = {"name": "vae", "prior": "normal", "condition": "none"}
"""The dreamer of the papers, which knows no classes: the network as it was says what it sees in a dream."""


class GenerativeReplay(Strategy):
    """The loss of a step is w · the cross-entropy of new examples + (1 − w) · that of as many dreams, w being the share
    of new examples in all that ever came. When what arrived is learned, the generator learns it too.

    Dreams are labelled by the generator, if it knows labels, else by the network as it was when the new examples came.

    Args:
        dreamer: the name and settings of one of `generators.GENERATORS`.
        distillation: dreams are learned with the former network's answers, softened, in place of a label.
        temperature: T of these answers; the term is multiplied by T².
        replayed: dreams in a step; None for as many as there are new examples.

    >>> learner = GenerativeReplay({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=50, learning_rate=0.01,
    ...                            dreamer={"name": "mppca", "factors": 1})
    >>> learner.learn([[1.0, 0.0], [1.0, 0.1]], ["left", "left"])
    >>> learner.learn([[0.0, 1.0], [0.1, 1.0]], ["right", "right"])
    >>> learner.predict([[1.0, 0.0], [0.0, 1.0]]).labels, learner.samples_stored
    (['left', 'right'], 0)
    """

    past: GenerativeModel
    samples_stored = 0

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, dreamer: Mapping[str, Any] = VAE, distillation: bool = False,
        temperature: float = 2.0, replayed: int | None = None, **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        if temperature <= 0 or (replayed is not None and replayed < 1):
            raise InputError("temperature must be above 0, replayed 1 or more, or None.")
        self.dreamer, self.distillation = dict(dreamer), distillation
        self.temperature, self.replayed = temperature, replayed
        self.register(past=make(dreamer))
        self._former, self._share = FormerNetwork(), 1.0
        self._rng = np.random.default_rng(self.seed)

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,) and on dreams; then the generator learns them."""
        self._rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        if self.past.labels:
            self._former.appoint(self.model)
        self._share = len(inputs) / (len(inputs) + sum(self.past.seen.values()))
        super().train(inputs, targets)
        self._former = FormerNetwork()
        past = copy.deepcopy(self.past)
        past.add(self._rng, inputs.cpu().numpy(), targets.cpu().numpy())
        self.past = past

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """w · the cross-entropy of `inputs` (N, …) with `targets` (N,), a scalar."""
        return self._share * super().loss(inputs, targets)

    def penalty(self) -> Tensor | None:
        """(1 − w) · the loss of dreams, a scalar; None before there are any."""
        if not self.past.labels:
            return None
        dreams, targets, wanted = self.dreamt(self.replayed or self.batch)
        self.examples_shown += len(dreams)
        logits = self.competing(self.model(dreams), targets)
        if not self.distillation:
            return (1 - self._share) * functional.cross_entropy(logits, targets)
        return (1 - self._share) * agreement(logits, self.competing(wanted, targets), self.temperature)

    def dreamt(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Dreams (count, …), their targets (count,), and what the former network answers (count, labels), which is left
        out where it is not needed. See `former_answers`."""
        dreams, targets = drawn(self.past, count, self._rng)
        if self.past.tells_labels and not self.distillation:
            return dreams, targets, dreams.new_empty(0)
        wanted = former_answers(self._former, dreams, self.past.labels)
        return dreams, targets if self.past.tells_labels else wanted.argmax(dim=1), wanted

    def restored(self) -> None:
        """The generator draws examples for this network."""
        if self.past.labels:
            fits = list(self.past.shape or ()) == list(self.shape) and self.past.labels[-1] < len(self.labels)
            if not fits:
                raise ValueError(f"a generator of {self.past.shape} for labels {self.past.labels}")


def drawn(past: GenerativeModel, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """`count` dreams (count, …) and their targets (count,), where the generator lives."""
    inputs, targets, _ = past.draw(count, rng)
    return torch.from_numpy(inputs).to(past.device), torch.from_numpy(targets).to(past.device)


def former_answers(former: FormerNetwork, dreams: Tensor, known: Sequence[int]) -> Tensor:
    """What the former network answers to (N, …) dreams, (N, labels): minus infinity but for the labels `known`."""
    answers, places = former.logits(dreams), list(known)
    wanted = torch.full_like(answers, -torch.inf)
    wanted[:, places] = answers[:, places]
    return wanted


def agreement(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """As `distillation.agreement`, where outputs that cannot be are at minus infinity.

    Args:
        logits, wanted: (N, C), the network's and the teacher's.

    >>> impossible = torch.tensor([[0.0, 0.0, -torch.inf]])
    >>> round(agreement(torch.zeros(1, 3), impossible, temperature=2.0).item(), 3)  # 4 ln 3
    4.394
    """
    shares = (wanted / temperature).softmax(dim=1)
    answers = (logits / temperature).log_softmax(dim=1).masked_fill(shares == 0, 0.0)
    return -(temperature**2) * (shares * answers).sum(dim=1).mean()
