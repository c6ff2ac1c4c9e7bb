"""Supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, L_out): examples of one class attract
each other, all others repel."""

from __future__ import annotations

import torch
from torch import Tensor


def supervised_contrastive(directions: Tensor, classes: Tensor, temperature: float = 0.1) -> Tensor:
    """The mean loss of the examples that have a companion of their class in the batch.

    Args:
        directions: (N, D), each row of unit length.
        classes: (N,) integers.
        temperature: the smaller, the more the nearest examples count.

    >>> supervised_contrastive(torch.eye(2)[[0, 0, 1, 1]], torch.tensor([0, 0, 1, 1])).item() < 1e-3
    True
    """
    itself = torch.eye(len(classes), dtype=torch.bool)
    similarity = (directions @ directions.T / temperature).masked_fill(itself, -1e9)
    companions = (classes[:, None] == classes[None]) & ~itself
    log_share = similarity - similarity.logsumexp(1, keepdim=True)
    total = (log_share * companions).sum(1)
    count = companions.sum(1)
    return -(total / count.clamp_min(1))[count > 0].mean()
