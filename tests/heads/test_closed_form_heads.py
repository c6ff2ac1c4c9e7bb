"""Heads in closed form against independent references: scikit-learn, scipy, and slow obvious loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.heads.fast import FastHead
from engram.heads.nearest_class_mean import NearestClassMean
from engram.heads.nearest_neighbors import NearestNeighbors
from engram.heads.ranpac import RanPAC
from engram.heads.ridge import Ridge, Spectrum
from engram.heads.streaming_lda import StreamingLDA, oas
from engram.learner import CapacityError, DamagedError, InputError, MeldError, NotTaughtError

STEP = 2.0**-10


def blobs(per_class, width=6, seed=0):
    """Vectors on the grid of the step, so that quantising them changes nothing."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(width, width)) / np.sqrt(width)
    labels = np.repeat(np.arange(len(per_class)), per_class)
    vectors = 0.6 * rng.normal(size=(len(per_class), width))[labels] + rng.normal(size=(len(labels), width)) @ mixing
    order = rng.permutation(len(labels))
    return np.round(vectors[order] / STEP) * STEP, labels[order]


@pytest.fixture(scope="module")
def data():
    return blobs([40, 40, 40, 40])


@pytest.fixture(scope="module")
def uneven():
    return blobs([60, 25, 10, 5], seed=1)


def scores(head, vectors, classes=4):
    return head.predict(vectors, among=range(classes)).scores


def test_nearest_class_mean_answers_like_nearest_centroid(uneven):
    reference = pytest.importorskip("sklearn.neighbors").NearestCentroid()
    vectors, labels = uneven
    head = NearestClassMean(step=STEP, normalise=False)
    head.learn(vectors, labels)
    probes = np.random.default_rng(1).uniform(-2, 2, (200, 6))
    rounded = np.round(probes / STEP) * STEP
    assert head.predict(probes).best == reference.fit(vectors, labels).predict(rounded).tolist()


def test_its_scores_are_squared_distances(data):
    distance = pytest.importorskip("scipy.spatial.distance")
    vectors, labels = data
    head = NearestClassMean(step=STEP, normalise=False)
    head.learn(vectors, labels)
    means = np.stack([vectors[labels == c].mean(0) for c in range(4)])
    np.testing.assert_allclose(scores(head, vectors), -distance.cdist(vectors, means, "sqeuclidean"), atol=1e-12)


