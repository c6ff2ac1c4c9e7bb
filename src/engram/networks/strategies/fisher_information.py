"""The diagonal of the Fisher information: how much the answers depend on each parameter, where the network is."""

from __future__ import annotations

import torch
from torch import Tensor

from engram.networks.strategies.quadratic_penalty import trained
from engram.networks.strategies.strategy import Strategy
from engram.networks.structure.evaluation_mode import evaluating

AT_ONCE = 8  # examples in one backward pass


def fisher(strategy: Strategy, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """The diagonal for each parameter that trains, a mean over (N, ...) examples; an unbiased estimate.

    The labels are the network's own: E = Jᵀ(diag(p) − ppᵀ)J, with J the derivative of the logits. With s = √p,
    diag(p) − ppᵀ = LLᵀ for L = diag(s)(I − ssᵀ); so for random signs v the square of JᵀLv has the diagonal of E
    as its mean: one backward pass, however many labels there are and for several examples at once.

    Args:
        strategy: whose network it is, and whose `competing` says which labels compete for an example.
        inputs, targets: (N, ...) and (N,), the places of their labels.
    """
    names, parameters = zip(*trained(strategy.model), strict=True)
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    for some, theirs in zip(torch.split(inputs, AT_ONCE), torch.split(targets, AT_ONCE), strict=True):
        with evaluating(strategy.model):
            logits = strategy.competing(strategy.model(some), theirs)
        root = logits.detach().softmax(dim=1).sqrt()
        signs = torch.randint(2, root.shape, generator=strategy.generator).to(root) * 2 - 1
        direction = root * (signs - root * (root * signs).sum(dim=1, keepdim=True))
        for total, slope in zip(totals, torch.autograd.grad(logits, parameters, direction, materialize_grads=True),
                                strict=True):
            total.addcmul_(slope, slope)
    return {name: total / len(inputs) for name, total in zip(names, totals, strict=True)}
