"""Growth by gradients, against computations done the slow way."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from masked_networks import linear, masked_at_random, networks, pattern  # noqa: E402

from engram.learner import InputError  # noqa: E402
from engram.networks.structure.growth import Gradients, grow, mean_gradients, percentile  # noqa: E402
from engram.networks.structure.masks import Masks  # noqa: E402

FEW = settings(max_examples=20, deadline=None)


@FEW
@given(networks(), st.floats(0, 1))
def test_gradients_are_averaged_over_the_batches_for_all_connections(made, share):
    network, inputs = made
    masks = masked_at_random(network, share)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    batches = list(torch.split(inputs, 2))
    found = mean_gradients(masks, batches, lambda batch: network(batch).square().sum())
    for name in masks:
        slow = [torch.autograd.grad(network(batch).square().sum(), masks.weight(name))[0] for batch in batches]
        assert torch.allclose(found.mean[name], torch.stack(slow).mean(0), atol=1e-6)
        assert torch.allclose(found.magnitude[name], torch.stack(slow).abs().mean(0), atol=1e-6)
    assert all(torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_what_is_frozen_or_unused_has_no_gradient():
    network = linear([2, 3, 2])
    masks = Masks(network)
    network[0].requires_grad_(False)
    found = mean_gradients(masks, [torch.randn(4, 2)], lambda batch: network(batch).sum())
    assert not found.magnitude["0.weight"].any()
    assert found.magnitude["2.weight"].any()
    found = mean_gradients(masks, [torch.randn(4, 3)], lambda batch: batch.sum() + 0 * network[2].weight.sum())
    assert not found.magnitude["2.weight"].any()


def test_without_batches_there_is_no_average():
    with pytest.raises(InputError, match="batches"):
        mean_gradients(Masks(linear([2, 2])), [], lambda batch: torch.zeros(()))


@FEW
@given(st.integers(0, 2**16), st.floats(0, 1), st.integers(0, 100), st.floats(0.01, 1))
def test_connections_at_or_above_the_percentile_wake_with_a_step_of_descent(seed, share, alpha, rate):
    torch.manual_seed(seed)
    network = linear([5, 4, 3])
    masks = masked_at_random(network, share)
    wanted = {name: torch.randn(mask.shape).round(decimals=1) for name, mask in masks.items()}
    magnitude = {name: torch.rand(mask.shape).round(decimals=1) for name, mask in masks.items()}
    before, weights = pattern(masks), {name: masks.weight(name).detach().clone() for name in masks}
    count = grow(masks, Gradients(wanted, magnitude), alpha, rate)
    woken = 0
    for name, mask in masks.items():
        dormant = before[name].numpy() == 0
        expected = ~dormant
        if dormant.any():
            ordered = np.sort(magnitude[name].numpy()[dormant])
            threshold = ordered[min(alpha * len(ordered) // 100, len(ordered) - 1)]
            expected |= dormant & (magnitude[name].numpy() >= threshold) & (magnitude[name].numpy() > 0)
        assert np.array_equal(mask.numpy() != 0, expected)
        fresh = torch.from_numpy(expected & dormant)
        woken += int(fresh.sum())
        assert torch.equal(masks.weight(name)[fresh], -rate * wanted[name][fresh])
        assert torch.equal(masks.weight(name)[~fresh], weights[name][~fresh])
    assert count == woken


@pytest.mark.parametrize("percent", [0, 5, 29, 50, 99, 100])
@pytest.mark.parametrize("count", [1, 7, 100])
def test_a_percentile_has_that_share_of_the_values_before_it(percent, count):
    values = torch.randperm(count).float()
    found = percentile(values, percent)
    assert int((values < found).sum()) == min(percent * count // 100, count - 1)


def test_a_percentile_that_is_none_is_refused():
    masks = Masks(linear([2, 2]))
    with pytest.raises(InputError, match="alpha"):
        grow(masks, Gradients({}, {}), 101, 0.1)
