"""Pruning, against selections made the slow way; recoverable pruning never cuts a neuron off."""

from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from masked_networks import convolutional, grouped, linear, masked_at_random, networks, pattern  # noqa: E402
from torch import nn  # noqa: E402

from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.growing_network import OutputLayer  # noqa: E402
from engram.networks.structure import pruning  # noqa: E402
from engram.networks.structure.masks import Masks  # noqa: E402

FEW = settings(max_examples=25, deadline=None)
CHAINS = ("linear", "convolutional", "grouped")


def columns(masks: Masks, name: str, below: str) -> list[list[tuple[int, ...]]]:
    """For each neuron below, the places in the tensor of all it sends; one by one."""
    neurons, shape = len(masks[below]), masks[name].shape
    groups = getattr(masks.layer(name), "groups", 1)
    found: list[list[tuple[int, ...]]] = [[] for _ in range(neurons)]
    for place in (tuple(at.tolist()) for at in torch.ones(shape).nonzero()):
        channel = place[1] + place[0] // (shape[0] // groups) * shape[1]  # of all that the layer sees
        if masks[below].ndim > 2 and masks[name].ndim == 2:
            channel //= shape[1] // neurons  # flattened: a map after the other
        found[channel].append(place)
    return found


def ways(masks: Masks, scores: dict, chosen: dict) -> dict:
    """The chosen places, and the best live connection of every neuron that would be cut off, done one by one."""
    kept = {name: set(places) for name, places in chosen.items()}
    alive = {name: {tuple(at.tolist()) for at in mask.nonzero()} for name, mask in masks.items()}
    for name, places in kept.items():
        for row in range(len(masks[name])):
            own = [place for place in alive[name] if place[0] == row]
            if own and not any(place[0] == row for place in places):
                places.add(max(own, key=lambda place, name=name: scores[name][place]))
    names = list(masks)
    for below, name in pairwise(names):
        for sent in columns(masks, name, below):
            own = [place for place in sent if place in alive[name]]
            if own and not kept[name] & set(own):
                kept[name].add(max(own, key=lambda place, name=name: scores[name][place]))
    return kept


def parameters(masks: Masks, kept: dict) -> int:
    """Alive when these places are: with a bias for every neuron that has one."""
    biases = sum(len({place[0] for place in places}) for name, places in kept.items() if masks.bias(name) is not None)
    owners = [masks.weight(name) for name in masks] + [masks.bias(name) for name in masks]
    others = sum(p.numel() for p in masks.module.parameters() if not any(p is owner for owner in owners))
    return sum(map(len, kept.values())) + biases + others


def places(masks: Masks) -> dict:
    return {name: {tuple(at.tolist()) for at in mask.nonzero()} for name, mask in masks.items()}


def distinct(masks: Masks) -> dict:
    """Scores without ties."""
    total = sum(mask.numel() for mask in masks.values())
    drawn = (torch.randperm(total) + 1.0).split([mask.numel() for mask in masks.values()])
    return {name: part.view(masks[name].shape) for name, part in zip(masks, drawn, strict=True)}


