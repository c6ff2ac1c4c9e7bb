"""Several labels for one input: exact as the head whose memory it shares, and beside scikit-learn's one-vs-rest."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score, label_ranking_average_precision_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from engram.checks import laws, learner_checks
from engram.heads.multilabel import MultiLabelHead
from engram.heads.multilabel.label_sets import one_set
from engram.learner import InputError, LabelError

NAMES = np.array(["red", "round", "small", "soft", "sweet"])


def head() -> MultiLabelHead:
    return MultiLabelHead(step=2.0**-10, normalise=False)


def drawn(count: int, seed: int, noise: float = 0.6) -> tuple[np.ndarray, list[list[str]]]:
    """Inputs in which each label moves a direction of its own, and the labels that hold."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(0).normal(size=(5, 8))
    holds = rng.random((count, 5)) < 0.4
    holds[~holds.any(axis=1), 0] = True
    inputs = holds @ directions + noise * rng.normal(size=(count, 8))
    return inputs, [NAMES[row].tolist() for row in holds]


LAWS = [check for check in learner_checks(counts=(30,)) if check.test is not laws.bad_input]
"""All but the one that has a pair of labels refused."""


@pytest.mark.parametrize("check", LAWS, ids=str)
def test_it_keeps_the_laws_of_a_learner(check) -> None:  # type: ignore[no-untyped-def]
    check(lambda: MultiLabelHead(step=2.0**-12, normalise=False))


def test_order_batches_melding_and_forgetting_of_sets_of_labels_end_in_the_same_sha256() -> None:
    inputs, labels = drawn(60, 1)
    whole, parts, other = head(), head(), head()
    whole.learn(inputs, labels)
    for place in reversed(range(30)):
        parts.learn(inputs[place], labels[place][::-1])
    other.learn(inputs[30:], labels[30:])
    parts.meld(other)
    assert parts.digest() == whole.digest()
    before = whole.digest()
    more, sets = drawn(10, 2)
    whole.learn(more, sets)
    whole.forget(more, sets)
    assert whole.digest() == before
    asked = drawn(20, 3)[0]
    assert np.allclose(whole.predict(asked).scores, _in_order(parts, whole.single_labels, asked), atol=1e-6)


def _in_order(one: MultiLabelHead, labels: tuple, asked: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    return one.predict(asked, among=labels).scores


def test_the_linear_scores_are_those_of_a_ridge_regression_onto_0_and_1() -> None:
    inputs, labels = drawn(200, 4)
    one = head()
    one.learn(inputs, labels)
    judged = one.view().judged  # type: ignore[attr-defined]
    rows = one.quantise(inputs)
    features = judged.features(rows)
    truth = np.array([[name in some for name in one.single_labels] for some in labels], float)
    rival = Ridge(alpha=judged.fit.penalty).fit(features, truth)
    asked = drawn(50, 5)[0]
    mine = judged.fit.answer(judged.features(one.quantise(asked)), np.zeros(50))[0]
    assert mine == pytest.approx(rival.predict(judged.features(one.quantise(asked))), abs=1e-6)


def test_it_is_as_good_as_one_versus_the_rest_by_others() -> None:
    inputs, labels = drawn(150, 6)
    asked, truth = drawn(600, 7)
    binarizer = MultiLabelBinarizer(classes=NAMES).fit(labels)
    wanted = binarizer.transform(truth)
    one = head()
    one.learn(inputs, labels)
    answers = one.predict(asked, among=NAMES.tolist())
    mine = f1_score(wanted, answers.holding, average="micro")
    rivals = []
    for model in (OneVsRestClassifier(LogisticRegression(max_iter=1000)), KNeighborsClassifier(5)):
        model.fit(inputs, binarizer.transform(labels))
        rivals.append(f1_score(wanted, model.predict(asked), average="micro"))
    assert mine >= max(rivals) - 0.01
    assert label_ranking_average_precision_score(wanted, answers.scores) > 0.9


def test_the_chances_are_as_often_right_as_they_say() -> None:
    one = head()
    one.learn(*drawn(300, 8, noise=1.5))
    asked, truth = drawn(1000, 9, noise=1.5)
    answers = one.predict(asked, among=NAMES.tolist())
    chances = 1 / (1 + np.exp(-answers.scores))
    holds = np.array([[name in some for name in NAMES] for some in truth])
    for low in (0.0, 0.25, 0.5, 0.75):
        some = (chances >= low) & (chances < low + 0.25)
        assert holds[some].mean() == pytest.approx(chances[some].mean(), abs=0.08)


def test_what_is_far_from_all_is_nothing_i_know() -> None:
    one = head()
    one.learn(*drawn(100, 1))
    answers = one.predict([np.full(8, 7.0), drawn(1, 2)[0][0]])
    assert answers.known.tolist() == [False, True]
    assert answers.label_sets[0] == ()
    assert str(answers[0]) == "Nothing I know"


def test_labels_of_an_input_are_sorted_and_said_once() -> None:
    assert one_set(["b", "a", "a"]) == one_set("a;b") == one_set({"b", "a"}) == "a; b"
    for bad in ([], [3, 4], ["a", 3]):
        with pytest.raises(LabelError):
            one_set(bad)
    with pytest.raises(LabelError, match="2 lists of labels for 1 inputs"):
        head().learn([[1.0, 2.0]], [["a"], ["b"]])
    with pytest.raises(InputError, match="those that do"):
        head().learn_not([1.0], "a")
