"""What a core is trained for: to predict the frame that follows, or to tell sequences apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NextFrame(nn.Module):
    """Predicts the next frame as this one and what a read-out of output and frame adds; the mean squared error.

    Args:
        width: values of an output.
        channels: values of a frame.
        hidden: units of a layer between (rectified); 0 for a linear read-out.
        weights: (channels,) what the error of each channel counts; None: 1.
    """

    weights: Tensor

    def __init__(self, width: int, channels: int, hidden: int = 0, weights: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weights", torch.ones(channels) if weights is None else weights)
        entry = width + channels
        self.read = nn.Sequential(nn.Linear(entry, hidden), nn.ReLU(), nn.Linear(hidden, channels)) if hidden else (
            nn.Linear(entry, channels))

    def forward(self, outputs: Tensor, frames: Tensor, dt: Tensor, wanted: Tensor) -> Tensor:
        """The loss, `wanted` (n, L, channels) being the frames that follow."""
        return ((self.predicted(outputs, frames) - wanted).square() * self.weights).mean()

    def predicted(self, outputs: Tensor, frames: Tensor) -> Tensor:
        """(n, L, channels)."""
        added: Tensor = self.read(torch.cat([outputs, frames], -1))
        return frames + added


class Labels(nn.Module):
    """Tells sequences apart by the mean of their outputs over time; cross-entropy, padding left out.

    Args:
        width: values of an output.
        classes: how many kinds of sequences there are.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.read = nn.Linear(width, classes)

    def forward(self, outputs: Tensor, frames: Tensor, dt: Tensor, classes: Tensor) -> Tensor:
        """The loss, `classes` (n,) being the places of the right answers."""
        mean = (outputs * dt[..., None]).sum(1) / dt.sum(1, keepdim=True)
        return nn.functional.cross_entropy(self.read(mean), classes)
