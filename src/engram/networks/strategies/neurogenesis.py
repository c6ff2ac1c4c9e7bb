"""Continual learning with neurogenesis: for new classes the network grows new neurons, and dreams the old classes.

T. J. Draelos et al., "Neurogenesis deep learning: extending deep networks to accommodate new classes", IJCNN 2017
(arXiv 1612.03770): new neurons where what is new cannot be reconstructed, trained first by themselves to do that, then
together with all others on new examples and on replays of the old ("intrinsic replay").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.heads.head import from_json_array, json_array
from engram.learner import InputError, Label, State
from engram.networks.generators.vae import VAE
from engram.networks.module_copy import module_copy
from engram.networks.strategies import optimiser as optimisers
from engram.networks.strategies.generative_replay import GenerativeReplay, drawn, former_answers
from engram.networks.strategies.networks import Network
from engram.networks.structure.evaluation_mode import evaluating
from engram.networks.structure.neurogenesis import Wiring
from engram.networks.structure.unexplained import unexplained

PPCA = {"name": "mixture_of_ppca", "components": 4, "factors": 20}

EXAMPLES = 2000
"""So many at most, of what is new and of dreams, are what the need for units and dead units are judged by."""

TRIES = 4
"""So many times the dreams of a step are drawn at most, before those are taken that the network is least sure of."""


class Neurogenesis(GenerativeReplay):
    """Where labels come that are new, and others were learned before: every layer grows; the new weights alone learn to
    reconstruct the new inputs, with a decoder that is thrown away ("new feature learning autoencoder"); then the whole
    network learns what is new beside dreams of the old classes, as in generative replay, and units that contribute
    nothing any more die. Last the dreamer learns what is new; the latents of a VAE grow before. The optimiser starts
    anew with every call of `learn`.

    Args:
        dreamer: the name and settings of one of `generators.GENERATORS`.
        growth: units added to each layer; "need": as many as a layer lacks to carry the new inputs as well as dreams of
            the old (`structure.unexplained`), in linear layers and convolutions; 0: none.
        most: units that a layer may get by "need" at a time.
        tolerance: a layer that carries what is new with at most so many times the error of the old needs none.
        feature_steps: of the new weights alone, before all learn; 0: none.
        hold: whether old weights stay as they are meanwhile; else they learn to reconstruct too.
        confidence: dreams are dropped of whose class the former network is less sure, 0 to 1; 0: none is.
        latents_grown: latents that a VAE gets.

    Attributes:
        report: of the last call: units "born" and "died", by layer; the share of dreams "accepted"; the largest change
            of an output at birth ("growth-change") and at death ("death-change").

    >>> learner = Neurogenesis({"name": "perceptron", "inputs": [2], "hidden": [8]}, epochs=50, learning_rate=0.01,
    ...                        dreamer={"name": "mppca", "factors": 1}, growth=3)
    >>> learner.learn([[1.0, 0.0], [1.0, 0.1]], ["left", "left"])
    >>> learner.learn([[0.0, 1.0], [0.1, 1.0]], ["right", "right"])
    >>> learner.predict([[1.0, 0.0], [0.0, 1.0]]).labels, learner.report["born"]
    (['left', 'right'], {'1': 3})
    """

    accepted: Tensor

    def __init__(
        self, network: nn.Module | Mapping[str, Any], *, dreamer: Mapping[str, Any] = PPCA,
        distillation: bool = False, growth: int | str = "need", most: int = 30, tolerance: float = 1.2,
        feature_steps: int = 100, hold: bool = True, confidence: float = 0.5, latents_grown: int = 6, **settings: Any,
    ) -> None:
        super().__init__(network, dreamer=dreamer, distillation=distillation, **settings)
        fixed = isinstance(growth, int)
        if (isinstance(growth, int) and growth < 0) or (not fixed and growth != "need"):
            raise InputError(f"growth must be a number of units, 0 or more, or 'need', not {growth!r}.")
        if min(most, feature_steps, latents_grown) < 0 or tolerance < 1 or not 0 <= confidence < 1:
            raise InputError("most, feature_steps and latents_grown must be 0 or more, tolerance 1 or more, confidence "
                             "from 0 to below 1.")
        if any(isinstance(part, nn.RNNBase) for part in self.network.modules()):
            raise InputError("Recurrent layers cannot grow while they learn: use a network without, or growth by "
                             "engram.networks.structure.neurogenesis between.")
        self.growth, self.most, self.tolerance, self.feature_steps = growth, most, tolerance, feature_steps
        self.hold, self.confidence, self.latents_grown = hold, confidence, latents_grown
        self.report: dict[str, Any] = {}
        self.register(accepted=torch.zeros(2))  # dreams taken, and dreams drawn, in the last call
        self._new: list[Label] = []
        self._wiring()  # refuses what cannot be followed

    @property
    def units(self) -> dict[str, int]:
        """Of each layer that can grow."""
        return self._wiring().units

    def grow(self, labels: list[Label]) -> list[Label]:
        """Outputs for the labels that are new, which are returned."""
        self._new = super().grow(labels)
        return self._new

    def before_experience(self, inputs: Tensor, targets: Tensor) -> None:
        """Where new labels came, layers grow, and their new weights learn (N, …) `inputs` by themselves."""
        self.report = {"born": {}, "died": {}}
        self.accepted = torch.zeros(2, device=self.device)
        if self._new and self.past.labels:
            rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
            self._give_birth(inputs, rng)

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,) and on dreams; dead units are taken out; the dreamer learns."""
        if self._new and self.past.labels and self.latents_grown and isinstance(self.past, VAE):
            self.past.widen(self.latents_grown)
        super().train(inputs, targets)
        self._bury(inputs)
        self._new, self.optimizer = [], self.fresh_optimizer()
        taken, drawn = self.accepted.tolist()
        self.report["accepted"] = taken / drawn if drawn else 1.0

    @torch.no_grad()
    def dreamt(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Dreams of which the former network is sure, (count, …); see `GenerativeReplay.dreamt`."""
        if not self.confidence:
            return super().dreamt(count)
        taken: list[tuple[Tensor, ...]] = []
        sure: list[Tensor] = []
        for _ in range(TRIES):
            dreams, targets = drawn(self.past, count + count // 4, self._rng)
            wanted = former_answers(self._former, dreams, self.past.labels)
            targets = targets if self.past.tells_labels else wanted.argmax(dim=1)
            taken.append((dreams, targets, wanted))
            sure.append(wanted.softmax(dim=1).gather(1, targets[:, None])[:, 0])
            if int((torch.cat(sure) >= self.confidence).sum()) >= count:
                break
        certain = torch.cat(sure)
        self.accepted += certain.new_tensor([float((certain >= self.confidence).sum()), len(certain)])
        order = (certain < self.confidence).float().argsort(stable=True)[:count]
        dreams, targets, wanted = (torch.cat(column)[order] for column in zip(*taken, strict=True))
        return dreams, targets, wanted

    def _wiring(self) -> Wiring:
        return Wiring(self.network, self.shape, self.model.dtype)

    def _give_birth(self, inputs: Tensor, rng: np.random.Generator) -> None:
        wiring, new = self._wiring(), inputs[:EXAMPLES]
        units = dict.fromkeys(wiring.units, self.growth) if isinstance(self.growth, int) else self._needed(
            wiring, new, rng)
        units = {name: count for name, count in units.items() if count}
        if not units:
            return
        before = self._asked(new)
        grown = wiring.grow(units)
        self._settle(wiring, grown.features)
        self.report |= {"born": units, "growth-change": float((self._asked(new) - before).abs().max())}
        self._learn_features(inputs, grown.born)

    def _needed(self, wiring: Wiring, new: Tensor, rng: np.random.Generator) -> dict[str, int]:
        old, _ = drawn(self.past, EXAMPLES, rng)
        return unexplained(wiring, old, new, self.tolerance, self.most)

    def _learn_features(self, inputs: Tensor, born: Mapping[str, Tensor]) -> None:
        """The new weights learn to reconstruct `inputs` by themselves, with a decoder of all features."""
        if not self.feature_steps:
            return
        wanted = inputs.flatten(1)
        decoder = nn.Linear(self.model.outputs.width, wanted.shape[1]).to(self.device)
        optimiser = optimisers.make("adam", [*self.network.parameters(), *decoder.parameters()], self.learning_rate)
        parameters = {name: parameter for name, parameter in self.network.named_parameters() if parameter.requires_grad}
        self.model.train()
        for rows in torch.randint(len(inputs), (self.feature_steps, self.batch), device=self.device):
            loss = functional.mse_loss(decoder(self.network(inputs[rows])), wanted[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for name, parameter in parameters.items() if self.hold else ():
                if parameter.grad is not None:
                    parameter.grad.mul_(born[name]) if name in born else parameter.grad.zero_()
            optimiser.step()

    def _bury(self, inputs: Tensor) -> None:
        """Units that contribute nothing to any answer, to new examples or dreams, are taken out."""
        wiring, judged = self._wiring(), inputs[:EXAMPLES]
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        judged = torch.cat([judged, drawn(self.past, EXAMPLES, rng)[0]])
        gone: dict[str, list[int]] = {}
        for name, most in wiring.contributions(judged).items():
            dead = (most == 0).nonzero()[:, 0].tolist()
            if dead and len(dead) < len(most) and wiring.together(name) == [name]:
                gone[name] = dead
        if not gone:
            return
        before = self._asked(judged)
        self._settle(wiring, wiring.remove(gone).features)
        self.report |= {"died": {name: len(dead) for name, dead in gone.items()},
                        "death-change": float((self._asked(judged) - before).abs().max())}

    def _settle(self, wiring: Wiring, features: Tensor) -> None:
        """Outputs take the features as they are now; the optimiser starts anew; what is saved tells the sizes."""
        self.model.outputs.rewire(features)
        self.optimizer = self.fresh_optimizer()
        if isinstance(self.network, Network):
            self.network.spec["hidden"] = list(wiring.units.values())

    @torch.no_grad()
    def _asked(self, inputs: Tensor) -> Tensor:
        with evaluating(self.model):
            answers: Tensor = self.model(inputs)
        return answers

    def extra_state(self) -> State:
        """The units of each layer."""
        return {"units": json_array(self.units)}

    @classmethod
    def from_state(
        cls, state: Mapping[str, npt.NDArray[Any]], network: nn.Module | None = None, device: str | None = None
    ) -> Self:
        """The learner that `state` described.

        Args:
            network: one of the structure that it began with, where it was not made by `networks`.
            device: where it is to live; None for where it lived.

        Raises:
            DamagedError: another method's, or entries are missing or do not fit each other.
            InputError: the network has to be passed.
        """
        if network is not None and "remembered/units" in state and "about" in state:
            about = from_json_array(state["about"])["config"]
            network = module_copy(network)
            Wiring(network, about["shape"], getattr(torch, about["dtype"])).resize(
                from_json_array(state["remembered/units"]))
        return super().from_state(state, network, device)
