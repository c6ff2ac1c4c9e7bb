# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from engram.features.backbones.onnx import open_session
from engram.features.pretraining.onnx_network import to_onnx
from engram.features.pretraining.weight_quantisation import quantised, rounded
from engram.learner import DamagedError, InputError

# A training that ran in this process before has switched subnormal numbers off.
WEIGHTS = st.floats(-100, 100, width=32, allow_subnormal=False)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.BatchNorm2d(32), torch.nn.ReLU(),
        torch.nn.Conv2d(32, 64, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(64, 48),
    ).eval()


def answers(content, images):
    return open_session(content, 1).run(None, {"images": images})[0]


def test_the_file_shrinks_to_about_a_quarter_and_gives_nearly_the_same_features(network):
    exact = to_onnx(network, (3, 24, 24))
    small = quantised(exact)
    assert len(small) < 0.35 * len(exact)
    images = np.random.default_rng(0).normal(size=(5, 3, 24, 24)).astype(np.float32)
    before, after = answers(exact, images), answers(small, images)
    assert 0 < np.abs(after - before).max() < 0.03 * np.abs(before).max()


def test_it_computes_exactly_what_the_rounded_weights_would(network):
    exact = to_onnx(network, (3, 24, 24))
    images = np.random.default_rng(1).normal(size=(3, 3, 24, 24)).astype(np.float32)
    fused = torch.nn.utils.fusion.fuse_conv_bn_eval(network[0], network[1])
    by_hand = torch.nn.Sequential(fused, *network[2:])
    state = by_hand.state_dict()
    for name, value in state.items():
        if value.ndim > 1 and value.numel() >= 1024:
            whole, scale = rounded(value.numpy())
            state[name] = torch.from_numpy(whole * scale.reshape(-1, *[1] * (value.ndim - 1)))
    by_hand.load_state_dict(state)
    with torch.no_grad():
        expected = by_hand(torch.from_numpy(images)).numpy()
    assert np.abs(answers(quantised(exact), images) - expected).max() < 1e-4 * np.abs(expected).max()


@settings(max_examples=100, deadline=None)
@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=4, max_side=6), elements=WEIGHTS))
def test_no_weight_is_off_by_more_than_half_a_step(weights):
    whole, scale = rounded(weights)
    shaped = scale.reshape(-1, *[1] * (weights.ndim - 1))
    assert whole.dtype == np.int8
    assert np.abs(whole.astype(int)).max() <= 127
    assert (np.abs(whole * shaped - weights) <= shaped * 0.5001).all()


def test_nothing_to_quantise_and_no_network_are_refused():
    small = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 2))
    with pytest.raises(InputError, match="no weights"):
        quantised(to_onnx(small, (3,)))
    with pytest.raises(DamagedError):
        quantised(b"\x08\xff")
