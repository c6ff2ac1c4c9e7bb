"""Compact tensors: live weights alone, back to the same; what does not fit is refused."""

import io

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from masked_networks import masked_at_random, networks  # noqa: E402

from engram.networks.structure.masks import compact, expand  # noqa: E402

FEW = settings(max_examples=25, deadline=None)


def arrays(network: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


@FEW
@given(networks(), st.floats(0, 1))
def test_expanded_everything_is_as_it_was(made, share):
    masked_at_random(made[0], share)
    before = arrays(made[0])
    small = compact(before)
    after = expand(small)
    assert after.keys() == before.keys()
    for name, array in before.items():
        assert after[name].dtype == array.dtype
        assert np.array_equal(after[name], array)
    made[0].load_state_dict({name: torch.from_numpy(array) for name, array in after.items()})
    for array in small.values():
        array.fill(1)
    assert all(np.array_equal(array, arrays(made[0])[name]) for name, array in before.items())  # copies


def test_bytes_are_those_of_live_values_and_a_bit_for_each_connection():
    network = torch.nn.Linear(100, 80)
    masks = masked_at_random(network, 0.1)
    live = int(masks["weight"].sum())
    small = compact(arrays(network))
    assert sum(array.nbytes for array in small.values()) == 4 * live + 1000 + 2 * 8 + 4 * 80
    file = io.BytesIO()
    np.savez(file, **small)
    assert file.tell() < 4 * 8000 / 4


def test_names_that_look_like_parts_or_masks_are_left_alone():
    tensors = {"prompt.values": np.ones(3), "prompt.shape": np.arange(2), "attention": np.ones((2, 2)),
               "attention_mask": np.zeros(5), "lonely_mask": np.ones(2)}
    small = compact(tensors)
    assert small.keys() == tensors.keys()
    assert all(np.array_equal(array, tensors[name]) for name, array in expand(small).items())
    assert expand(small).keys() == tensors.keys()


def good() -> dict[str, np.ndarray]:
    mask = np.array([[1, 0, 1], [0, 0, 1]], np.float32)
    return compact({"w": mask * 3, "w_mask": mask})


@pytest.mark.parametrize("damage", [
    {"w.values": np.ones(2, np.float32)}, {"w.values": np.ones(1, np.float32)}, {"w.values": np.float32(1)},
    {"w.values": np.ones((3, 1), np.float32)}, {"w.shape": np.array([3, 4])}, {"w.shape": np.array([-2, -3])},
    {"w.shape": np.array([2**40, 2**40])}, {"w.shape": np.array([9])}, {"w.shape": np.array([3])},
    {"w.alive": np.zeros(0, np.uint8)}, {"w.alive": np.array([255], np.uint8)}, {"w.alive": np.array([1.0])},
    {"w.alive": np.array([[164]], np.uint8)}, {"w.shape": np.array(["a", "b"])},
])
def test_parts_that_do_not_fit_are_refused(damage):
    assert np.array_equal(expand(good())["w"], [[3, 0, 3], [0, 0, 3]])
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        expand(good() | damage)


@pytest.mark.parametrize("part", ["w.values", "w.shape"])
def test_parts_that_are_missing_are_refused(part):
    with pytest.raises(KeyError):
        expand({name: array for name, array in good().items() if name != part})
