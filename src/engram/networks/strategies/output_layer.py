"""The output layer that grows: a row appears when a label appears."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import Label


class OutputLayer(nn.Module):
    """Features (N, width) -> logits (N, C), for the C labels that have appeared, in the order of their arrival.

    Args:
        width: of the features.

    >>> layer = OutputLayer(4)
    >>> layer.grow(["cat", "dog", "cat"])
    ['cat', 'dog']
    >>> layer(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """

    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.book: dict[Label, int] = {}
        self.weight = nn.Parameter(torch.empty(0, width))
        self.bias = nn.Parameter(torch.empty(0))

    def forward(self, features: Tensor) -> Tensor:
        """The logits."""
        return functional.linear(features, self.weight, self.bias)

    def grow(self, labels: Iterable[Label]) -> list[Label]:
        """Give every new label a row, drawn as `nn.Linear` draws them; what is there stays. Returns the new labels.

        The parameters are replaced where rows are added: an optimiser has to be told.
        """
        new = [label for label in dict.fromkeys(labels) if label not in self.book]
        if new:
            rows = _drawn(self.weight.new_empty(len(new), self.width), self.width)
            self.weight = nn.Parameter(torch.cat([self.weight.detach(), rows]))
            self.bias = nn.Parameter(torch.cat([self.bias.detach(), _drawn(rows.new_empty(len(new)), self.width)]))
            self.book.update({label: len(self.book) + i for i, label in enumerate(new)})
            self._match_mask()
        return new

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all rows anew."""
        _drawn(self.weight, self.width)
        _drawn(self.bias, self.width)

    def resize(self, labels: Iterable[Label]) -> None:
        """Have rows for these labels and no others; their values are to be loaded."""
        self.book = {label: place for place, label in enumerate(labels)}
        self.weight = nn.Parameter(self.weight.new_zeros(len(self.book), self.width))
        self.bias = nn.Parameter(self.bias.new_zeros(len(self.book)))
        self._match_mask()

    def _match_mask(self) -> None:
        """Where the layer is masked, new rows are alive."""
        mask: Tensor | None = getattr(self, "weight_mask", None)
        if mask is not None:
            self.weight_mask = torch.ones_like(self.weight, requires_grad=False)
            self.weight_mask[: len(mask)] = mask[: len(self.book)]


def _drawn(values: Tensor, width: int) -> Tensor:
    limit = 1 / math.sqrt(width)
    return values.uniform_(-limit, limit)
