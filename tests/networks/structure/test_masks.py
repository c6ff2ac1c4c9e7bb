"""Masked networks: what is dormant has no effect and no gradient, whatever is done with the module."""

import copy

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from masked_networks import linear, masked_at_random, networks, pattern  # noqa: E402
from torch import nn  # noqa: E402

from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.growing_network import OutputLayer  # noqa: E402
from engram.networks.structure.masks import Masks  # noqa: E402

FEW = settings(max_examples=20, deadline=None)


@FEW
@given(networks(), st.floats(0, 1))
def test_a_dormant_connection_has_no_effect_and_gets_no_gradient(made, share):
    network, inputs = made
    masks = masked_at_random(network, share)
    before = network(inputs).detach()
    network(inputs).square().sum().backward()
    for name, mask in masks.items():
        assert not masks.weight(name)[mask == 0].any()
        assert not masks.weight(name).grad[mask == 0].any()
        bias, dead = masks.bias(name), ~mask.flatten(1).any(1)
        if bias is not None:
            assert not bias[dead].any()
            assert not bias.grad[dead].any()
    with torch.no_grad():  # whatever stands there, it is put out again, and the answers are those of before
        for name, mask in masks.items():
            masks.weight(name)[mask == 0] = 7.0
    masks.enforce()
    assert torch.equal(network(inputs), before)


@FEW
@given(networks(), st.floats(0, 1))
def test_what_is_alive_gets_the_gradient_it_would_get_without_masks(made, share):
    network, inputs = made
    masks = masked_at_random(network, share)
    weights = [masks.weight(name) for name in masks]
    free = torch.autograd.grad(network(inputs).square().sum(), weights)  # does not pass the masks
    network(inputs).square().sum().backward()
    for name, gradient in zip(masks, free, strict=True):
        assert torch.equal(masks.weight(name).grad, gradient * masks[name])


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_guarded_no_optimiser_wakes_a_connection(kind):
    network = linear([4, 6, 3])
    masks = Masks(network)
    optimiser = kind(network.parameters(), lr=0.1, weight_decay=0.1, **({"momentum": 0.9} if kind is torch.optim.SGD
                                                                        else {}))
    masks.guard(optimiser)
    for step in range(4):
        if step == 2:  # running averages are there now
            for name, mask in masks.items():
                masks[name] = torch.rand(mask.shape) < 0.4
        optimiser.zero_grad()
        network(torch.randn(8, 4)).square().sum().backward()
        optimiser.step()
        assert all(not masks.weight(name)[mask == 0].any() for name, mask in masks.items())
    assert any((masks.weight(name) != 0).any() for name in masks)


def counted(network: nn.Module) -> int:
    """Parameters alive, one after another."""
    live = 0
    for layer in network.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            partner = name.replace("bias", "weight") + "_mask" if "bias" in name else name + "_mask"
            mask = getattr(layer, partner, None)
            for place in range(len(parameter.flatten())):
                if mask is None or parameter.ndim == 1:
                    live += mask is None or bool((mask[place] != 0).any())
                else:
                    live += bool(mask.flatten()[place])
    return live


@FEW
@given(networks(), st.floats(0, 1))
def test_live_parameters_are_those_that_a_slow_count_finds(made, share):
    masks = masked_at_random(made[0], share)
    assert masks.live == counted(made[0])
    assert masks.total == sum(parameter.numel() for parameter in made[0].parameters())


@FEW
@given(networks(), st.floats(0, 1))
def test_masks_survive_a_copy_and_a_saved_state(made, share):
    network, inputs = made
    masks = masked_at_random(network, share)
    twin = copy.deepcopy(network)
    again = Masks(twin)
    other = copy.deepcopy(network)
    fresh = Masks(other)
    for name, mask in fresh.items():
        fresh[name] = torch.ones_like(mask)
    other.load_state_dict(network.state_dict())
    for copied in (again, Masks(other)):
        assert all(torch.equal(copied[name], mask) for name, mask in masks.items())
        copied.module(inputs).sum().backward()
        assert all(not copied.weight(name).grad[mask == 0].any() for name, mask in copied.items())
    with torch.no_grad():
        for mask in again.values():
            mask.zero_()
    assert masks.live == counted(network)  # the copy has masks of its own


def test_masked_again_nothing_changes_and_hooks_are_not_doubled():
    network = linear([3, 4, 2])
    masks = masked_at_random(network, 0.5)
    before, hooks = pattern(masks), [len(p._post_accumulate_grad_hooks) for p in network.parameters()]
    again = Masks(network)
    assert all(torch.equal(again[name], mask) for name, mask in before.items())
    assert [len(p._post_accumulate_grad_hooks) for p in network.parameters()] == hooks


def test_new_rows_are_alive_and_the_old_ones_keep_their_masks():
    layer = OutputLayer(3)
    layer.grow(["a", "b"])
    masks = Masks(layer)
    masks["weight"] = torch.tensor([[1, 0, 0], [0, 0, 0]])
    layer.grow(["c"])
    masks = Masks(layer)
    assert masks["weight"].tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 1]]
    assert layer.bias[1] == 0
    layer(torch.randn(4, 3)).square().sum().backward()
    assert not layer.weight.grad[masks["weight"] == 0].any()
    assert layer.weight.grad[2].all()


def test_a_parameter_that_was_replaced_by_a_longer_one_is_masked_again():
    layer = nn.Linear(2, 2)
    Masks(layer)["weight"] = torch.tensor([[0, 1], [1, 0]])
    layer.weight, layer.bias = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3))
    assert Masks(layer)["weight"].tolist() == [[0, 1], [1, 0], [1, 1]]
    assert layer.weight.tolist() == [[0, 1], [1, 0], [1, 1]]


def test_skipped_frozen_shared_and_transposed_tensors():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    network = nn.Sequential(first, second, nn.Linear(3, 2).requires_grad_(False), nn.Linear(2, 2))
    masks = Masks(network, skip=["3.weight"])
    assert list(masks) == ["0.weight", "2.weight"]
    masks["2.weight"] = torch.tensor([[1, 0, 0], [0, 0, 0]])
    assert masks.live == 9 + 3 + 3 + (1 + 1) + 6
    assert list(Masks(nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.Linear(3, 1)))) == ["1.weight"]


def test_what_cannot_be_masked_is_refused():
    with pytest.raises(InputError, match="no weights"):
        Masks(nn.Sequential(nn.ReLU(), nn.BatchNorm1d(3)))
    with pytest.raises(InputError, match="needs a torch module, not a str"):
        Masks("x")
    masks = Masks(nn.Linear(2, 2))
    with pytest.raises(InputError, match="shape"):
        masks["weight"] = torch.ones(2, 3)
