"""A speech recogniser after Deep Speech 2 (Amodei et al. 2016, arXiv 1512.02595), its recurrent layers H-LSTMs.

Convolutions in time, bidirectional recurrent layers, one output for each character and the blank of connectionist
temporal classification. Two things are of today: layers are normalised (Ba et al. 2016) with a way around those that
have one to go around, and every recurrent layer is heard through the same outputs while training (intermediate CTC:
Lee and Watanabe 2021, arXiv 2102.03216). Without them a thousand utterances take long to get anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engram.networks.structure.h_lstm import HLSTM, SLOPE

STRIDE = 2
REACH = 5  # frames that a filter sees


class DeepSpeech(nn.Module):
    """Frames of cepstra -> log-probabilities of symbols, a quarter as many.

    Args:
        inputs: values of a frame.
        symbols: the blank and the characters.
        channels: filters of both convolutions.
        width: units of each recurrent layer in each direction.
        hidden: of the gates; see `HLSTM`.
        layers: recurrent ones.
        dropout: share of the values between layers that rest while training.
        gate_dropout: share of the hidden neurons of the gates.

    >>> network = DeepSpeech(39, 28, channels=8, width=8, hidden=(6,))
    >>> heard, lengths = network(torch.zeros(2, 100, 39), torch.tensor([100, 41]))
    >>> heard.shape, lengths.tolist()
    (torch.Size([2, 25, 28]), [25, 11])
    """

    def __init__(
        self, inputs: int, symbols: int, channels: int = 96, width: int = 96, hidden: Sequence[int] = (96,),
        layers: int = 3, dropout: float = 0.1, gate_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(fan_in, channels, REACH, STRIDE, REACH // 2) for fan_in in (inputs, channels))
        self.entrance = nn.LayerNorm(channels)
        widths = [channels, *[2 * width] * layers]
        self.recurrent = nn.ModuleList(
            HLSTM(fan_in, width, hidden, bidirectional=True, dropout=gate_dropout) for fan_in in widths[:-1])
        self.norms = nn.ModuleList(nn.LayerNorm(2 * width) for _ in range(layers))
        self.outputs = nn.Linear(2 * width, symbols)
        self.dropout = dropout

    def forward(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the last layer hears: (N, T, symbols) log-probabilities and (N,) how many of the T count.

        Args:
            frames: (N, frames, inputs), zero beyond a recording's length.
            lengths: (N,) frames of each.
        """
        heard, lengths = self.listen(frames, lengths)
        return heard[-1], lengths

    def listen(self, frames: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """What every recurrent layer hears, the first one first; frames and lengths as in `forward`: their shape is
        that
        of (N, frames, inputs) and (N,)."""
        flow = frames.transpose(1, 2)
        for convolution in self.convolutions:
            flow = nn.functional.leaky_relu(convolution(flow), SLOPE)
            lengths = (lengths + STRIDE - 1) // STRIDE
            # What lies beyond the end stays silent, whatever else is in the batch.
            flow = flow * (torch.arange(flow.shape[2], device=flow.device) < lengths.to(flow.device)[:, None])[:, None]
        flow = self.entrance(flow.transpose(1, 2))
        heard = []
        for layer, norm in zip(self.recurrent, self.norms, strict=True):
            states = layer(self._rested(flow), lengths)
            flow = norm(states + flow if states.shape == flow.shape else states)
            heard.append(self.outputs(self._rested(flow)).log_softmax(2))
        return heard, lengths

    def _rested(self, flow: Tensor) -> Tensor:
        """Dropout of the same values during a whole recording (Gal and Ghahramani 2016)."""
        keep = flow.new_ones(len(flow), 1, flow.shape[2])
        return flow * nn.functional.dropout(keep, self.dropout, self.training)
