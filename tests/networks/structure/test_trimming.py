"""Trimming takes away what is alive for nothing, and changes no answer."""

from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from engram.learner import InputError  # noqa: E402
from engram.networks.structure.masks import Masks  # noqa: E402
from engram.networks.structure.pruning import isolated, prune_to, trim  # noqa: E402


def perceptron(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(9, 12), nn.LeakyReLU(0.01), nn.Linear(12, 8), nn.LeakyReLU(0.01), nn.Linear(8, 3))


def convolutional(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.LeakyReLU(0.01), nn.Conv2d(6, 5, 3), nn.LeakyReLU(0.01), nn.Flatten(),
                         nn.Linear(20, 3))


@given(st.integers(0, 50), st.integers(10, 120), st.sampled_from([(perceptron, (9,)), (convolutional, (1, 6, 6))]))
@settings(max_examples=30, deadline=None)
def test_answers_stay_and_nothing_is_alive_for_nothing(seed, live, kind):
    make, shape = kind
    network = make(seed)
    masks = Masks(network)
    prune_to(masks, live, recoverable=False)
    inputs = torch.randn(20, *shape)
    before, alive = network(inputs), masks.live
    gone = trim(masks)
    assert torch.allclose(network(inputs), before, atol=1e-6)
    assert (gone > 0) == (masks.live < alive)
    assert trim(masks) == 0
    names = list(masks)
    for below, above in pairwise(names):
        ways_in = (masks[below] != 0).flatten(1).any(1)
        width = masks[above].shape[1] // len(masks[below])
        ways_out = (masks[above] != 0).transpose(0, 1).reshape(len(masks[below]), width, -1).flatten(1).any(1)
        assert not (ways_in & ~ways_out).any()
        fed = (masks[above] != 0).flatten(1).any(1)
        for neuron in (ways_out & ~ways_in).nonzero()[:, 0]:  # it is there for the biases of others alone
            reached = (masks[above] != 0)[:, neuron * width:(neuron + 1) * width].flatten(1).any(1)
            others = (masks[above] != 0).clone()
            others[:, (~ways_in).repeat_interleave(width)] = False
            assert (fed & reached & ~others.flatten(1).any(1)).sum() == reached.sum()


def test_a_chain_of_useless_neurons_goes_whole():
    network = perceptron()
    masks = Masks(network)
    masks["4.weight"] = torch.zeros(3, 8)
    assert trim(masks) == 9 * 12 + 12 * 8
    assert masks.live == 0


def test_what_recoverable_pruning_left_is_not_touched():
    masks = Masks(perceptron())
    prune_to(masks, 80)
    assert sum(isolated(masks)) == 0
    assert trim(masks) == 0


def test_layers_that_do_not_follow_each_other_are_refused():
    with pytest.raises(InputError, match="follow each other"):
        trim(Masks(nn.ModuleList([nn.Linear(4, 5), nn.Linear(4, 2)])))
