"""Experience replay: a few examples are kept, and mixed into every batch of new ones.

A. Chaudhry et al., "On tiny episodic memories in continual learning", arXiv 1902.10486, 2019; the memory is a
reservoir (Vitter 1985), a class-balancing one (Chrysakis, Moens 2020), or holds equally many of each class, chosen by a
rule of `selection`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.memory import Buffer, ClassBalanced, Reservoir
from engram.networks.memory.codecs import make
from engram.networks.memory.past import Past
from engram.networks.memory.ranked import Ranked
from engram.networks.strategies.growing_network import AT_ONCE
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.selection import Rule, ranks
from engram.networks.strategies.strategy import Strategy
from engram.networks.structure.evaluation_mode import evaluating

Keep = Literal["reservoir", "class-balanced", "random", "herding", "informative"]
RULES: dict[Keep, type[Buffer]] = {
    "reservoir": Reservoir, "class-balanced": ClassBalanced, **dict.fromkeys(get_args(Rule), Ranked),
}


class ExperienceReplay(Strategy):
    """Each step sees a batch of what arrives and `replayed` examples from memory, all with the same weight.

    What arrives is offered to the memory after it was learned: nothing is replayed beside itself.

    Args:
        capacity: examples kept.
        replayed: examples from memory in a step; None for as many as there are new ones.
        keep: which examples the memory keeps, one of `RULES`.
        codec: how a kept input is stored: "raw", "half" or "product", or one of these with its settings, such as
            {"name": "product", "pieces": 32}. See `engram.networks.memory.codecs`.

    >>> import numpy as np
    >>> learner = ExperienceReplay({"name": "perceptron", "inputs": [2], "hidden": [8]}, capacity=10, epochs=50,
    ...                            learning_rate=0.01)
    >>> learner.learn([1.0, 0.0], "left")
    >>> learner.learn([0.0, 1.0], "right")
    >>> learner.predict(np.eye(2)).labels
    ['left', 'right']
    """

    memory: Past
    renamed_parts: ClassVar[Mapping[str, str]] = {"": "memory:"}

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, capacity: int = 200, replayed: int | None = None,
        keep: Keep = "reservoir", codec: str | Mapping[str, Any] = "raw", **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        if keep not in RULES or (replayed is not None and replayed < 1):
            raise InputError(f"keep must be one of {', '.join(RULES)}, replayed 1 or more, or None.")
        self.capacity, self.replayed, self.keep, self.codec = capacity, replayed, keep, codec
        own = make(codec) if isinstance(codec, str) else make(**codec)
        self.register(memory=RULES[keep](capacity, own))
        self._rng = np.random.default_rng(self.seed)

    @property
    def samples_stored(self) -> int:
        """Examples kept."""
        return len(self.memory)

    @property
    def body(self) -> nn.Module:
        """What the kept inputs go through to become features: the network."""
        return self.network

    def before_experience(self, inputs: Tensor, targets: Tensor) -> None:
        """What is random in the memory follows from the strategy's generator."""
        self._rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,), then offer them to the memory."""
        super().train(*self.training_set(inputs, targets))
        self.remember(inputs, targets)

    def training_set(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What the passes go over: `inputs` (N, …) and `targets` (N,), which arrived."""
        return inputs, targets

    def remember(self, inputs: Tensor, targets: Tensor) -> None:
        """Offer `inputs` (N, …) and `targets` (N,), which were learned, to the memory."""
        if not isinstance(self.memory, Ranked):
            self.memory.add(self._rng, inputs.cpu().numpy(), targets.cpu().numpy())
            return
        known = [label for label in self.memory.labels if bool((targets == label).any())]
        if known:  # what is kept of these labels competes with what arrived
            kept_inputs, kept_targets = self.everything_kept()
            again = torch.isin(kept_targets, torch.tensor(known, device=self.device))
            inputs, targets = torch.cat([kept_inputs[again], inputs]), torch.cat([kept_targets[again], targets])
        order = self.ranks(inputs, targets)
        self.memory.forget(known)
        self.memory.add(self._rng, inputs.cpu().numpy(), targets.cpu().numpy(), order)

    def ranks(self, inputs: Tensor, targets: Tensor) -> Any:
        """(N,) which of the inputs (N, …) with `targets` (N,) are kept longest, by the rule `keep`."""
        labels = len({*self.memory.labels, *targets.tolist()})
        features = self.features(inputs)
        with torch.no_grad():
            logits = self.model.outputs.logits(features)
        rule: Any = self.keep
        return ranks(rule, features, logits, targets, -(-self.capacity // labels), self._rng)

    @torch.no_grad()
    def features(self, inputs: Tensor) -> Tensor:
        """(N, width) of inputs (N, …) as the memory holds them."""
        body = self.body
        with evaluating(body):
            return torch.cat([body(part) for part in torch.split(inputs, AT_ONCE)])

    def everything_kept(self) -> tuple[Tensor, Tensor]:
        """All inputs and targets that the memory holds; none where it holds no examples."""
        if not isinstance(self.memory, Buffer) or not len(self.memory):
            return torch.empty(0, device=self.device), torch.empty(0, dtype=torch.int64, device=self.device)
        inputs, targets, *_ = (torch.from_numpy(np.array(column)).to(self.device) for column in self.memory.kept())
        return inputs, targets

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One training step on new examples, `inputs` (N, …) and `targets` (N,), and some kept ones."""
        return super().training_step(*self.seen(inputs, targets))

    def seen(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What a step sees: the new examples, `inputs` (N, …) and `targets` (N,), and kept ones behind them."""
        if not self.memory.labels:
            return inputs, targets
        old_inputs, old_targets = self.drawn(len(inputs))
        return torch.cat([inputs, old_inputs]), torch.cat([targets, old_targets])

    def drawn(self, count: int) -> tuple[Tensor, Tensor]:
        """Kept inputs and targets, `replayed` of them, or `count`; of examples that count differently, as many more of
        those that count more."""
        inputs, targets, weights = self.memory.draw(self.replayed or count, self._rng)
        if (weights != weights[0]).any():
            rows = self._rng.choice(len(weights), len(weights), p=weights / weights.sum(dtype=np.float64))
            inputs, targets = inputs[rows], targets[rows]
        return torch.from_numpy(inputs).to(self.device), torch.from_numpy(targets).to(self.device)

    def restored(self) -> None:
        """The memory holds examples of this network's labels."""
        if len(self.memory):
            Kept(*self.everything_kept()).require_fit(self.shape, len(self.labels), self.dtype)
