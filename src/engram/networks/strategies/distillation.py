"""Distillation: a network learns the answers of another one (Hinton, Vinyals, Dean 2015, arXiv 1503.02531)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def agreement(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Cross-entropy with the teacher's answers, both softened, times T²: so its gradients do not depend much on T.

    Args:
        logits, wanted: (N, C), the network's and the teacher's.

    >>> import torch
    >>> logits = torch.zeros(1, 2)
    >>> round(agreement(logits, logits, temperature=2.0).item(), 3)  # 4 ln 2
    2.773
    """
    return temperature**2 * functional.cross_entropy(logits / temperature, (wanted / temperature).softmax(dim=1))
