"""Small random networks of every kind of layer, masked at random, for the tests of masks, growth and pruning."""

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from engram.networks.structure.masks import Masks


class Recurrent(nn.Module):
    """A recurrent layer, and a linear one on its last state."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], width: int) -> None:
        super().__init__()
        self.recurrent = kind(3, width, batch_first=True, bidirectional=True)
        self.above = nn.Linear(2 * width, 2)

    def forward(self, sequences: Tensor) -> Tensor:
        states: Tensor = self.recurrent(sequences)[0]
        above: Tensor = self.above(states[:, -1])
        return above


def linear(widths: list[int]) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(len(widths) - 1):
        layers += [nn.Linear(widths[i], widths[i + 1], bias=i % 2 == 0), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers)


def convolutional(channels: int, filters: int, units: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, channels, 3, padding=1), nn.LeakyReLU(0.01), nn.BatchNorm2d(channels),
        nn.Conv2d(channels, filters, 3, bias=False), nn.LeakyReLU(0.01), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(4 * filters, units), nn.LeakyReLU(0.01), nn.Linear(units, 2),
    )


def grouped() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(),
                         nn.Conv2d(6, 6, 3, groups=6), nn.Flatten(), nn.Linear(24, 2))


SHAPES = {"linear": (5,), "convolutional": (2, 6, 6), "grouped": (2, 6, 6), "LSTM": (4, 3), "GRU": (4, 3)}


@st.composite
def networks(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(SHAPES)) -> tuple[nn.Module, Tensor]:
    """A network of one of the kinds, and a few inputs for it."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    kind, size = draw(st.sampled_from(kinds)), st.integers(1, 5)
    if kind == "linear":
        network = linear([5, *draw(st.lists(size, min_size=1, max_size=3)), 2])
    elif kind == "convolutional":
        network = convolutional(draw(size), draw(size), draw(size))
    else:
        network = grouped() if kind == "grouped" else Recurrent(getattr(nn, kind), draw(size))
    return network.eval(), torch.randn(6, *SHAPES[kind])


def masked_at_random(network: nn.Module, share: float) -> Masks:
    """About this share of the connections is alive; whole neurons may be cut off."""
    masks = Masks(network)
    for name, mask in masks.items():
        masks[name] = torch.rand(mask.shape) < share
    return masks


def pattern(masks: Masks) -> dict[str, Tensor]:
    """Copies of the masks."""
    return {name: mask.clone() for name, mask in masks.items()}
