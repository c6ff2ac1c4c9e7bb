"""Which examples of a class are worth a place in a memory: an order among them, by what the network makes of them.

Herding is that of iCaRL (Rebuffi et al. 2017, arXiv 1611.07725). A survey of such rules: M. Masana et al.,
"Class-incremental learning: survey and performance evaluation on image classification", TPAMI 2022 (arXiv 2010.15277).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from engram.networks.memory.ranked import herding

Rule = Literal["random", "herding", "informative"]
RULES: tuple[Rule, ...] = get_args(Rule)
"""`random`; `herding`: those whose mean is near the mean of all, in the directions of their features; `informative`:
those whose label the network is least sure of, by the entropy of its answer."""


@torch.no_grad()
def ranks(
    rule: Rule, features: Tensor, logits: Tensor, targets: Tensor, most: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """(N,) the rank of each example within its class, from 0 for the one that is kept longest; infinity where it is
    not among the first `most`.

    Args:
        features: (N, D).
        logits: (N, C).
        targets: (N,).

    >>> features = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    >>> order = dict(logits=torch.zeros(3, 1), targets=torch.zeros(3), most=2, rng=np.random.default_rng(0))
    >>> ranks("herding", features, **order)
    array([ 1.,  0., inf], dtype=float32)
    """
    classes = targets.cpu().numpy()
    found = np.full(len(classes), np.inf, np.float32)
    directions = functional.normalize(features).cpu().numpy()
    entropy = torch.special.entr(logits.softmax(dim=1)).sum(dim=1).cpu().numpy()
    for label in np.unique(classes):
        rows = np.flatnonzero(classes == label)
        first = min(most, len(rows))
        if rule == "herding":
            chosen = herding(directions[rows], first)
        elif rule == "informative":
            chosen = np.argsort(-entropy[rows], kind="stable")[:first]
        else:
            chosen = rng.permutation(len(rows))[:first]
        found[rows[chosen]] = np.arange(first)
    return found
