"""Every head, wrapped, is a scikit-learn classifier by scikit-learn's own checks."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from engram.heads import HEADS
from engram.heads.nearest_class_mean import NearestClassMean
from engram.heads.regression import Regressor
from engram.heads.scikit_learn import HeadClassifier, HeadRegressor
from engram.learner import InputError

CLASSIFIERS = [name for name in HEADS if name != "good_parts"]  # which is taught good pictures alone
SMALL = {"ranpac": {"units": 100}, "k_winners_take_all": {"units": 500}}


OWN_TEMPERATURE = "each input has its own confidence, so scores and probabilities may order inputs differently"
NOT_MET = {
    "nearest_class_mean": {"check_decision_proba_consistency": OWN_TEMPERATURE},
    "k_winners_take_all": {"check_decision_proba_consistency": OWN_TEMPERATURE},
    "fuzzy_artmap": {"check_decision_proba_consistency": OWN_TEMPERATURE},
    "online_prototypes": {
        "check_decision_proba_consistency": OWN_TEMPERATURE,
        "check_sample_weight_equivalence_on_dense_data": "its prototypes depend on the order of examples",
    },
}


def not_met(estimator):
    return NOT_MET.get(estimator.head, {}) if isinstance(estimator, HeadClassifier) else {}


@parametrize_with_checks([HeadRegressor(), *(HeadClassifier(name, SMALL.get(name)) for name in CLASSIFIERS)],
                         expected_failed_checks=not_met)
def test_scikit_learn_accepts(estimator, check):
    check(estimator)


def test_probabilities_have_the_confidence_of_the_head_and_strangers_are_told_on_request():
    rng = np.random.default_rng(0)
    vectors, names = rng.normal(size=(90, 3)) + np.repeat(np.eye(3) * 6, 30, axis=0), np.repeat(["a", "b", "c"], 30)
    model = HeadClassifier(unknown="nothing").fit(vectors, names)
    found, answers = model.predict_proba(vectors), model.head_.predict(model._standardised(vectors))
    assert np.allclose(found.sum(axis=1), 1)
    assert np.allclose(found.max(axis=1), answers.confidence, atol=1e-6)
    assert (model.classes_[found.argmax(axis=1)] == HeadClassifier().fit(vectors, names).predict(vectors)).all()
    assert model.predict([[60.0, -60.0, 60.0]]).tolist() == ["nothing"]
    assert not model.known([[60.0, -60.0, 60.0]]).any()


def test_weights_are_counts_and_a_regressor_gives_intervals():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(50, 2))
    numbers = vectors @ [1.0, 2.0]
    weights = rng.integers(0, 3, 50)
    weighted = HeadRegressor().fit(vectors, numbers, weights)
    repeated = HeadRegressor().fit(np.repeat(vectors, weights, axis=0), np.repeat(numbers, weights))
    assert weighted.head_.digest() == repeated.head_.digest()
    assert isinstance(weighted.head_, Regressor)
    low, high = weighted.predict_interval(vectors).T
    assert ((low < high) & (low <= weighted.predict(vectors)) & (weighted.predict(vectors) <= high)).all()
    assert HeadRegressor().fit(vectors, vectors).predict(vectors[:3]).shape == (3, 2)
    for wrong in ([0.5] * 50, [-1] * 50):
        with pytest.raises(InputError, match="whole numbers"):
            HeadClassifier().fit(vectors, numbers > 0, wrong)
    assert HeadClassifier().fit(vectors, numbers > 0).predict(vectors[:1]).dtype == bool


@pytest.fixture(scope="module")
def digits():
    return train_test_split(*load_digits(return_X_y=True), test_size=0.4, random_state=0)


# floors a few points below what each reaches, so that a broken one is noticed
FLOORS = {
    "fast": 92, "nearest_class_mean": 87, "streaming_lda": 93, "ridge": 90, "ranpac": 95, "nearest_neighbors": 95,
    "hopfield": 94, "k_winners_take_all": 82, "fuzzy_artmap": 90, "online_prototypes": 92,
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_digits_are_learned(name, digits):
    train, test, train_labels, test_labels = digits
    options = {"ranpac": {"units": 500}}.get(name)
    model = HeadClassifier(name, options).fit(train, train_labels)
    assert 100 * model.score(test, test_labels) >= FLOORS[name]


def test_new_classes_may_come_with_any_batch(digits):
    train, test, train_labels, test_labels = digits
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    model = HeadClassifier("streaming_lda")
    for digit in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7):
        chosen = train_labels == digit
        model.partial_fit(train[chosen], names[train_labels[chosen]])
    assert list(model.classes_) == sorted(names)
    assert model.score(test, names[test_labels]) > 0.85


def test_announced_classes_are_never_answered_before_they_come():
    model = HeadClassifier("ridge").partial_fit([[0.0], [1.0]], [1, 2], classes=[0, 1, 2])
    assert model.decision_function([[0.0]]).shape == (1, 3)
    assert set(model.predict([[-5.0], [0.0], [1.0], [5.0]])) == {1, 2}


def test_it_works_in_a_pipeline_and_survives_copying(digits):
    train, test, train_labels, _ = digits
    model = make_pipeline(StandardScaler(), HeadClassifier(NearestClassMean)).fit(train, train_labels)
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict(test) == model.predict(test)).all()
    assert again[-1].head_.digest() == model[-1].head_.digest()


def test_an_answer_for_the_unknown_leaves_the_classes_their_type():
    rng = np.random.default_rng(0)
    X, y = np.concatenate([rng.normal(size=(20, 2)), rng.normal(size=(20, 2)) + 9]), np.repeat([0, 1], 20)
    model = HeadClassifier(unknown="?").fit(X, y)
    assert model.predict([[0.0, 0.0], [900.0, -900.0]]).tolist() == [0, "?"]
    assert model.predict([[0.0, 0.0]]).dtype == object
    assert HeadClassifier(unknown=-1).fit(X, y).predict(X).dtype == y.dtype
    with pytest.raises(InputError, match="unknown=0 is also a class"):
        HeadClassifier(unknown=0).fit(X, y)
    with pytest.raises(InputError, match="unknown=2"):
        HeadClassifier(unknown=2).fit(X, y).partial_fit(X[:1], [2])
