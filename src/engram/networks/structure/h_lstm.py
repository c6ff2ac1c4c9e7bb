"""H-LSTM: a long short-term memory whose four gates are multi-layer perceptrons.

    X. Dai, H. Yin, N. K. Jha, "Grow and Prune Compact, Fast, and Accurate LSTMs",
    IEEE Transactions on Computers 69(3), 2020 (arXiv:1805.11797).

Gates with hidden layers of their own say more per unit of state, so that fewer units and fewer layers do; dropout
works inside the gates. The hidden layers of a gate are leaky (slope 0.01), which keeps a pruned neuron trainable.
All weights are plain `torch.nn.Linear`s, one mask each.

The recurrence is differentiated by hand: a step of the backward pass propagates errors alone, and the gradients of
all weights are one product over all steps afterwards. Both directions, and all four gates, are one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from engram.learner import InputError

GATES = 4  # input, forget, candidate, output: the order of torch.nn.LSTM
SLOPE = 0.01


class HLSTM(nn.Module):
    """One layer of H-LSTM over sequences of different lengths, in one direction or both.

    Args:
        inputs: width of a frame.
        width: units of the state, of each direction.
        hidden: widths of the hidden layers of each gate; none: an ordinary LSTM.
        bidirectional: a second recurrence runs backwards over each sequence; outputs are concatenated.
        dropout: share of the hidden neurons of the gates that rest, the same ones during a whole sequence
            (Gal and Ghahramani 2016); only while training.

    Raises:
        InputError: a width that is not positive, or a dropout outside [0, 1).

    >>> layer = HLSTM(13, 32, hidden=(24,), bidirectional=True)
    >>> layer(torch.zeros(2, 50, 13), torch.tensor([50, 20])).shape
    torch.Size([2, 50, 64])
    """

    def __init__(
        self, inputs: int, width: int, hidden: Sequence[int] = (), *, bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(inputs, width, *hidden) < 1 or not 0 <= dropout < 1:
            raise InputError(f"Widths are positive and dropout is in [0, 1); given: inputs {inputs}, width {width}, "
                             f"hidden {tuple(hidden)}, dropout {dropout}.")
        self.inputs, self.width, self.dropout = inputs, width, dropout
        self.directions = nn.ModuleList(_Direction(inputs, width, hidden) for _ in range(1 + bidirectional))

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """States after each frame.

        Args:
            frames: (N, T, inputs).
            lengths: (N,) frames of each sequence, in [1, T]; None: all T. What lies beyond has no influence.

        Returns:
            (N, T, width) or, bidirectional, (N, T, 2 width); zero beyond a sequence's length.

        Raises:
            InputError: frames of another width, or lengths that do not fit them.
        """
        if frames.ndim != 3 or frames.shape[2] != self.inputs:
            raise InputError(f"Frames have the shape (N, T, {self.inputs}), not {tuple(frames.shape)}.")
        mirror, alive = _places(frames, lengths)
        each = torch.arange(len(frames), device=frames.device)
        onward = frames.transpose(0, 1)
        sides = [side for side in self.directions if isinstance(side, _Direction)]
        driven = torch.stack([side.from_input(onward[mirror, each] if i else onward) for i, side in enumerate(sides)])
        recurrent = torch.stack([side.from_state.weight for side in sides])
        keep, deeper = [], []
        for depth in range(sides[0].depth):
            layers = [layer for side in sides for layer in side.gates(depth)]
            deeper += [torch.stack([layer.weight for layer in layers]), torch.stack([layer.bias for layer in layers])]
            keep.append(self._resting(len(layers), len(frames), layers[0].in_features, frames))
        states: Tensor = _Recurrence.apply(driven, recurrent, len(keep), *keep, *deeper)  # type: ignore[no-untyped-call]
        ways = [states[i][mirror, each] if i else states[i] for i in range(len(sides))]
        return (torch.cat(ways, 2) * alive).transpose(0, 1)

    def _resting(self, groups: int, count: int, neurons: int, like: Tensor) -> Tensor:
        """What each neuron's output is multiplied with: 1, or, in training, 0 or 1 / (1 - dropout)."""
        ones = like.new_ones(groups, count, neurons)
        return nn.functional.dropout(ones, self.dropout, self.training)


