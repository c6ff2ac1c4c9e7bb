"""Units are born and die in any layer, and the function of the network stays."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from engram.learner import InputError  # noqa: E402
from engram.networks.structure.evaluation_mode import evaluating  # noqa: E402
from engram.networks.structure.neurogenesis import Wiring  # noqa: E402
from engram.networks.structure.unexplained import unexplained  # noqa: E402


class Residual(nn.Module):
    """Two convolutions that are added up, joined with a third, pooled over the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.norm, self.side = nn.BatchNorm2d(3), nn.Conv2d(1, 2, 1, bias=False)
        self.up, self.last = nn.ConvTranspose2d(5, 4, 2, stride=2), nn.Linear(4, 6)

    def forward(self, pictures: Any) -> Any:
        first = self.first(pictures).relu()
        joined = torch.cat([first + self.norm(self.second(first)), self.side(pictures)], dim=1)
        return functional.leaky_relu(self.last(self.up(joined).mean((2, 3))))


class Reading(nn.Module):
    """A recurrent layer over sequences, and what it says at the end."""

    def __init__(self, kind: str, **settings: Any) -> None:
        super().__init__()
        self.below = nn.Linear(3, 4)
        self.recurrent = getattr(nn, kind)(4, 5, batch_first=True, **settings)
        self.above = nn.Linear(10 if self.recurrent.bidirectional else 5, 2)

    def forward(self, sequences: Any) -> Any:
        outputs, _ = self.recurrent(torch.tanh(self.below(sequences)))
        return self.above(outputs[:, -1] + outputs.mean(1))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 7), nn.BatchNorm1d(7), nn.LeakyReLU(), nn.Linear(7, 5), nn.ReLU())


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.LeakyReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 1),
        nn.Flatten(), nn.Linear(12, 5), nn.Linear(5, 3))


CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "perceptron": (perceptron, (4, 4)), "convolutions": (convolutions, (1, 4, 4)), "residual": (Residual, (1, 4, 4)),
    "lstm": (lambda: Reading("LSTM", num_layers=2), (6, 3)),
    "gru": (lambda: Reading("GRU", bidirectional=True), (6, 3)),
    "rnn": (lambda: Reading("RNN", num_layers=2, bidirectional=True), (6, 3)),
}


def made(case: str) -> tuple[nn.Module, Any, Wiring]:
    torch.manual_seed(0)
    module, shape = CASES[case][0](), CASES[case][1]
    inputs = torch.randn(9, *shape)
    module.train()
    module(inputs)  # batch normalisation gathers statistics
    return module, inputs, Wiring(module, shape)


def asked(module: nn.Module, inputs: Any) -> Any:
    with evaluating(module), torch.no_grad():
        return module(inputs)


@pytest.mark.parametrize("case", CASES)
def test_the_function_stays_when_units_are_born_and_when_they_die(case: str) -> None:
    module, inputs, wiring = made(case)
    before, names = asked(module, inputs), list(wiring.units)
    units = dict(wiring.units)
    assert not wiring.refused
    grown = wiring.grow(dict.fromkeys(names[:-1], 2))
    assert torch.allclose(asked(module, inputs), before, atol=1e-5)
    assert all(wiring.units[name] > units[name] for name in names[:-1])
    assert grown.features.tolist() == list(range(before.shape[1]))
    dead = {name: [place for place, most in enumerate(found.tolist()) if place >= units[name] and most == 0]
            for name, found in wiring.contributions(inputs).items()}
    wiring.remove({name: gone for name, gone in dead.items() if gone})
    assert torch.allclose(asked(module, inputs), before, atol=1e-5)
    assert wiring.units[names[-2]] == units[names[-2]]


@pytest.mark.parametrize("case", CASES)
def test_new_weights_learn_from_the_first_step_and_old_ones_can_be_held(case: str) -> None:
    module, inputs, wiring = made(case)
    grown = wiring.grow(dict.fromkeys(list(wiring.units)[:-1], 2))
    at = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(2):
        optimiser.zero_grad()
        module(inputs).square().sum().backward()
        for name, born in grown.born.items():
            module.get_parameter(name).grad.mul_(born)
        optimiser.step()
    for name, born in grown.born.items():
        moved = module.get_parameter(name).detach() != at[name]
        assert not (moved & ~born).any()
        if born.any() and "weight" in name:  # a constant before batch normalisation gets no gradient
            assert moved[born].float().mean() > 0.3, name


