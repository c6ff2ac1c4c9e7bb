"""Predictive coding: settled errors are the gradients of backpropagation, on any feed-forward graph."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn

from engram.features.cores.learning_rules.predictive_coding import (
    Node,
    Settling,
    chain,
    predictive_coding,
)
from engram.learner import InputError


class Sum(nn.Module):
    def forward(self, *parts: Tensor) -> Tensor:
        return sum(parts[1:], parts[0])


@pytest.fixture
def graph():
    """Two ways from the input to the output, one of them past two layers; one node is heard by two others."""
    torch.manual_seed(0)
    return {
        "first": Node(nn.Linear(4, 6), ("input",)), "bent": Node(nn.Tanh(), ("first",)),
        "deep": Node(nn.Sequential(nn.Linear(6, 6), nn.Tanh()), ("bent",)), "skip": Node(nn.Linear(6, 6), ("bent",)),
        "sum": Node(Sum(), ("deep", "skip", "first")), "out": Node(nn.Linear(6, 3), ("sum",)),
    }


def forward(graph, inputs):
    values = {"input": inputs}
    for name, node in graph.items():
        values[name] = node.module(*(values[parent] for parent in node.parents))
    return values[name]


def error(graph, settling):
    """Of the gradients against those of backpropagation, relative to their norm."""
    parameters = [parameter for node in graph.values() for parameter in node.module.parameters()]
    inputs, classes = torch.randn(5, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 1, 0])
    loss = nn.functional.cross_entropy(forward(graph, inputs), classes)
    exact = torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)])
    for parameter in parameters:
        parameter.grad = None
    found = predictive_coding(graph, inputs, lambda out: nn.functional.cross_entropy(out, classes), settling)
    assert found == pytest.approx(loss.item())
    return float((torch.cat([parameter.grad.flatten() for parameter in parameters]) - exact).norm() / exact.norm())


def test_one_incremental_pass_is_backpropagation(graph):
    assert error(graph, Settling()) < 1e-6


def test_all_at_once_errors_settle_in_as_many_passes_as_the_graph_is_deep_or_slowly(graph):
    assert error(graph, Settling("together", 1.0, 3)) > 1e-2
    assert error(graph, Settling("together", 1.0, 5)) < 1e-6
    apart = [error(graph, Settling("together", 0.3, passes)) for passes in (5, 20, 80)]
    assert apart[0] > 10 * apart[1] > 100 * apart[2]
    assert error(graph, Settling("together", 0.3, 1000, tolerance=1e-4)) < 1e-3


def test_gradients_are_added_to_those_that_are_there():
    torch.manual_seed(0)
    modules = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    graph, inputs = chain(modules), torch.randn(4, 2)
    for _ in range(2):
        predictive_coding(graph, inputs, lambda out: out.square().sum())
    twice = modules[0].weight.grad.clone()
    modules[0].weight.grad = None
    nn.Sequential(*modules)(inputs).square().sum().backward()
    assert torch.allclose(twice, 2 * modules[0].weight.grad, atol=1e-5)


def test_graphs_and_settings_that_make_no_sense_are_refused():
    layer, inputs = nn.Linear(2, 2), torch.randn(1, 2)
    for graph in ({}, {"a": Node(layer, ("b",))}, {"a": Node(layer, ())}):
        with pytest.raises(InputError):
            predictive_coding(graph, inputs, Tensor.sum)
    for bad in (Settling("never"), Settling(rate=0.0), Settling(rate=1.5), Settling(passes=0)):
        with pytest.raises(InputError):
            predictive_coding(chain([layer]), inputs, Tensor.sum, bad)
    assert layer.weight.grad is None