@FEW
@given(networks(CHAINS), st.floats(0.2, 1), st.one_of(st.integers(0, 100), st.just(100)), st.booleans())
def test_the_smallest_percent_of_each_layer_goes(made, share, beta, recoverable):
    masks = masked_at_random(made[0], share)
    scores, before = distinct(masks), places(masks)
    expected = {}
    for name, alive in before.items():
        ordered = sorted(alive, key=lambda place, name=name: scores[name][place])
        expected[name] = set(ordered[beta * len(ordered) // 100:])
    if recoverable:
        expected = ways(masks, scores, expected)
    gone = pruning.prune_percentile(masks, beta, scores, recoverable=recoverable)
    assert places(masks) == expected
    assert gone == sum(map(len, before.values())) - sum(map(len, expected.values()))


@FEW
@given(networks(CHAINS), st.floats(0.2, 1), st.floats(0, 1.1), st.booleans())
def test_pruned_to_a_number_the_best_of_all_layers_stay_and_never_more(made, share, part, recoverable):
    masks = masked_at_random(made[0], share)
    scores, before, live = distinct(masks), places(masks), max(1, round(part * masks.total))
    kept = ways(masks, scores, {name: set() for name in masks}) if recoverable else {name: set() for name in masks}
    least = parameters(masks, kept)
    ordered = sorted(((scores[name][place].item(), name, place) for name in masks for place in before[name]
                      if place not in kept[name]), reverse=True)
    for _, name, place in ordered if masks.live > live else []:
        kept[name].add(place)
        if parameters(masks, kept) > live:
            kept[name].remove(place)
            break
    expected = before if masks.live <= live else kept
    pruning.prune_to(masks, live, scores, recoverable=recoverable)
    assert places(masks) == expected
    assert masks.live <= max(live, least)


@FEW
@given(networks(CHAINS), st.floats(0, 100), st.integers(1, 80))
def test_recoverable_pruning_cuts_no_neuron_off(made, beta, live):
    masks = Masks(made[0])
    for _ in range(3):
        pruning.prune_percentile(masks, beta)
        assert pruning.isolated(masks) == (0, 0)
    pruning.prune_to(masks, live)
    assert pruning.isolated(masks) == (0, 0)


@pytest.mark.parametrize("made", [lambda: linear([6, 5, 4, 3]), lambda: convolutional(3, 2, 4), grouped])
def test_what_is_cut_off_is_counted(made):
    masks = Masks(made())
    names = list(masks)
    for below, name in pairwise(names):
        for sent in columns(masks, name, below):
            before = pattern(masks)
            cut = masks[name].clone()
            for place in sent:
                cut[place] = 0
            masks[name] = cut
            lost = sum(not row.any() for row in cut.flatten(1))  # a depthwise filter has no other way in
            assert pruning.isolated(masks) == (lost, 1)
            for other, mask in before.items():
                masks[other] = mask
    masks[names[0]] = torch.cat([torch.zeros(1, *masks[names[0]].shape[1:]), masks[names[0]][1:]])
    assert pruning.isolated(masks) == (1, 0)


def test_not_recoverable_neurons_die_and_take_their_biases_along():
    torch.manual_seed(0)
    masks = Masks(linear([6, 20, 2]))
    pruning.prune_to(masks, 12, recoverable=False)
    assert masks.live <= 12
    assert pruning.isolated(masks).without_input > 0


@FEW
@given(networks(("linear", "convolutional", "grouped")))
def test_scores_are_scaled_by_the_energy_that_comes_in_over_all_uses_of_the_weight(made):
    network, inputs = made
    masks = Masks(network)
    scores = pruning.activation_scaled(masks, torch.split(inputs, 4), network)
    value = inputs
    for number, layer in enumerate(network):
        name = f"{number}.weight"
        if name in masks:
            weight = masks.weight(name).detach()
            seen = value if value.ndim == 2 else value.movedim(1, -1).flatten(0, -2)
            uses = layer(value)[0, 0].numel()
            size = (uses * seen.square().mean(0)).sqrt()
            groups = getattr(layer, "groups", 1)
            expected = torch.empty_like(weight)
            for row in range(len(weight)):
                for column in range(weight.shape[1]):
                    channel = row // (len(weight) // groups) * weight.shape[1] + column
                    expected[row, column] = weight[row, column].abs() * size[channel]
            assert torch.allclose(scores[name], expected, atol=1e-5)
        value = layer(value).detach()


def test_a_filter_ranks_with_a_dense_weight_by_what_its_loss_changes_in_the_output():
    """Of two weights that carry as much of what comes out, neither is ranked below the other for being shared."""
    shared, dense = nn.Conv1d(1, 1, 1, bias=False), nn.Linear(16, 1, bias=False)
    nn.init.ones_(shared.weight)
    nn.init.ones_(dense.weight)
    inputs = torch.ones(8, 1, 16)
    of_shared = pruning.activation_scaled(Masks(shared), [inputs], shared)["weight"]
    of_dense = pruning.activation_scaled(Masks(dense), [inputs[:, 0]], dense)["weight"]
    assert of_shared.item() == pytest.approx(of_dense.square().sum().sqrt().item())


class Twice(nn.Module):
    """One layer on either half of what comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(3, 2)

    def forward(self, inputs):
        return self.shared(inputs[:, 0]) + self.shared(inputs[:, 1])


class TimeFirst(nn.Module):
    """One layer on every step of sequences whose steps stand before the examples."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(3, 2)

    def forward(self, inputs):
        return self.shared(inputs.transpose(0, 1)).transpose(0, 1)


@pytest.mark.parametrize("make", [Twice, TimeFirst])
@pytest.mark.parametrize("examples", [2, 32])
def test_uses_are_counted_for_an_example_however_many_there_are_and_wherever_they_stand(make, examples):
    module, inputs = make(), torch.ones(examples, 2, 3)
    scores = pruning.activation_scaled(Masks(module), torch.split(inputs, 2), module)
    assert torch.allclose(scores["shared.weight"], module.shared.weight.abs() * 2**0.5)


def test_a_network_without_hidden_neurons_has_none_alive():
    assert pruning.hidden_alive(Masks(nn.Linear(3, 2))).tolist() == []


def test_layers_that_are_not_asked_or_recurrent_count_by_magnitude_and_no_hook_stays():
    lstm = nn.LSTM(3, 4, batch_first=True)
    masks = Masks(lstm)
    scores = pruning.activation_scaled(masks, [torch.randn(2, 5, 3)], lstm)
    assert torch.equal(scores["weight_hh_l0"], lstm.weight_hh_l0.abs())
    outputs = nn.ModuleDict({"outputs": OutputLayer(2)})
    outputs["outputs"].grow(["a"])
    scaled = pruning.activation_scaled(Masks(outputs), [torch.tensor([[3.0, 0.0]])], outputs["outputs"])
    assert torch.allclose(scaled["outputs.weight"], outputs["outputs"].weight.abs() * torch.tensor([3.0, 0.0]))
    layer = nn.Linear(2, 2)
    with pytest.raises(RuntimeError):
        pruning.activation_scaled(Masks(layer), [torch.randn(1, 3)], layer)
    assert not layer._forward_hooks


def test_weights_in_another_memory_layout_are_pruned_too():
    network = convolutional(3, 2, 4).to(memory_format=torch.channels_last)
    masks = Masks(network)
    pruning.prune_to(masks, 60)
    pruning.prune_percentile(masks, 50)
    assert pruning.isolated(masks) == (0, 0)


@pytest.mark.parametrize("beta", [-1, 101, float("nan")])
def test_a_percentile_that_is_none_is_refused(beta):
    with pytest.raises(InputError, match="beta"):
        pruning.prune_percentile(Masks(linear([2, 2])), beta)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 1000), st.integers(1, 1000))
