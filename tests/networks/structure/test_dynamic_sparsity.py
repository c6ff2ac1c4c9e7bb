"""Exchanging connections keeps their number; a random sparse network has the size asked for."""

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from masked_networks import masked_at_random, networks, pattern  # noqa: E402
from torch import nn  # noqa: E402

from engram.learner import InputError  # noqa: E402
from engram.networks.structure.dynamic_sparsity import exchange, sparsify  # noqa: E402
from engram.networks.structure.masks import Masks  # noqa: E402
from engram.networks.structure.pruning import isolated  # noqa: E402

FEW = settings(max_examples=25, deadline=None)


@FEW
@given(networks(), st.floats(0, 1), st.floats(0, 1))
def test_the_smallest_give_place_to_the_most_wanted_of_those_that_slept(made, density, share):
    masks = masked_at_random(made[0], density)
    wanted = {name: torch.randperm(mask.numel()).view(mask.shape).float() for name, mask in masks.items()}
    before, weights = pattern(masks), {name: masks.weight(name).detach().clone() for name in masks}
    moved = exchange(masks, share, wanted)
    total = 0
    for name, mask in masks.items():
        alive = before[name] != 0
        count = min(int(share * int(alive.sum())), int((~alive).sum()))
        left, woken = alive & (mask == 0), ~alive & (mask != 0)
        assert int(left.sum()) == int(woken.sum()) == count
        if count:
            stays = weights[name][alive & ~left].abs()
            assert not len(stays) or weights[name][left].abs().max() <= stays.min()
            passed = wanted[name][~alive & ~woken]
            assert not len(passed) or wanted[name][woken].min() >= passed.max()
        assert not masks.weight(name)[woken].any()
        assert torch.equal(masks.weight(name)[alive & ~left], weights[name][alive & ~left])
        total += count
    assert moved == total


@FEW
@given(networks(("linear", "convolutional", "grouped")), st.floats(0, 1))
def test_recoverably_exchanged_no_neuron_is_cut_off_and_their_number_stays(made, share):
    masks = Masks(made[0])
    sparsify(masks, masks.total // 2, torch.Generator().manual_seed(0))
    before = {name: int(mask.sum()) for name, mask in masks.items()}
    wanted = {name: torch.rand(mask.shape) for name, mask in masks.items()}
    exchange(masks, share, wanted, recoverable=True)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == before
    assert isolated(masks) == (0, 0)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InputError, match="share"):
        exchange(Masks(nn.Linear(2, 2)), share, {})


@FEW
@given(networks(), st.floats(0, 1.2), st.integers(0, 2**16))
def test_as_many_are_drawn_as_asked_for_and_no_neuron_is_cut_off(made, share, seed):
    masks = Masks(made[0])
    least = masks.total - sum(mask.numel() - len(mask) - mask.shape[1] for mask in masks.values())
    live = round(share * masks.total)
    sparsify(masks, live, torch.Generator().manual_seed(seed))
    jumps = sum(sum(mask.shape[:2]) * mask[0, 0].numel() for mask in masks.values())
    assert masks.live <= max(live, least)
    assert masks.live >= min(live, masks.total) - min(jumps, len(masks))
    assert isolated(masks) == (0, 0)


def test_layers_get_their_share_by_units_in_and_out_and_the_seed_decides():
    def drawn(seed: int) -> Masks:
        network = nn.Sequential(nn.Linear(300, 100, bias=False), nn.Linear(100, 50, bias=False))
        masks = Masks(network)
        sparsify(masks, 2750, torch.Generator().manual_seed(seed))
        return masks

    masks = drawn(0)
    assert [int(mask.sum()) for mask in masks.values()] == [2000, 750]  # 400 and 150 units, five times
    assert torch.equal(masks["0.weight"], drawn(0)["0.weight"])
    assert not torch.equal(masks["0.weight"], drawn(1)["0.weight"])
    assert 0.3 < masks["0.weight"][:, :150].sum() / 2000 < 0.7