class _Direction(nn.Module):
    """The weights of one direction; rows of the first layer are gate by gate."""

    def __init__(self, inputs: int, width: int, hidden: Sequence[int]) -> None:
        super().__init__()
        sizes = [*hidden, width]
        self.from_input = nn.Linear(inputs, GATES * sizes[0])
        self.from_state = nn.Linear(width, GATES * sizes[0], bias=False)
        self.deeper = nn.ModuleList(
            nn.ModuleList(nn.Linear(fan_in, fan_out) for _ in range(GATES))
            for fan_in, fan_out in pairwise(sizes)
        )
        self.depth = len(hidden)
        self._begin(width)

    def gates(self, depth: int) -> list[nn.Linear]:
        """The four gates' layers above that many hidden ones, less the first."""
        return [gate for gate in self.deeper[depth].children() if isinstance(gate, nn.Linear)]

    def _begin(self, width: int) -> None:
        """Weights that neither fade nor swell what passes (He et al. 2015); a new memory holds what it has."""
        first = (self.from_input, self.from_state)
        fan_in = sum(layer.in_features for layer in first)
        for layer in first:
            nn.init.normal_(layer.weight, std=((2.0 if self.depth else 1.0) / fan_in) ** 0.5)
        for depth in range(self.depth):
            gain = 1.0 if depth == self.depth - 1 else 2.0
            for gate in self.gates(depth):
                nn.init.normal_(gate.weight, std=(gain / gate.in_features) ** 0.5)
                nn.init.zeros_(gate.bias)
        nn.init.zeros_(self.from_input.bias)
        with torch.no_grad():  # the gate that forgets is open (Jozefowicz et al. 2015)
            forget = self.gates(-1)[1].bias if self.depth else self.from_input.bias[width:2 * width]
            forget.fill_(1.0)