def test_the_cubic_schedule_falls_all_the_way_fast_first(one, two, start, more):
    early, late = sorted((one, two))
    end = start
    assert pruning.cubic(0, start + more, end) == start + more
    assert pruning.cubic(1.5, start + more, end) == end
    assert pruning.cubic(early, start + more, end) >= pruning.cubic(late, start + more, end)
    assert pruning.cubic(0.5, start + more, end) == pytest.approx(end + more / 8)


def test_a_hidden_neuron_is_alive_with_a_way_in_and_a_way_out():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.Flatten(), torch.nn.Linear(12, 2))
    masks = Masks(network)
    names = list(masks)
    filters, outputs = masks[names[0]].clone(), masks[names[1]].clone()
    filters[0] = 0  # no way in
    outputs[:, 4:8] = 0  # no way out for the second filter, whose map has four places
    masks[names[0]], masks[names[1]] = filters, outputs
    assert pruning.hidden_alive(masks).tolist() == [False, False, True]


@FEW
@given(networks(CHAINS), st.floats(0.1, 1))
def test_no_recoverable_network_is_smaller_than_the_fewest(made, share):
    masks = masked_at_random(made[0], share)
    fewest = pruning.fewest(masks)
    pruning.prune_to(masks, 1)
    assert fewest <= masks.live
    assert pruning.fewest(masks) == fewest


def test_two_neurons_that_one_connection_joins_are_served_by_it():
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    masks = Masks(network)
    assert pruning.fewest(masks) == 2 + 2 + 4  # and the biases
    network[1].weight.data = torch.eye(2)
    pruning.prune_to(masks, 1)
    assert masks.live == 8


@pytest.mark.parametrize("live", [0, -3])
def test_a_network_without_parameters_is_refused(live):
    masks = Masks(nn.Linear(3, 2))
    with pytest.raises(InputError, match="live must be at least 1"):
        pruning.prune_to(masks, live)
    assert masks.live == 8
