"""PyTorch modules run sparsely: the same answers, or a clear no."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from engram.learner import InputError
from engram.networks.strategies.growing_network import OutputLayer
from engram.networks.strategies.networks import lenet5, perceptron
from engram.networks.structure.masks import Masks
from engram.networks.structure.sparse_network import SparseNetwork


@torch.no_grad()
def thinned(module: nn.Module, density: float = 0.2, seed: int = 0) -> nn.Module:
    """With masks, and running statistics that are not those of a fresh network."""
    torch.manual_seed(seed)
    masks = Masks(module)
    for name in masks:
        masks[name] = torch.rand_like(masks[name]) < density
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            part.weight.uniform_(-1, 2)
            part.bias.normal_()
    return module


@torch.no_grad()
def assert_same(module: nn.Module, shape: tuple[int, ...], counts: tuple[int, ...] = (1, 3, 70)) -> SparseNetwork:
    network = SparseNetwork.of(module, shape)
    module.eval()
    for count in counts:
        x = torch.randn(count, *shape)
        expected = module(x).numpy()
        away = np.abs(network(x.numpy()) - expected).max()
        assert away <= 1e-5 * max(1, np.abs(expected).max())
    return network


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000), channels=st.sampled_from([(1, 4), (3, 6), (2, 5)]), groups=st.booleans(),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)), stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)), dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    sides=st.tuples(st.integers(6, 21), st.integers(6, 21)), density=st.sampled_from([0.0, 0.1, 1.0]),
    pool=st.sampled_from([None, nn.MaxPool2d(2), nn.MaxPool2d(3, 2), nn.AvgPool2d((2, 1), 1), nn.MaxPool2d((1, 3))]),
)
def test_a_convolution_of_any_geometry_gives_pytorchs_maps(
    seed, channels, groups, size, stride, padding, dilation, sides, density, pool
):
    parts = 1 if not groups else np.gcd(*channels).item()
    layers = [nn.Conv2d(*channels, size, stride, padding, dilation, parts), nn.LeakyReLU(0.1),
              nn.Conv2d(channels[1], 3, 2), *([pool, nn.ReLU()] if pool else [])]
    module = thinned(nn.Sequential(*layers), density, seed)
    try:
        module(torch.zeros(1, channels[0], *sides))
    except RuntimeError:
        assume(False)
    assert_same(module, (channels[0], *sides), counts=(1, 2))


def test_the_networks_of_the_strategies_run_sparsely_with_their_growing_output_layer():
    outputs = OutputLayer(100)
    outputs.grow(["a", "b", "c"])
    network = assert_same(nn.Sequential(thinned(perceptron((28, 28)), 0.08), thinned(outputs)), (28, 28))
    assert network.output_shape == (3,)
    assert network.live == sum(int((p != 0).sum()) for p in thinned(perceptron((28, 28)), 0.08).parameters()
                               if p.ndim > 1) + int((outputs.weight != 0).sum())
    assert_same(thinned(lenet5(), 0.1), (1, 28, 28))


class Written(nn.Module):
    """Everything as a function in `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.second = nn.Conv2d(6, 4, 3, padding="same", bias=False)
        self.normal, self.last = nn.BatchNorm2d(6), nn.Linear(4 * 3 * 3, 5)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.normal(self.first(x))), kernel_size=2)
        x = F.dropout(F.leaky_relu(self.second(x), negative_slope=0.2), 0.5, self.training)
        return self.last(x.view(x.size(0), -1)).relu()


def test_a_forward_pass_of_functions_is_followed_and_the_modules_mode_left_alone():
    module = thinned(Written()).train()
    module.normal.eval()
    SparseNetwork.of(module, (2, 12, 12))
    assert module.training
    assert not module.normal.training
    assert_same(module, (2, 12, 12))


def test_normalisation_dropout_and_pooling_to_one_place_are_understood():
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 12), nn.BatchNorm1d(12, affine=True), nn.LeakyReLU(0.1), nn.ReLU(), nn.Dropout(), nn.Linear(12, 2),
    )
    assert_same(thinned(module, 0.6), (1, 9, 7))


def test_a_mask_counts_even_where_the_weights_under_it_do_not_agree():
    layer = nn.Linear(6, 2)
    masks = Masks(layer)
    masks["weight"] = torch.tensor([[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]])
    assert SparseNetwork.of(layer, (6,)).live == 2


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x):
        return x + self.layer(x)


class Deciding(Residual):
    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else x


class Scaled(Residual):
    def forward(self, x):
        return self.layer(x) * 2


class Twice(Residual):
    def forward(self, x):
        return self.layer(x), x


@pytest.mark.parametrize(
    ("module", "named"),
    [
        (Residual(), "add"), (Deciding(), "Deciding"), (Scaled(), "mul"), (Twice(), "Twice"),
        (nn.Sequential(nn.Linear(6, 6), nn.Sigmoid()), "Sigmoid"),
        (nn.Sequential(nn.ReLU(), nn.Linear(6, 6)), "activation"),
        (nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.BatchNorm1d(6)), "normalisation"),
        (nn.LSTM(6, 6), "LSTM"),
        (nn.Sequential(nn.Linear(5, 6)), "5"),
    ],
)
def test_what_is_no_chain_of_known_layers_is_refused_by_name(module, named):
    with pytest.raises(InputError, match=named):
        SparseNetwork.of(module, (6,))


def test_a_linear_layer_over_the_last_dimension_of_maps_is_not_taken_for_one_over_all():
    with pytest.raises(InputError):
        SparseNetwork.of(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Linear(4, 2)), (1, 6, 6))
