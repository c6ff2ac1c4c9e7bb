"""Distillation: a network learns the answers of another one (Hinton, Vinyals, Dean 2015, arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from engram.learner import State
from engram.networks.module_copy import module_copy
from engram.networks.strategies.growing_network import GrowingNetwork, Snapshot


def agreement(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Cross-entropy with the teacher's answers, both softened, times T²: so its gradients do not depend much on T.

    Args:
        logits, wanted: (N, C), the network's and the teacher's.

    >>> logits = torch.zeros(1, 2)
    >>> round(agreement(logits, logits, temperature=2.0).item(), 3)  # 4 ln 2
    2.773
    """
    return temperature**2 * functional.cross_entropy(logits / temperature, (wanted / temperature).softmax(dim=1))


class FormerNetwork:
    """The network as it was at an earlier moment, whose answers teach the present one. None at first; then
    a frozen copy, which is replaced as a whole and never changed.

    >>> former = FormerNetwork()
    >>> former.appoint(GrowingNetwork(torch.nn.Flatten(), (2, 2)))
    >>> former.logits(torch.zeros(5, 2, 2)).shape
    torch.Size([5, 0])
    """

    def __init__(self) -> None:
        self.network: GrowingNetwork | None = None
        self._loaded: State = {}

    def appoint(self, model: GrowingNetwork) -> None:
        """A copy of the network as it is now."""
        self.network = module_copy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """What it answers to (N, …) inputs: (N, C) for the C labels that it knew; (N, 0) where there is none."""
        return inputs.new_empty(len(inputs), 0) if self.network is None else self.network(inputs)

    def __deepcopy__(self, copies: dict[int, Any]) -> FormerNetwork:
        """Shares the network."""
        copied = FormerNetwork()
        copied.network, copied._loaded = self.network, self._loaded
        return copied

    def state(self) -> State:
        """Its parameters and buffers, as copies; nothing where there is none."""
        tensors = {} if self.network is None else self.network.state_dict()
        return {name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What `state` described, when it has been told by `settle` what it is a copy of."""
        made = cls()
        made._loaded = dict(state)
        return made

    def settle(self, model: GrowingNetwork) -> None:
        """Called once after `from_state`.

        Args:
            model: a network of the same structure, with outputs for all labels.

        Raises:
            KeyError, RuntimeError, ValueError: it has another structure, or holds NaN.
        """
        if not self._loaded:
            return
        loaded, self._loaded = self._loaded, {}
        tensors = {name: torch.from_numpy(array.copy()).to(model.outputs.weight.device)
                   for name, array in loaded.items()}
        if any(bool(tensor.isnan().any()) for tensor in tensors.values()):
            raise ValueError("a former network that holds NaN")
        self.appoint(model)
        if self.network is not None:
            self.network.become(Snapshot(model.labels[: len(tensors["outputs.weight"])], tensors))
            self.network.eval().requires_grad_(False)
