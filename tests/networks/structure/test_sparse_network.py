"""Sparse execution gives the masked network's answers, whichever kernel runs, and says no to what does not fit."""

from __future__ import annotations

import ctypes
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.learner import InputError
from engram.networks.structure import sparse_packing as packing
from engram.networks.structure.sparse_choice import WIDTHS, candidates
from engram.networks.structure.sparse_layers import Convolution, Flatten, Linear, Pool
from engram.networks.structure.sparse_library import library
from engram.networks.structure.sparse_network import SparseNetwork

compiled = pytest.mark.skipif(library() is None, reason="there is no C compiler here")


def sparse_matrix(rng: np.random.Generator, shape: tuple[int, ...], density: float) -> np.ndarray:
    """Of a size that keeps activations about 1."""
    weight = np.where(rng.random(shape) < density, rng.normal(size=shape), 0)
    return (weight / max(1.0, np.sqrt(density * np.prod(shape[1:])))).astype(np.float32)


def chain(seed: int, widths: list[int], density: float, slope: float) -> list[Linear]:
    rng = np.random.default_rng(seed)
    pairs = itertools.pairwise(widths)
    return [Linear(sparse_matrix(rng, (b, a), density), rng.normal(size=b).astype(np.float32), slope) for a, b in pairs]


def reference(layers: list[Linear], x: np.ndarray) -> np.ndarray:
    """In double precision, written independently."""
    y = x.astype(np.float64).reshape(len(x), -1)
    for layer in layers:
        y = np.einsum("ni,oi->no", y, layer.weight.astype(np.float64)) + layer.bias
        y[y < 0] *= layer.slope
    return y


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    widths=st.lists(st.integers(1, 90), min_size=2, max_size=4),
    density=st.sampled_from([0.0, 0.01, 0.08, 0.3, 0.7, 1.0]),
    slope=st.sampled_from([0.0, 0.01, 1.0, 1.5]),
    counts=st.lists(st.integers(1, 200), min_size=2, max_size=3),
)
def test_a_chain_of_linear_layers_gives_the_answers_of_dense_arithmetic(seed, widths, density, slope, counts):
    layers = chain(seed, widths, density, slope)
    network = SparseNetwork(layers)
    for count in [1, *counts]:
        x = np.random.default_rng(seed).normal(size=(count, widths[0])).astype(np.float32)
        expected = reference(layers, x)
        for _ in range(2):  # the second call finds the first one's place to work in
            np.testing.assert_allclose(network(x), expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


@compiled
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shape", [(300, 784), (1, 1), (17, 33), (64, 64), (5, 2500)])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.5])
def test_every_kernel_gives_the_same_layer(width, shape, density):
    kernels = library()
    rng = np.random.default_rng(0)
    layer = Linear(sparse_matrix(rng, shape, density), rng.normal(size=shape[0]).astype(np.float32), 0.01)
    forms = {name: pack() for name, pack in candidates(layer, width, kernels.lanes).items()}
    forms |= {"dense": packing.dense(layer, width), "rows": packing.rows(layer, width),
              "panels": packing.rows(layer, width, span=100)}
    for name, form in forms.items():
        x = packing.aligned((shape[1], width))
        x[...] = rng.normal(size=x.shape)
        y, scratch = packing.aligned((shape[0], width)), packing.aligned(16 * (shape[0] // 16 + 1))
        place = (x.ctypes.data, y.ctypes.data, scratch.ctypes.data)
        kernels.repeat(ctypes.addressof(form.struct), width, *place, 2)
        np.testing.assert_allclose(y.T, reference([layer], x.T), rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_row_and_a_column_without_weights_and_a_layer_without_any():
    weight = np.zeros((40, 70), np.float32)
    weight[3, 60] = 2
    layers = [Linear(weight, np.arange(40, dtype=np.float32)), Linear(np.zeros((7, 40)), np.full(7, -2.0), slope=0.5)]
    x = np.ones((20, 70), np.float32)
    assert SparseNetwork(layers[:1])(x)[:, 3].tolist() == [5.0] * 20
    assert (SparseNetwork(layers)(x) == -1).all()
    assert SparseNetwork(layers).live == 1


@compiled
def test_each_layer_gets_the_kernel_that_was_measured_fastest():
    network = SparseNetwork(chain(0, [200, 100, 10], 0.2, 0.01))
    assert [(choice.shape, choice.width) for choice in network.choices] == [
        (shape, width) for width in WIDTHS for shape in ((100, 200), (10, 100))
    ]
    for choice in network.choices:
        assert choice.microseconds[choice.kernel] == min(choice.microseconds.values()) > 0
        assert len(choice.microseconds) > 1
        assert str(choice) in network.explain()


@compiled
def test_the_same_weights_get_the_same_kernels_again_and_so_the_same_bits():
    layers = chain(1, [300, 120, 10], 0.1, 0.01)
    x = np.random.default_rng(0).normal(size=(77, 300)).astype(np.float32)
    one, other = SparseNetwork(layers), SparseNetwork(layers)
    assert one.choices == other.choices
    assert (one(x) == other(x)).all()


@pytest.mark.parametrize("count", [1, 3, 70])
def test_numpy_alone_gives_the_same_answers(count):
    layers = [Convolution(sparse_matrix(np.random.default_rng(0), (4, 1, 3, 3), 0.5)), Pool("maximum", slope=0.01),
              *chain(2, [4 * 6 * 6, 30, 5], 0.2, 0.01)]
    x = np.random.default_rng(1).normal(size=(count, 1, 14, 14)).astype(np.float32)
    plain = SparseNetwork(layers, (1, 14, 14), compiled=False)
    assert "numpy" in plain.explain()
    assert plain.choices == ()
    np.testing.assert_allclose(SparseNetwork(layers, (1, 14, 14))(x), plain(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("use_kernels", [True, False])
def test_inputs_may_have_any_real_dtype_and_layout(use_kernels):
    layers = chain(3, [50, 20, 4], 0.3, 0.01)
    network = SparseNetwork(layers, compiled=use_kernels)
    whole = np.random.default_rng(0).integers(-5, 5, (66, 100))
    x = whole[::2, ::2]
    expected = reference(layers, x)
    for inputs in (x, x.astype(np.float64), x.astype(np.float32), np.asfortranarray(x, dtype=np.float32), x.tolist(),
                   x.astype(">f4"), whole.astype(np.float32)[::2, ::2], x.astype(np.int8)):
        for _ in range(2):
            np.testing.assert_allclose(network(inputs), expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(network(inputs[:1]), expected[:1], rtol=1e-5, atol=1e-5)
    assert network(x[:0]).shape == (0, 4)
    assert (network(x != 0) == network((x != 0).astype(float))).all()


@pytest.mark.parametrize("use_kernels", [True, False])
@pytest.mark.parametrize(
    "inputs", [np.zeros(50), np.zeros((2, 49)), np.zeros((2, 50, 1)), 3.0, np.zeros((1, 50), complex), [["a"] * 50],
               [[1.0], [1.0, 2.0]], None, np.zeros((0, 49))],
)
def test_inputs_of_another_shape_or_kind_are_refused(inputs, use_kernels):
    network = SparseNetwork(chain(4, [50, 4], 0.3, 1.0), compiled=use_kernels)
    with pytest.raises(InputError):
        network(inputs)


@pytest.mark.parametrize("count", [1, 8, 16, 40, 128])
def test_an_input_that_is_no_number_is_forgotten_with_its_answer(count):
    rng = np.random.default_rng(0)
    below = np.zeros((7, 64), np.float32)
    below[:, 40:50] = rng.normal(size=(7, 10)) * (rng.random((7, 10)) < 0.5)  # nothing reads the first columns
    above = rng.normal(size=(3, 7)).astype(np.float32)
    layers = [Linear(below, np.zeros(7, np.float32), 0.01), Linear(above, np.zeros(3, np.float32), 1.0)]
    network = SparseNetwork(layers, (64,))
    inputs = rng.normal(size=(count, 64)).astype(np.float32)
    answers = network(inputs)
    spoilt = inputs.copy()
    spoilt[2 % count] = np.nan
    network(spoilt)
    np.testing.assert_array_equal(network(inputs), answers)


def test_what_comes_out_is_the_callers_own():
    network = SparseNetwork(chain(5, [30, 3], 0.5, 1.0))
    rng = np.random.default_rng(0)
    for count in (1, 9, 600):
        x = rng.normal(size=(2, count, 30)).astype(np.float32)
        first = network(x[0])
        kept = first.copy()
        network(x[1])
        assert (first == kept).all()


def test_threads_may_ask_the_same_network_at_once():
    layers = chain(6, [200, 90, 10], 0.1, 0.01)
    network = SparseNetwork(layers)
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(count, 200)).astype(np.float32) for count in (1, 2, 5, 33, 70, 128) * 20]
    expected = [network(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for out, wanted in zip(pool.map(network, batches), expected, strict=True):
            assert (out == wanted).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: SparseNetwork([]),
        lambda: SparseNetwork([Linear(np.ones((3, 4))), Linear(np.ones((2, 5)))]),
        lambda: SparseNetwork([Linear(np.ones((3, 4))), Pool("maximum")]),
        lambda: SparseNetwork([Linear(np.ones((3, 16))), Convolution(np.ones((1, 1, 2, 2)))]),
        lambda: SparseNetwork([Convolution(np.ones((1, 1, 2, 2)))]),
        lambda: SparseNetwork([Convolution(np.ones((1, 1, 5, 5)))], (1, 4, 4)),
        lambda: SparseNetwork([Convolution(np.ones((1, 2, 3, 3)))], (1, 8, 8)),
        lambda: SparseNetwork([Linear(np.ones((3, 4)))], (5,)),
        lambda: SparseNetwork([Linear(np.ones((3, 4)))], (0, 4)),
        lambda: Linear(np.ones(3)),
        lambda: Linear(np.ones((3, 4)), np.ones(4)),
        lambda: Linear(np.full((3, 4), np.nan)),
        lambda: Linear(np.ones((3, 4)), slope=-1),
        lambda: Convolution(np.ones((3, 1, 2, 2)), groups=2),
        lambda: Pool("median"),  # type: ignore[arg-type]
    ],
)
def test_layers_that_fit_neither_each_other_nor_the_input_are_refused(make):
    with pytest.raises(InputError):
        make()


def test_a_network_may_end_in_maps_flattened_or_not():
    layers = [Convolution(np.ones((2, 1, 3, 3)))]
    x = np.ones((3, 1, 5, 5), np.float32)
    assert (SparseNetwork(layers, (1, 5, 5))(x) == np.full((3, 2, 3, 3), 9)).all()
    assert (SparseNetwork([*layers, Flatten()], (1, 5, 5))(x) == np.full((3, 18), 9)).all()
