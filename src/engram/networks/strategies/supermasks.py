"""Supermasks in superposition (SupSup): the weights stay as they were drawn; each task learns which of them it uses.

M. Wortsman et al., "Supermasks in superposition", NeurIPS 2020 (arXiv 2006.14769); a mask is found as by
V. Ramanujan et al., "What's hidden in a randomly weighted neural network?", CVPR 2020 (arXiv 1911.13299).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.strategies.networks import seeded
from engram.networks.strategies.task_masks import MaskedNetwork, MaskPerTask


class SuperposedNetwork(MaskedNetwork):
    """A network of fixed weights, of which the open task uses those with the highest scores in each tensor; the scores
    are learned. Biases and other vectors stay as they are, too.

    Args:
        used: the share of the weights that a task uses.
    """

    def __init__(
        self, network: nn.Module, shape: Sequence[int], device: str, dtype: str, used: float
    ) -> None:
        super().__init__(network.requires_grad_(False), shape, device, dtype)
        self.used = used
        self.names = [name for name, parameter in self.network.named_parameters() if parameter.ndim > 1]
        self.scores = nn.ParameterList(torch.empty_like(self.network.get_parameter(name), requires_grad=True)
                                       for name in self.names)

    def draw(self) -> None:
        """Scores for a new task: uniform, as `nn.Linear` draws weights."""
        for score in self.scores:
            nn.init.kaiming_uniform_(score, a=math.sqrt(5))

    def open_mask(self, place: int) -> Tensor:
        """1 for the weights with the highest scores, 0 for the others; the slope is that of the scores themselves."""
        score = self.scores[place]
        count = max(1, round(self.used * score.numel()))
        least = score.detach().flatten().topk(count).values[-1]
        hard = (score.detach() >= least).float()
        mask: Tensor = hard + score - score.detach()
        return mask

    def open_masks(self) -> dict[str, Tensor]:
        """Which weights the open task uses, bool, by the name of their parameter."""
        return {name: self.open_mask(place) > 0.5 for place, name in enumerate(self.names)}

    def masks(self, task: int) -> dict[str, Tensor]:
        """The mask that a closed task has found, or that the open one has come to."""
        found = {}
        for place, name in enumerate(self.names):
            rows = self.kept(name)
            found[name] = self.open_mask(place) if task == len(rows) else rows[task].float()
        return found


class Supermasks(MaskPerTask):
    """The slope of a weight's mask is taken for that of its score (straight through). Output rows train.

    Of a closed task one byte is kept for each weight.

    Args:
        used: the share of the weights that a task uses.

    >>> learner = Supermasks({"name": "perceptron", "inputs": [2], "hidden": [20]}, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "right"])
    >>> learner.consolidate().details
    {'tasks': 1}
    """

    model: SuperposedNetwork

    def __init__(self, network: nn.Module | Mapping[str, Any], *, used: float = 0.5, **settings: Any) -> None:
        if not 0 < used <= 1:
            raise InputError(f"used must be in (0, 1], not {used!r}.")
        self.used = used
        super().__init__(network, **settings)

    def make_model(self, network: nn.Module, shape: Sequence[int], device: str, dtype: str) -> SuperposedNetwork:
        """A network of fixed weights under masks that are learned."""
        model = SuperposedNetwork(network, shape, device, dtype, self.used)
        with seeded(self.seed):
            model.draw()
        model.remember(model.open_masks())
        return model

    def close_task(self) -> None:
        """Keep the mask, and begin another."""
        self.model.close(self.model.open_masks())
        self.model.draw()