def test_the_last_layers_units_are_told_to_whoever_takes_them() -> None:
    module, inputs, wiring = made("perceptron")
    before = asked(module, inputs)
    grown = wiring.grow({"4": 3})
    assert grown.features.tolist() == [0, 1, 2, 3, 4, -1, -1, -1]
    assert torch.equal(asked(module, inputs)[:, :5], before)
    gone = wiring.remove({"4": [1, 6]})
    assert gone.features.tolist() == [0, 2, 3, 4, 5, 7]


def test_layers_that_are_added_up_grow_together() -> None:
    _, _, wiring = made("residual")
    assert set(wiring.together("second")) == {"first", "second"}
    wiring.grow({"first": 1})
    assert wiring.units == {"first": 4, "second": 4, "side": 2, "up": 4, "last": 6}


def test_what_a_unit_contributes_is_the_most_it_adds_to_anything_above() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))
        module[0].bias.zero_()
        module[2].weight.copy_(torch.tensor([[1.0, 0.0, 5.0], [-4.0, 0.0, 5.0]]))
    found = Wiring(module, (2,)).contributions(torch.tensor([[1.0, 2.0], [3.0, 0.5]]))
    assert found["0"].tolist() == [12.0, 0.0, 0.0]


def test_a_network_takes_the_sizes_of_another() -> None:
    module, _, wiring = made("convolutions")
    wiring.resize({"0": 6, "6": 2})
    assert (module[0].out_channels, module[4].in_channels, module[6].out_features) == (6, 6, 2)
    with pytest.raises(InputError):
        wiring.resize({"0": 0})


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.own, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, rows: Any) -> Any:
        return self.last(self.own(rows) + rows)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Linear(4, 4)

    def forward(self, rows: Any) -> Any:
        return self.own(rows) if rows.sum() > 0 else rows


@pytest.mark.parametrize(("module", "name", "reason"), [
    (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)), "0", "layer_norm"),
    (nn.Sequential(nn.Linear(4, 4), nn.Softmax(1), nn.Linear(4, 2)), "0", "softmax"),
    (Sum(), "own", "inputs"),
    (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))), "0", "other parameters"),
    (nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Conv1d(4, 4, 1, groups=2), nn.Flatten()), "1", "groups"),
    (nn.Sequential(nn.Linear(4, 4)), "1", "no such layer"),
])
def test_a_layer_that_cannot_grow_is_named_with_the_reason(module: nn.Module, name: str, reason: str) -> None:
    wiring = Wiring(module, (4,))
    with pytest.raises(InputError, match=reason):
        wiring.grow({name: 1})


def test_a_module_that_cannot_be_followed_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be followed"):
        Wiring(Branching(), (4,))
    wiring = made("perceptron")[2]
    for wrong in ({"1": [7]}, {"1": list(range(7))}):
        with pytest.raises(InputError):
            wiring.remove(wrong)
    with pytest.raises(InputError):
        wiring.grow({"1": -1})


def test_the_units_a_layer_lacks_are_the_directions_that_it_does_not_carry() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 2, bias=False), nn.Flatten(), nn.Linear(16, 3))
    wiring = Wiring(module, (1, 3, 3))
    old = torch.randn(200, 1, 3, 3)
    with torch.no_grad():
        module[0].weight.copy_(torch.eye(4).view(4, 1, 2, 2))
        module[2].weight.copy_(torch.eye(16)[:3])
        basis = torch.eye(16)
        seen = functional.unfold(old, 2).flatten(1)
    lacking = unexplained(wiring, old, old, tolerance=1.01)
    assert lacking == {"0": 0, "2": 0}  # all four numbers of a patch are carried; what is not new is as ever
    louder = unexplained(wiring, 0.01 * old, old, tolerance=2.0, most=99)
    carried = torch.linalg.lstsq(seen[:, :3], seen).solution
    errors = seen - seen[:, :3] @ carried
    spread = torch.linalg.svdvals(errors).square()
    expected = next(k for k in range(17) if spread[k:].sum() <= 2e-4 * spread.sum() + 1e-6 * seen.square().sum())
    assert louder == {"0": 0, "2": expected}
    assert len(basis) > expected > 3
    assert unexplained(wiring, 0.01 * old, old, tolerance=2.0, most=2)["2"] == 2
