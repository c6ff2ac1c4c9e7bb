"""Brain-inspired replay: the network itself dreams, through feedback connections from its last layer.

G. M. van de Ven, H. T. Siegelmann, A. S. Tolias, "Brain-inspired replay for continual learning with artificial neural
networks", Nature Communications 11:4069, 2020.
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
from engram.networks.generators.generative_model import GenerativeModel
from engram.networks.generators.vae import LIKELIHOODS
from engram.networks.generators.variational import Decoder, Latents, reconstruction, reparametrised
from engram.networks.strategies.distillation import FormerNetwork
from engram.networks.strategies.generative_replay import agreement, drawn, former_answers
from engram.networks.strategies.strategy import Strategy


class Feedback(GenerativeModel):
    """Features -> latents, with a Gaussian for each class -> gated layers -> inputs.

    It is trained together with the network whose features it takes: `add` only notes what was learned.

    Args:
        features: the width of the features.
        width: numbers of one input.
        hidden: units of each gated layer.
        latents: their number.
        shut: the share of the units of each layer that takes no part in a class.
        likelihood: "bernoulli" for numbers within [0, 1], "gaussian" for any.
    """

    def __init__(
        self, features: int, width: int, hidden: Sequence[int], latents: int, shut: float, likelihood: str
    ) -> None:
        super().__init__()
        if likelihood not in LIKELIHOODS or min(latents, *hidden) < 1:
            raise InputError(f"likelihood must be one of {', '.join(LIKELIHOODS)}, latents and hidden 1 or more.")
        self.given = {"features": features, "width": width, "hidden": list(hidden), "latents": latents, "shut": shut,
                      "likelihood": likelihood}
        self.likelihood = likelihood
        self.latents = Latents(features, latents, prior="class")
        self.decoder = Decoder(latents, hidden, width, "gates", shut)
        self.scale = torch.tensor([0.0, 1.0])

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return dict(self.given)

    def grow(self, classes: int) -> None:
        """Know so many classes."""
        self.latents.grow(classes)
        self.decoder.grow(classes)

    def settle(self, rows: Tensor) -> None:
        """Take the scale of the first (N, D) rows; refuse those that the likelihood is not for.

        Raises:
            InputError: numbers out of [0, 1] with "bernoulli".
        """
        if self.likelihood == "bernoulli" and bool(((rows < 0) | (rows > 1)).any()):
            raise InputError('likelihood="bernoulli" takes numbers within [0, 1]: scale the inputs, or use "gaussian".')
        if self.likelihood == "gaussian" and not self.seen:
            self.scale = torch.stack([rows.mean(), rows.std(correction=0).clamp(min=1e-6)])

    def loss(self, features: Tensor, rows: Tensor, classes: Tensor) -> Tensor:
        """-ELBO of (N, D) rows for each number of one, with their (N, width) features and (N,) classes: a scalar."""
        mean, log_variance = self.latents(features)
        decoded = self.decoder(reparametrised(mean, log_variance), classes)
        wanted = (rows - self.scale[0]) / self.scale[1]
        divergence = self.latents.divergence(mean, log_variance, classes)
        return (reconstruction(decoded, wanted, self.likelihood) + divergence).mean() / rows.shape[1]

    def learn(self, rows: Tensor, targets: Tensor) -> None:
        """It was learned with the network."""

    def sample(self, targets: Tensor) -> Tensor:
        """A row for each of (N,) targets, (N, D)."""
        decoded: Tensor = self.decoder(self.latents.sample(targets), targets)
        return decoded.sigmoid() if self.likelihood == "bernoulli" else decoded * self.scale[1] + self.scale[0]

    def tensors(self) -> dict[str, Tensor]:
        """Weights and scale."""
        return {"scale": self.scale, **self.latents.state_dict(prefix="latents."),
                **self.decoder.state_dict(prefix="decoder.")}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave.

        Raises:
            KeyError, RuntimeError: it does not fit these settings.
        """
        self.scale = tensors["scale"]
        self.grow(len(tensors["decoder.gates"]))
        for prefix, part in {"latents.": self.latents, "decoder.": self.decoder}.items():
            part.to(self.device).load_state_dict({name.removeprefix(prefix): tensor for name, tensor in tensors.items()
                                                  if name.startswith(prefix)})