@pytest.mark.parametrize("shrinkage", [1e-4, 0.1, 1.0])
def test_streaming_lda_is_linear_discriminant_analysis(data, shrinkage):
    module = pytest.importorskip("sklearn.discriminant_analysis")
    vectors, labels = data
    head = StreamingLDA(shrinkage, step=STEP, normalise=False)
    for start in range(0, len(labels), 7):
        head.learn(vectors[start : start + 7], labels[start : start + 7])
    reference = module.LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(vectors, labels)
    expected = reference.decision_function(vectors)
    ours = scores(head, vectors)
    np.testing.assert_allclose(ours - ours[:, :1], expected - expected[:, :1], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(head.predict(vectors).confidence, reference.predict_proba(vectors).max(1), rtol=1e-7)


def test_the_oracle_shrinkage_is_that_of_scikit_learn(data):
    covariance = pytest.importorskip("sklearn.covariance")
    centred = data[0] - data[0].mean(0)
    empirical = centred.T @ centred / len(centred)
    assert oas(empirical, len(centred)) == pytest.approx(covariance.oas(centred, assume_centered=True)[1])


def test_streaming_lda_follows_the_recursion_of_the_paper_when_classes_are_known(data):
    """Welford's recursion for one mean per class and one shared scatter, example by example."""
    vectors, labels = data
    means, counts, scatter = np.zeros((4, 6)), np.zeros(4), np.zeros((6, 6))
    for x, c in zip(vectors, labels, strict=True):
        counts[c] += 1
        delta = x - means[c]
        means[c] += delta / counts[c]
        scatter += np.outer(delta, x - means[c])
    head = StreamingLDA(step=STEP, normalise=False)
    head.learn(vectors, labels)
    np.testing.assert_allclose(head.sums.scatter() * STEP**2, scatter, atol=1e-10)


@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_ridge_is_ridge_regression_on_one_hot_targets(uneven, penalty):
    linear_model = pytest.importorskip("sklearn.linear_model")
    vectors, labels = uneven
    head = Ridge(penalty, step=STEP, normalise=False)
    head.learn(vectors[:30], labels[:30])
    head.learn(vectors[30:], labels[30:])
    reference = linear_model.Ridge(alpha=penalty).fit(vectors, np.eye(4)[labels])
    np.testing.assert_allclose(scores(head, vectors), reference.predict(vectors), atol=1e-9)


def test_ridge_is_recursive_least_squares(data):
    """Sherman-Morrison, example by example, without an intercept: what RanPAC's read-out amounts to."""
    vectors, labels = data
    inverse, weights = np.eye(6) / 0.5, np.zeros((6, 4))
    for x, c in zip(vectors, labels, strict=True):
        gain = inverse @ x / (1 + x @ inverse @ x)
        weights += np.outer(gain, np.eye(4)[c] - x @ weights)
        inverse -= np.outer(gain, x @ inverse)

    class WithoutIntercept(Ridge):
        intercept = False

    head = WithoutIntercept(0.5, step=STEP, normalise=False)
    head.learn(vectors, labels)
    np.testing.assert_allclose(scores(head, vectors), vectors @ weights, atol=1e-9)


@pytest.mark.parametrize("penalty", [0.03, 3.0, 300.0])
def test_generalised_cross_validation_equals_its_definition(uneven, penalty):
    """From the hat matrix of the examples themselves, which the head never keeps."""
    vectors, labels = uneven
    count, targets = len(labels), np.eye(4)[labels]
    centred, residuals = vectors - vectors.mean(0), targets - targets.mean(0)
    hat = centred @ np.linalg.solve(centred.T @ centred + penalty * np.eye(6), centred.T) + 1.0 / count
    error = ((targets - hat @ targets) ** 2).sum() / count / (1 - np.trace(hat) / count) ** 2
    spectrum = Spectrum.of(centred.T @ centred, centred.T @ residuals, (residuals**2).sum(), count, 1)
    assert spectrum.error(penalty) == pytest.approx(error)
    assert spectrum.freedom(penalty) == pytest.approx(1 - np.trace(hat) / count)


def test_the_chosen_penalty_is_about_the_best_by_leave_one_out():
    rng = np.random.default_rng(3)
    vectors = np.round(rng.normal(size=(60, 40)) / STEP) * STEP
    labels = (vectors[:, 0] + 0.8 * rng.normal(size=60) > 0).astype(int)
    head = Ridge(step=STEP, normalise=False)
    head.learn(vectors, labels)
    head.rebuild()
    chosen = head._spectrum.best() * STEP**2

    def left_out(penalty):
        errors = 0.0
        for i in range(60):
            rest = np.arange(60) != i
            mean, base = vectors[rest].mean(0), np.eye(2)[labels[rest]].mean(0)
            centred = vectors[rest] - mean
            weights = np.linalg.solve(
                centred.T @ centred + penalty * np.eye(40), centred.T @ (np.eye(2)[labels[rest]] - base)
            )
            errors += ((np.eye(2)[labels[i]] - base - (vectors[i] - mean) @ weights) ** 2).sum()
        return errors

    grid = 10.0 ** np.arange(-4, 4.0, 0.5)
    assert left_out(chosen) <= 1.02 * min(map(left_out, grid))


def test_ranpac_is_ridge_on_its_random_features(data):
    vectors, labels = data
    head = RanPAC(units=50, penalty=0.7, length=2.0, seed=3, step=STEP, normalise=False)
    head.learn(vectors, labels)
    weights = np.rint(np.random.RandomState(3).standard_normal((6, 50)) * 2**8) / 2**8
    hidden = np.round(np.maximum(vectors @ weights / 2.0, 0) * 2**10) / 2**10
    expected = hidden @ np.linalg.solve(hidden.T @ hidden + 0.7 * np.eye(50), hidden.T @ np.eye(4)[labels])
    np.testing.assert_allclose(scores(head, vectors), expected, atol=1e-7)


def test_random_features_separate_what_no_line_does():
    rng = np.random.default_rng(0)
    vectors = rng.uniform(-1, 1, (600, 2))
    labels = (vectors[:, 0] * vectors[:, 1] > 0).astype(int)
    accuracy = {}
    for head in (Ridge(normalise=False), RanPAC(units=100, length=1.0, normalise=False)):
        head.learn(vectors[:400], labels[:400])
        accuracy[type(head)] = np.mean(np.array(head.predict(vectors[400:]).best) == labels[400:])
    assert accuracy[RanPAC] > 0.95 > 0.7 > accuracy[Ridge]


EXACT = [NearestClassMean, StreamingLDA, Ridge, lambda **kw: RanPAC(units=20, **kw)]


@pytest.mark.parametrize("make", EXACT, ids=["ncm", "slda", "ridge", "ranpac"])
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 6))
@settings(max_examples=15, deadline=None)
def test_any_splitting_melding_and_unlearning_ends_in_the_same_bits(make, seed, parts):
    rng = np.random.default_rng(seed)
    vectors, labels = rng.uniform(-1.9, 1.9, (40, 5)), rng.integers(0, 4, 40)
    whole = make(normalise=False)
    whole.learn(vectors, labels)
    devices = []
    for share in np.array_split(rng.permutation(40), parts):
        devices.append(make(normalise=False))
        devices[-1].learn(vectors[share], labels[share])
    extra, extra_labels = rng.uniform(-1.9, 1.9, (7, 5)), rng.integers(2, 6, 7)
    melded = make(normalise=False)
    melded.learn(extra, extra_labels)
    for device in devices:
        melded.meld(device)
    melded.forget(extra, extra_labels)
    assert melded.digest() == whole.digest()
    order = [melded.labels.index(label) for label in whole.labels]
    np.testing.assert_array_equal(melded.sums.sums[order], whole.sums.sums)
    np.testing.assert_array_equal(melded.sums.gram(), whole.sums.gram())


