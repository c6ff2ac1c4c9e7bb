"""What is kept comes back as nearly as its codec says, takes the bytes it says, and is saved with it."""

import numpy as np
import pytest
from scipy.cluster.vq import vq
from sklearn.cluster import KMeans

from engram.learner import DamagedError, InputError
from engram.networks.memory import ClassBalanced, Reservoir
from engram.networks.memory.codecs import CODECS, Half, Product, make
from engram.networks.memory.product_quantiser import ProductQuantiser, k_means, nearest
from engram.networks.memory.ranked import Ranked

RNG = np.random.default_rng(0)
PICTURES = (RNG.normal(size=(400, 3)) @ RNG.normal(size=(3, 24)) + 0.1 * RNG.normal(size=(400, 24))).astype(np.float32)
PICTURES = PICTURES.reshape(400, 4, 6)
LABELS = np.arange(400) % 3
SPECS = {"raw": {}, "half": {}, "product": {"pieces": 5, "centroids": 32}}


@pytest.mark.parametrize("rule", [Reservoir, ClassBalanced, Ranked])
@pytest.mark.parametrize("name", SPECS)
def test_a_buffer_with_any_codec_keeps_inputs_with_their_labels_and_comes_back_from_its_state(rule, name):
    buffer = rule(60, make(name, **SPECS[name]))
    buffer.add(np.random.default_rng(1), PICTURES[:200], LABELS[:200])
    twin = rule.from_state(buffer.state())
    for one in (buffer, twin):
        one.add(np.random.default_rng(2), PICTURES[200:], LABELS[200:])
    inputs, targets, weights = buffer.draw(50, np.random.default_rng(3))
    assert all(np.array_equal(mine, theirs) for mine, theirs in
               zip((inputs, targets, weights), twin.draw(50, np.random.default_rng(3)), strict=True))
    assert inputs.shape == (50, 4, 6)
    assert inputs.dtype == np.float32
    away = np.square(inputs[:, None] - PICTURES).sum(axis=(2, 3))
    assert (LABELS[away.argmin(axis=1)] == targets).all() or name == "product"
    assert away.min(axis=1).mean() <= {"raw": 0.0, "half": 1e-4, "product": 0.3 * PICTURES.var() * 24}[name]
    assert twin.nbytes == buffer.nbytes


def test_codes_take_the_bytes_they_say():
    sizes = {}
    for name, settings in SPECS.items():
        buffer = Reservoir(100, make(name, **settings))
        buffer.add(RNG, PICTURES, LABELS)
        sizes[name] = buffer.nbytes - buffer.columns[1].nbytes
    assert sizes == {"raw": 100 * 24 * 4, "half": 100 * 24 * 2, "product": 100 * 5 + 5 * 32 * 5 * 4}


def test_half_precision_is_that_of_numpy_and_refuses_what_it_cannot_hold():
    assert np.array_equal(Half().decode(Half().encode(PICTURES)), PICTURES.astype(np.float16).astype(np.float32))
    for bad in (np.full((1, 2), 1e5, np.float32), np.zeros((1, 2), np.int64)):
        with pytest.raises(InputError):
            Half().encode(bad)


def test_each_vector_gets_the_code_of_the_centroid_that_is_nearest_piece_by_piece():
    vectors = PICTURES.reshape(400, 24)
    quantiser = ProductQuantiser.fit(vectors, RNG, pieces=4, centroids=20)
    codes = quantiser.encode(vectors)
    expected = [vq(vectors[:, 6 * i : 6 * i + 6], quantiser.codebooks[i])[0] for i in range(4)]
    assert np.array_equal(codes, np.stack(expected, axis=1))
    assert np.allclose(quantiser.decode(codes)[7, 6:12], quantiser.codebooks[1, codes[7, 1]])
    assert np.array_equal(quantiser.encode(quantiser.decode(codes)), codes), "what was decoded has the same code"


def test_k_means_ends_about_where_scikit_learn_does():
    errors = []
    for seed in range(5):
        own = k_means(PICTURES.reshape(400, 24), 12, np.random.default_rng(seed), 100)
        rows = PICTURES.reshape(400, 24)
        errors.append(np.square(rows - own[nearest(rows, own)]).sum())
    theirs = KMeans(12, n_init=5, random_state=0).fit(PICTURES.reshape(400, 24)).inertia_
    assert min(errors) <= 1.02 * theirs
    assert np.mean(errors) <= 1.15 * theirs


def test_k_means_ends_at_a_fixed_point_of_lloyds_steps():
    rows = PICTURES.reshape(400, 24)
    centroids = k_means(rows, 6, RNG, 500)
    own = nearest(rows, centroids)
    assert np.allclose(centroids, [rows[own == i].mean(axis=0) for i in range(6)], atol=1e-5)


def test_more_centroids_than_different_vectors_leave_no_error():
    rows = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    quantiser = ProductQuantiser.fit(rows, RNG, pieces=3, centroids=256)
    assert quantiser.codebooks.shape == (3, 12, 2)
    assert np.array_equal(quantiser.decode(quantiser.encode(rows)), rows)


@pytest.mark.parametrize("bad", [
    lambda: make("zip"), lambda: make("raw", pieces=3), lambda: Product(pieces=0), lambda: Product(centroids=257),
    lambda: Product().encode(PICTURES), lambda: Reservoir(3, Product(pieces=99)).add(RNG, PICTURES, LABELS),
    lambda: Reservoir(3, Product()).add(RNG, np.zeros((2, 30), np.int64), LABELS[:2]),
    lambda: ProductQuantiser.fit(PICTURES, RNG), lambda: ProductQuantiser.fit(PICTURES[0], RNG, iterations=0),
])
def test_what_cannot_be_kept_in_such_a_way_is_refused(bad):
    with pytest.raises(InputError):
        bad()
    assert set(CODECS) == set(SPECS)


def test_a_damaged_codec_is_refused():
    buffer = Reservoir(9, Product(pieces=4, centroids=8))
    buffer.add(RNG, PICTURES, LABELS)
    state = buffer.state()
    for name, value in {"codec.codebooks": np.full((4, 8, 6), np.nan, np.float32), "codec.shape": np.array([99, 99]),
                        "column0": np.full((9, 4), 200, np.uint8), "codec": np.zeros(3, np.uint8)}.items():
        with pytest.raises(DamagedError):
            Reservoir.from_state(state | {name: value})
