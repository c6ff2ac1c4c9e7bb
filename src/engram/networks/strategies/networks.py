"""Networks to learn with: inputs to features; the output layer is the strategy's.

Any module of PyTorch will do that maps (N, ...) floats to (N, width) features. Those made here by name can also be
saved with what they learned: their `spec` is the JSON they are built from again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from engram.learner import InputError

SLOPE = 0.01  # of leaky ReLU: a neuron that is cut off for a while still passes a gradient


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws of PyTorch's global generator follow from the seed here; afterwards it goes on as if nothing had been."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class Network(nn.Sequential):
    """A stack of layers that knows how it was built.

    Attributes:
        shape: of one input, without the dimension that counts inputs.
        spec: the name and arguments for `build`, as JSON values; where layers get other sizes, its `hidden` has to
            follow.
    """

    def __init__(self, shape: Sequence[int], spec: Mapping[str, Any], *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.shape = tuple(shape)
        self.spec = dict(spec)


def perceptron(
    inputs: int | Sequence[int], hidden: Sequence[int] = (300, 100), slope: float = SLOPE, seed: int = 0
) -> Network:
    """Fully connected layers with leaky ReLU. LeNet-300-100 (LeCun et al. 1998) is `perceptron(784)` with outputs.

    Args:
        inputs: their number, or the shape of one input.
        hidden: units of each layer; the last is the width of the features.
        slope: of the leaky ReLU; 0 for ReLU.
        seed: of the weights.

    Raises:
        InputError: a layer without units.

    >>> perceptron((28, 28), [300, 100])
    Network(
      (0): Flatten(start_dim=1, end_dim=-1)
      (1): Linear(in_features=784, out_features=300, bias=True)
      (2): LeakyReLU(negative_slope=0.01)
      (3): Linear(in_features=300, out_features=100, bias=True)
      (4): LeakyReLU(negative_slope=0.01)
    )
    """
    shape = (inputs,) if isinstance(inputs, int) else tuple(inputs)
    widths = [math.prod(shape), *hidden]
    if min(widths) < 1:
        raise InputError(f"Every layer needs at least one unit, not {widths}.")
    layers: list[nn.Module] = [nn.Flatten()]
    with seeded(seed):
        for above, below in zip(widths[1:], widths[:-1], strict=True):
            layers += [nn.Linear(below, above), nn.LeakyReLU(slope)]
    spec = {"name": "perceptron", "inputs": list(shape), "hidden": list(hidden), "slope": slope, "seed": seed}
    return Network(shape, spec, *layers)


def lenet5(slope: float = SLOPE, seed: int = 0, hidden: Sequence[int] = (6, 16, 120, 84)) -> Network:
    """LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998) on images of 28×28, padded to 32×32: 6 and 16 filters of 5×5, full
    connections, max pooling, layers of 120 and 84 units. With ten outputs 61,706 parameters.

    Pooling comes before the leaky ReLU: the same function (it is monotone) at a quarter of the work.
    Channels stand last in memory: a fifth less time on a CPU.

    Args:
        slope: of the leaky ReLU; 0 for ReLU.
        seed: of the weights.
        hidden: filters of both convolutions, and units of both layers.

    Raises:
        InputError: not four of at least 1.
    """
    if len(hidden) != 4 or min(hidden) < 1:
        raise InputError(f"LeNet-5 has four layers of at least one unit, not {list(hidden)}.")
    first, second, third, fourth = hidden
    with seeded(seed):
        layers = (
            nn.Conv2d(1, first, 5, padding=2), nn.MaxPool2d(2), nn.LeakyReLU(slope),
            nn.Conv2d(first, second, 5), nn.MaxPool2d(2), nn.LeakyReLU(slope), nn.Flatten(),
            nn.Linear(25 * second, third), nn.LeakyReLU(slope), nn.Linear(third, fourth), nn.LeakyReLU(slope),
        )
    spec = {"name": "lenet-5", "slope": slope, "seed": seed, "hidden": list(hidden)}
    network = Network((1, 28, 28), spec, *layers)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


NETWORKS: dict[str, Callable[..., Network]] = {"perceptron": perceptron, "lenet-5": lenet5}


def build(spec: Mapping[str, Any]) -> Network:
    """The network that a `spec` describes, with fresh weights.

    Raises:
        InputError: no description of a network, or no network of that name.
    """
    if not isinstance(spec, Mapping):
        raise InputError('A network is a torch module, or a spec such as {"name": "perceptron", "inputs": [64], '
                         f'"hidden": [32]}}, not {spec!r}.')
    arguments = dict(spec)
    name = arguments.pop("name", None)
    if name not in NETWORKS:
        raise InputError(f"Unknown network {name!r}. Choose from: {', '.join(NETWORKS)}.")
    return NETWORKS[name](**arguments)
