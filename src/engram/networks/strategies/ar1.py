"""AR1: the weights of each label are learned in a copy of their own and averaged (CWR*); the other weights are held as
much as the loss fell by them.

V. Lomonaco, D. Maltoni, L. Pellegrini, "Rehearsal-free continual learning over small non-i.i.d. batches", CVPR
workshops 2020 (arXiv 1907.03799); with latent replay: Pellegrini et al. 2020 (arXiv 1912.01100).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from engram.networks.strategies.latent_replay import LatentReplay
from engram.networks.strategies.quadratic_penalty import trained
from engram.networks.strategies.synaptic_intelligence import SynapticIntelligence


class AR1(LatentReplay, SynapticIntelligence):
    """While examples are learned, the output weights of their labels go on from where they were, all others from 0.
    Then those of each label, less the mean of all these numbers, are averaged with what was there before: with the
    weights 1 and √(examples of the label so far / examples now). The rest of the plastic part is held by synaptic
    intelligence.

    Args:
        rehearse: whether latents are kept and replayed, as of `LatentReplay` and in the second paper; else nothing is
            kept, as in the first, and a label that arrives alone, with few examples, may not be told from others.
        strength, damping: as of `SynapticIntelligence`.
        frozen, pretrained, capacity, replayed, keep, codec: as of `LatentReplay`.

    >>> learner = AR1({"name": "perceptron", "inputs": [2], "hidden": [8, 8]}, rehearse=False, epochs=20)
    >>> learner.learn([[1.0, 0.0], [0.0, 1.0]], ["left", "up"])
    >>> learner.consolidate().details["held"], learner.samples_stored
    (72, 0)
    """

    taught: Tensor

    def __init__(self, network: nn.Module | Mapping[str, Any], *, rehearse: bool = True, **settings: Any) -> None:
        super().__init__(network, **settings)
        self.rehearse = rehearse
        self.register(taught=torch.zeros(0))

    def measured(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that are held, by name: those that train, but for the output layer's."""
        return [(name, parameter) for name, parameter in trained(self.model) if not name.startswith("outputs.")]

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Train on `inputs` (N, …) and `targets` (N,), and average the output weights of their labels."""
        counts = torch.bincount(targets, minlength=len(self.labels)).float()
        replayed = torch.tensor(self.memory.labels, dtype=torch.int64, device=self.device)
        counts[replayed] += torch.bincount(torch.from_numpy(self.memory.targets).to(self.device),
                                           minlength=len(self.labels)).float()[replayed]
        before, known = self._rows(), torch.zeros_like(counts)
        known[: len(self.taught)] = self.taught
        self._set_rows(before * ((counts > 0) & (known > 0))[:, None])
        super().train(inputs, targets)
        self._set_rows(averaged(before, self._rows(), known, counts))
        self.taught = known + counts

    def remember(self, inputs: Tensor, targets: Tensor) -> None:
        """Freeze the lower part, and keep something of `inputs` (N, …) and `targets` (N,) if they are to be replayed.
        """
        if self.rehearse:
            super().remember(inputs, targets)
        else:
            self.settle()

    def _rows(self) -> Tensor:
        """(C, width + 1): the output weights and the bias of each label."""
        outputs = self.model.outputs
        return torch.cat([outputs.weight.detach(), outputs.bias.detach()[:, None]], dim=1)

    @torch.no_grad()
    def _set_rows(self, rows: Tensor) -> None:
        self.model.outputs.weight.copy_(rows[:, :-1])
        self.model.outputs.bias.copy_(rows[:, -1])


def averaged(before: Tensor, now: Tensor, taught: Tensor, counts: Tensor) -> Tensor:
    """The consolidated weights (C, W) of CWR*.

    Args:
        before, now: (C, W), those before, and those that were just trained.
        taught: (C,) examples of each label before; 0: it is new.
        counts: (C,) examples of it that were just learned; of labels with none, the weights stay.

    >>> before, now = torch.tensor([[4.0], [9.0], [0.0]]), torch.tensor([[1.0], [0.0], [5.0]])  # the mean is 3
    >>> averaged(before, now, torch.tensor([4.0, 2.0, 0.0]), torch.tensor([1.0, 0.0, 3.0])).tolist()
    [[2.0], [9.0], [2.0]]
    """
    here = counts > 0
    past = (taught[here] / counts[here]).sqrt()[:, None]
    centred = now[here] - now[here].mean()
    rows = before.clone()
    rows[here] = (before[here] * past + centred) / (past + 1)
    return rows