class BrainInspiredReplay(Strategy):
    """The network classifies, and through `past` decodes its features to its inputs again; both are trained together on
    new examples and on dreams, which the two as they were before dream and answer.

    Loss: w · (cross-entropy + reconstruction) of new examples + (1 − w) · (agreement with the former answers +
    reconstruction) of as many dreams, w being the share of new examples in all that ever came; reconstruction is the
    negative evidence bound for each number of an input. Internal replay is this on a network whose inputs are features
    of lower layers, which do not learn.

    Args:
        latents: of the features.
        hidden: units of each layer of the feedback, from the latents down.
        shut: the share of its units that takes no part in a class (0.1 in the paper for digits).
        likelihood: "bernoulli" for inputs within [0, 1], "gaussian" for any.
        temperature: of the former answers.
        replayed: dreams in a step; None for as many as there are new examples.

    >>> learner = BrainInspiredReplay({"name": "perceptron", "inputs": [2], "hidden": [8]}, latents=2, hidden=[8],
    ...                               epochs=200, learning_rate=0.01)
    >>> learner.learn([[1.0, 0.0], [1.0, 0.1]], ["left", "left"])
    >>> learner.learn([[0.0, 1.0], [0.1, 1.0]], ["right", "right"])
    >>> learner.predict([[1.0, 0.0], [0.0, 1.0]]).labels
    ['left', 'right']
    """

    past: Feedback
    samples_stored = 0

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, latents: int = 100, hidden: Sequence[int] = (400, 400),
        shut: float = 0.1, likelihood: str = "gaussian", temperature: float = 2.0, replayed: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        if temperature <= 0 or (replayed is not None and replayed < 1):
            raise InputError("temperature must be above 0, replayed 1 or more, or None.")
        self.latents, self.hidden, self.shut, self.likelihood = latents, list(hidden), shut, likelihood
        self.temperature, self.replayed = temperature, replayed
        width = int(np.prod(self.shape))
        self.register(past=lambda: Feedback(self.model.outputs.width, width, hidden, latents, shut, likelihood))
        self._former, self._dreamer, self._share = FormerNetwork(), self.past, 1.0
        self._rng = np.random.default_rng(self.seed)

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train network and feedback on `inputs` (N, …) and `targets` (N,) and on dreams."""
        self._rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        self._former.appoint(self.model)
        self._dreamer, self.past = self.past, copy.deepcopy(self.past)
        self.past.settle(inputs.flatten(1))
        self.past.grow(len(self.labels))
        self._share = len(inputs) / (len(inputs) + sum(self.past.seen.values()))
        self._feedback_optimizer = torch.optim.Adam(
            [*self.past.latents.parameters(), *self.past.decoder.parameters()], self.learning_rate, fused=True)
        super().train(inputs, targets)
        del self._feedback_optimizer
        self.past.add(self._rng, inputs.cpu().numpy(), targets.cpu().numpy())
        self._former, self._dreamer = FormerNetwork(), self.past

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One step of network and feedback on `inputs` (N, …) and `targets` (N,), and on dreams."""
        self._feedback_optimizer.zero_grad()
        loss = super().training_step(inputs, targets)
        self._feedback_optimizer.step()
        return loss

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """w · (cross-entropy + reconstruction) of `inputs` (N, …) with `targets` (N,), a scalar."""
        features = self.network(inputs)
        named = functional.cross_entropy(self.competing(self.model.outputs(features), targets), targets)
        return self._share * (named + self.past.loss(features, inputs.flatten(1), targets))

    def penalty(self) -> Tensor | None:
        """(1 − w) · the loss of dreams, a scalar; None before there are any."""
        if not self.past.seen:
            return None
        dreams, targets = drawn(self._dreamer, self.replayed or self.batch, self._rng)
        self.examples_shown += len(dreams)
        wanted = former_answers(self._former, dreams, self.past.labels)
        features = self.network(dreams)
        agreed = agreement(self.competing(self.model.outputs(features), targets), self.competing(wanted, targets),
                           self.temperature)
        return (1 - self._share) * (agreed + self.past.loss(features, dreams.flatten(1), targets))

    def restored(self) -> None:
        """The feedback ends in this network's inputs."""
        given = self.past.given
        fits = given["features"] == self.model.outputs.width and given["width"] == np.prod(self.shape)
        if not fits or max(self.past.seen, default=-1) >= len(self.labels):
            raise ValueError(f"a feedback from {given['features']} features to {given['width']} inputs")