def _places(frames: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """(T, N) where each frame stands in the mirrored sequence (its own inverse), and (T, N, 1) which are there."""
    count, steps = frames.shape[:2]
    if lengths is None:
        lengths = torch.full((count,), steps)
    if lengths.shape != (count,) or (count and not 1 <= int(lengths.min()) <= int(lengths.max()) <= steps):
        raise InputError(f"Lengths are {count} numbers in [1, {steps}]; given: {lengths.tolist()}.")
    step = torch.arange(steps, device=frames.device)[:, None]
    mirrored = lengths.to(frames.device)[None] - 1 - step
    return torch.where(mirrored < 0, step, mirrored), (mirrored >= 0)[..., None].to(frames.dtype)


class _Recurrence(torch.autograd.Function):
    """The loop over time: (D, T, N, 4 k) from the frames -> states (D, T, N, width).

    Shapes: D directions, T steps, N sequences, k neurons of a gate's first layer; recurrent (D, 4 k, width); for each
    deeper layer what rests (4 D, N, fan_in), then weights (4 D, fan_out, fan_in) and biases (4 D, fan_out). Steps stand
    behind what is multiplied together, so that all steps of it are one matrix.
    """

    @staticmethod
    def forward(ctx: Any, driven: Tensor, recurrent: Tensor, depth: int, *rest: Tensor) -> Tensor:
        sides, steps, count, _ = driven.shape
        width = recurrent.shape[2]
        keep, weights, biases = rest[:depth], rest[depth::2], rest[depth + 1::2]
        to_hidden = recurrent.transpose(1, 2)
        onward = [weight.transpose(1, 2) for weight in weights]
        offsets = [bias[:, None] for bias in biases]
        state = cell = driven.new_zeros(sides, count, width)
        states = driven.new_empty(sides, steps, count, width)
        cells = torch.empty_like(states)
        gates = driven.new_empty(sides, GATES, steps, count, width)
        hidden = [driven.new_empty(len(k), steps, *k.shape[1:]) for k in keep]
        for t in range(steps):
            flow = torch.baddbmm(driven[:, t], state, to_hidden).view(sides, count, GATES, -1).transpose(1, 2)
            for layer in range(depth):
                active = nn.functional.leaky_relu(flow, SLOPE).reshape(keep[layer].shape)
                rested = torch.mul(active, keep[layer], out=hidden[layer][:, t])
                flow = torch.baddbmm(offsets[layer], rested, onward[layer]).view(sides, GATES, count, -1)
            gate = torch.sigmoid(flow, out=gates[:, :, t])
            torch.tanh(flow[:, 2], out=gate[:, 2])
            cell = torch.addcmul(gate[:, 1] * cell, gate[:, 0], gate[:, 2], out=cells[:, t])
            state = torch.mul(gate[:, 3], cell.tanh(), out=states[:, t])
        ctx.depth = depth
        ctx.save_for_backward(recurrent, *rest, states, cells, gates, *hidden)
        return states

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> Any:
        depth = ctx.depth
        recurrent, *saved = ctx.saved_tensors
        keep, weights = saved[:depth], saved[depth:3 * depth:2]
        states, cells, gates, *hidden = saved[3 * depth:]
        sides, steps, count, width = states.shape
        first = recurrent.shape[1] // GATES
        by_cell, by_output, by_state = _slopes(gates, cells)
        driven = states.new_empty(sides, steps, count, GATES * first)
        errors = [states.new_empty(sides, GATES, steps, count, weight.shape[1]) for weight in weights]
        at_gates = errors[-1] if depth else driven.view(sides, steps, count, GATES, width).permute(0, 3, 1, 2, 4)
        to_cell = torch.zeros_like(states[:, 0])
        to_state = incoming[0][:, -1]
        for t in reversed(range(steps)):
            to_cell = torch.addcmul(to_cell, to_state, by_state[:, t])
            error = at_gates[:, :, t]
            torch.mul(to_cell[:, None], by_cell[:, :, t], out=error[:, :3])
            torch.mul(to_state, by_output[:, t], out=error[:, 3])
            for layer in reversed(range(depth)):
                error = torch.bmm(error.flatten(0, 1), weights[layer])
                error = torch.ops.aten.leaky_relu_backward(error, hidden[layer][:, t], SLOPE, True).mul_(keep[layer])
                error = error.view(sides, GATES, count, -1)
                if layer:
                    errors[layer - 1][:, :, t] = error
                else:
                    driven[:, t].view(sides, count, GATES, first).copy_(error.transpose(1, 2))
            if t:
                to_state = torch.baddbmm(incoming[0][:, t - 1], driven[:, t], recurrent)
                to_cell = to_cell * gates[:, 1, t]
        later = driven[:, 1:].reshape(sides, (steps - 1) * count, GATES * first)
        earlier = states[:, :-1].reshape(sides, (steps - 1) * count, width)
        grads: list[Tensor | None] = [None] * depth
        for layer in range(depth):
            fall = errors[layer].view(GATES * sides, steps * count, -1)
            grads += [fall.transpose(1, 2) @ hidden[layer].flatten(1, 2), fall.sum(1)]
        return (driven, later.transpose(1, 2) @ earlier, None, *grads)


def _slopes(gates: Tensor, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of all steps at once: by the cell for gates i, f, g; by the state for gate o and for the cell."""
    enter, hold, new, leave = gates.unbind(1)
    squashed = cells.tanh()
    earlier = torch.cat([torch.zeros_like(cells[:, :1]), cells[:, :-1]], 1)
    by_cell = torch.stack([new * enter * (1 - enter), earlier * hold * (1 - hold), enter * (1 - new * new)], 1)
    return by_cell, squashed * leave * (1 - leave), leave * (1 - squashed * squashed)
