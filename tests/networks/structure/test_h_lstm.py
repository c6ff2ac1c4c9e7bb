"""The H-LSTM is what one reads off its equations, and an ordinary LSTM where its gates have no hidden layer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from engram.learner import InputError
from engram.networks.structure.growth import grow, mean_gradients
from engram.networks.structure.h_lstm import HLSTM
from engram.networks.structure.masks import Masks
from engram.networks.structure.pruning import prune_to


def slow_direction(direction: nn.Module, frames: Tensor, width: int) -> Tensor:
    """One sequence (T, inputs), one gate after the other."""
    state, cell, states = torch.zeros(width).to(frames), torch.zeros(width).to(frames), []
    for frame in frames:
        values = []
        for gate in range(4):
            size = direction.from_input.out_features // 4
            rows = slice(gate * size, (gate + 1) * size)
            flow = (direction.from_input.weight[rows] @ frame + direction.from_input.bias[rows]
                    + direction.from_state.weight[rows] @ state)
            for layer in direction.deeper:
                flow = layer[gate](nn.functional.leaky_relu(flow, 0.01))
            values.append(flow)
        enter, hold, new, leave = values
        cell = hold.sigmoid() * cell + enter.sigmoid() * new.tanh()
        state = leave.sigmoid() * cell.tanh()
        states.append(state)
    return torch.stack(states)


def slow(layer: HLSTM, frames: Tensor, lengths: Tensor) -> Tensor:
    out = torch.zeros(*frames.shape[:2], layer.width * len(layer.directions)).to(frames)
    for i, length in enumerate(lengths.tolist()):
        sides = [slow_direction(layer.directions[0], frames[i, :length], layer.width)]
        if len(layer.directions) == 2:
            sides.append(slow_direction(layer.directions[1], frames[i, :length].flip(0), layer.width).flip(0))
        out[i, :length] = torch.cat(sides, 1)
    return out


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def make(inputs: int, width: int, hidden: tuple[int, ...], both: bool, dropout: float = 0.0) -> HLSTM:
    with torch.random.fork_rng():
        torch.manual_seed(inputs * 100 + width)
        return HLSTM(inputs, width, hidden, bidirectional=both, dropout=dropout).double()


@given(st.integers(1, 5), st.integers(1, 5), st.lists(st.integers(1, 5), max_size=2), st.booleans(),
       st.lists(st.integers(1, 6), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_it_agrees_with_the_equations_gate_by_gate(inputs, width, hidden, both, lengths):
    layer = make(inputs, width, tuple(hidden), both)
    frames = draw(0, len(lengths), max(lengths), inputs)
    assert torch.allclose(layer(frames, torch.tensor(lengths)), slow(layer, frames, torch.tensor(lengths)), atol=1e-12)


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
@pytest.mark.parametrize("both", [False, True])
def test_its_gradients_are_those_of_the_slow_one(hidden, both):
    layer, lengths = make(3, 4, hidden, both), torch.tensor([5, 1, 3])
    frames, aim = draw(1, 3, 5, 3).requires_grad_(), draw(2, 3, 5, 4 * (1 + both))
    sources = [frames, *layer.parameters()]
    fast = torch.autograd.grad((layer(frames, lengths) * aim).sum(), sources)
    right = torch.autograd.grad((slow(layer, frames, lengths) * aim).sum(), sources)
    for mine, other in zip(fast, right, strict=True):
        assert torch.allclose(mine, other, atol=1e-12)


@pytest.mark.parametrize("both", [False, True])
def test_without_hidden_layers_it_is_an_lstm_over_packed_sequences(both):
    layer, lengths = make(3, 4, (), both), torch.tensor([6, 4, 1])
    known = nn.LSTM(3, 4, bidirectional=both, batch_first=True).double()
    with torch.no_grad():
        for direction, suffix in zip(layer.directions, ("", "_reverse"), strict=False):
            getattr(known, "weight_ih_l0" + suffix).copy_(direction.from_input.weight)
            getattr(known, "weight_hh_l0" + suffix).copy_(direction.from_state.weight)
            getattr(known, "bias_ih_l0" + suffix).copy_(direction.from_input.bias)
            getattr(known, "bias_hh_l0" + suffix).zero_()
    frames = draw(3, 3, 6, 3)
    packed = nn.utils.rnn.pack_padded_sequence(frames, lengths, batch_first=True)
    right, _ = nn.utils.rnn.pad_packed_sequence(known(packed)[0], batch_first=True)
    assert torch.allclose(layer(frames, lengths), right, atol=1e-12)


def test_what_lies_beyond_a_sequence_has_no_influence_and_no_gradient():
    layer, lengths = make(3, 4, (5,), True), torch.tensor([6, 2])
    frames = draw(4, 2, 6, 3).requires_grad_()
    out = layer(frames, lengths)
    out.sum().backward()
    assert (out[1, 2:] == 0).all()
    assert (frames.grad[1, 2:] == 0).all()
    assert (frames.grad[1, :2] != 0).all()
    other = frames.detach().clone()
    other[1, 2:] = 1e6
    assert torch.equal(layer(other, lengths), out)
    assert torch.allclose(layer(frames[1:, :2]), out[1:, :2], atol=1e-12)


def test_dropout_rests_neurons_of_the_gates_during_a_whole_sequence_and_keeps_the_gradients_right():
    layer = make(3, 4, (30,), False, dropout=0.5)
    frames = draw(5, 1, 4, 3)
    torch.manual_seed(0)
    resting = layer(frames)
    torch.manual_seed(0)
    keep = nn.functional.dropout(torch.ones(4, 1, 30).double(), 0.5)
    assert 0 < (keep == 0).sum() < 120
    with torch.no_grad():  # neurons that rest at every step are neurons whose way onward is cut
        for gate, layer_of_gate in enumerate(layer.directions[0].deeper[0]):
            layer_of_gate.weight.mul_(keep[gate])
    layer.eval()
    assert torch.allclose(layer(frames), resting, atol=1e-12)
    layer = make(2, 2, (4,), True, dropout=0.5)

    def same(frames: Tensor) -> Tensor:
        torch.manual_seed(1)
        return layer(frames)

    assert torch.autograd.gradcheck(same, draw(6, 2, 3, 2).requires_grad_())


def test_masked_connections_stay_dormant_while_it_trains_and_wake_where_gradients_ask():
    layer = make(3, 4, (5,), True).float()
    masks = Masks(layer)
    prune_to(masks, masks.live // 2)
    before = masks.live
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
    masks.guard(optimiser)
    frames = draw(7, 2, 6, 3).float()
    for _ in range(3):
        optimiser.zero_grad()
        layer(frames).square().mean().backward()
        optimiser.step()
    assert masks.live == before
    assert all((masks.weight(name)[mask == 0] == 0).all() for name, mask in masks.items())
    gradients = mean_gradients(masks, [frames], lambda batch: layer(batch).square().mean())
    assert grow(masks, gradients, alpha=50, rate=0.1) > 0
    assert masks.live > before


def test_it_learns_to_remember_the_first_frame():
    torch.manual_seed(0)
    layer, out = HLSTM(1, 8, (8,)), nn.Linear(8, 1)
    optimiser = torch.optim.Adam([*layer.parameters(), *out.parameters()], lr=0.02)
    for _ in range(150):
        frames = torch.randint(0, 2, (32, 10, 1)).float()
        loss = nn.functional.binary_cross_entropy_with_logits(out(layer(frames)[:, -1]), frames[:, 0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1


def test_widths_and_lengths_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="positive"):
        HLSTM(3, 0)
    with pytest.raises(InputError, match="dropout"):
        HLSTM(3, 4, dropout=1.0)
    layer = HLSTM(3, 4)
    with pytest.raises(InputError, match=r"\(N, T, 3\)"):
        layer(torch.zeros(2, 5, 4))
    for lengths in ([5, 6], [0, 5], [5]):
        with pytest.raises(InputError, match="Lengths"):
            layer(torch.zeros(2, 5, 3), torch.tensor(lengths))
