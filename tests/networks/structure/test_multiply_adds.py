"""What a network costs to ask, against counts by hand."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from engram.networks.strategies.growing_network import GrowingNetwork  # noqa: E402
from engram.networks.strategies.networks import lenet5, perceptron  # noqa: E402
from engram.networks.structure.h_lstm import HLSTM  # noqa: E402
from engram.networks.structure.masks import Masks  # noqa: E402
from engram.networks.structure.multiply_adds import multiply_adds  # noqa: E402

COUNTS = {
    "linear": (lambda: nn.Linear(4, 3), (4,), 12),
    "linear, for each vector of a sequence": (lambda: nn.Linear(4, 3), (7, 4), 7 * 12),
    "LeNet-300-100": (lambda: perceptron(784, [300, 100]), (784,), 784 * 300 + 300 * 100),
    "convolution": (lambda: nn.Conv2d(2, 3, 3), (2, 8, 6), 2 * 3 * 9 * 6 * 4),
    "with padding and stride": (lambda: nn.Conv2d(2, 3, 3, padding=1, stride=2), (2, 8, 6), 2 * 3 * 9 * 4 * 3),
    "in groups": (lambda: nn.Conv2d(4, 8, 3, groups=2), (4, 5, 5), 8 * 2 * 9 * 9),
    "over time": (lambda: nn.Conv1d(2, 3, 5), (2, 9), 2 * 3 * 5 * 5),
    "transposed": (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2), (2, 4, 5), 2 * 3 * 9 * 20),
    "LeNet-5": (lenet5, (1, 28, 28), 25 * 6 * 784 + 150 * 16 * 100 + 400 * 120 + 120 * 84),
    "LSTM": (lambda: nn.LSTM(3, 5, batch_first=True), (7, 3), 7 * 4 * 5 * (3 + 5)),
    "LSTM, time first": (lambda: nn.LSTM(3, 5), (7, 3), 7 * 4 * 5 * (3 + 5)),
    "two GRU layers, both ways": (lambda: nn.GRU(3, 5, 2, batch_first=True, bidirectional=True), (7, 3),
                                  7 * 2 * 3 * 5 * (3 + 5 + 10 + 5)),
    "H-LSTM": (lambda: HLSTM(3, 5, (6,), bidirectional=True), (7, 3), 7 * 2 * (4 * 6 * (3 + 5) + 4 * 6 * 5)),
    "H-LSTM in a network": (lambda: nn.Sequential(HLSTM(3, 5), nn.Linear(5, 2)), (7, 3), 7 * (4 * 5 * 8 + 10)),
    "nothing to multiply": (nn.ReLU, (4,), 0),
    "outputs before any label": (lambda: GrowingNetwork(nn.Linear(4, 3), (4,)), (4,), 12),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counted_by_hand(name):
    make, shape, expected = COUNTS[name]
    network = make()
    assert multiply_adds(network, shape) == expected
    assert all(not module._forward_hooks for module in network.modules())


def test_a_table_costs_nothing():
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.above = nn.Embedding(9, 4), nn.Linear(4, 2)

        def forward(self, words: torch.Tensor) -> torch.Tensor:
            return self.above(self.table(words.long()))

    assert multiply_adds(Words(), (3,)) == 3 * 8


def test_what_is_dormant_costs_nothing():
    network = lenet5()
    masks = Masks(network)
    for name, mask in masks.items():
        masks[name] = torch.rand(mask.shape) < 0.3
    live = [int(mask.sum()) for mask in masks.values()]
    assert multiply_adds(network, (1, 28, 28)) == live[0] * 784 + live[1] * 100 + live[2] + live[3]


def test_the_network_is_in_the_mode_it_was_in():
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2))
    network[2].eval()
    multiply_adds(network, (2,))
    assert [module.training for module in network.modules()] == [True, True, True, False]
    assert network[2].num_batches_tracked == 0