def test_examples_that_were_not_taught_cannot_be_forgotten():
    head = StreamingLDA(normalise=False)
    head.learn([[1.0, 0.0], [0.0, 1.0]], ["a", "b"])
    before = head.digest()
    for vector, label in (([1.0, 0.5], "a"), ([[1.0, 0.0], [1.0, 0.0]], "a"), ([1.0, 0.0], "c")):
        with pytest.raises(NotTaughtError):
            head.forget(vector, label)
    assert head.digest() == before


def test_other_settings_cannot_be_melded():
    one, two = StreamingLDA(0.1), StreamingLDA(0.2)
    two.learn([1.0, 0.0], "a")
    with pytest.raises(MeldError, match="same settings"):
        one.meld(two)


def test_values_beyond_the_exact_range_are_refused_with_the_remedy():
    head = Ridge(normalise=False)
    with pytest.raises(InputError, match="larger step"):
        head.learn([[20.0, 0.0]], "a")
    assert head.labels == ()
    head.learn([[1.0, 0.0]], "a")
    head.sums.total = 2**27
    with pytest.raises(CapacityError):
        head.learn([[1.0, 0.0]], "a")


@pytest.mark.parametrize(
    "options",
    [(StreamingLDA, {"shrinkage": 0.0}), (StreamingLDA, {"shrinkage": "auto"}), (Ridge, {"penalty": -1.0}),
     (RanPAC, {"units": 0})],
)  # fmt: skip
def test_settings_without_sense_are_refused(options):
    with pytest.raises(InputError):
        options[0](**options[1])


@pytest.mark.parametrize("make", [NearestClassMean, StreamingLDA, Ridge, RanPAC])
def test_one_example_of_one_label_is_enough_to_answer(make):
    head = make()
    head.learn([0.6, 0.8], "only")
    answer = head.predict([0.0, 1.0])[0]
    assert (answer.label, answer.confidence) == ("only", 1.0)


@pytest.mark.parametrize(
    ("make", "worst"), [(NearestClassMean, 0.15), (StreamingLDA, 0.05), (Ridge, 0.06), (RanPAC, 0.12)]
)
def test_confidence_is_calibrated(make, worst):
    """Of the answers given with a confidence near p, a share near p is right."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 10)) * 0.08
    labels = rng.integers(0, 5, 6000)
    vectors = np.clip(centres[labels] + 0.12 * rng.normal(size=(6000, 10)), -2, 2)
    head = make(normalise=False, **({"units": 300, "length": 0.4} if make is RanPAC else {}))
    head.learn(vectors[:2000], labels[:2000])
    answers = head.predict(vectors[2000:])
    right, sure = np.array(answers.best) == labels[2000:], answers.confidence
    bins = np.minimum((sure * 10).astype(int), 9)
    gaps = [abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist())]
    assert 0.4 < right.mean() < 0.95, "neither trivial nor hopeless"
    assert sum(gaps) < worst


@pytest.mark.parametrize("make", [FastHead, NearestClassMean, StreamingLDA])
@pytest.mark.parametrize("value", [np.inf, np.nan, 0.5, 2.0**60])
def test_a_state_of_anything_but_exact_integers_is_refused(make, value):
    head = make()
    head.learn([[0.6, 0.8], [0.8, 0.6]], ["one", "other"])
    for name in ("counts", "sums"):
        state = head.state()
        state[name] = state[name].copy()
        state[name][0] = value
        with pytest.raises(DamagedError):
            make.from_state(state)


@pytest.mark.parametrize("make", [NearestClassMean, NearestNeighbors])
def test_the_label_that_was_never_taught_is_named(make):
    head = make()
    head.learn([[0.6, 0.8], [0.8, 0.6]], ["one", "other"])
    with pytest.raises(NotTaughtError, match="'third'"):
        head.forget([[0.6, 0.8], [0.8, 0.6]], ["one", "third"])
