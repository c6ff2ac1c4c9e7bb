"""What several senses say becomes one answer: compared with scikit-learn's regression and scipy's Fisher."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax
from scipy.stats import combine_pvalues

from engram.heads.fast import FastHead
from engram.heads.late_fusion import Evidence, Judged, OpinionPool

LABELS = ("cat", "dog", "owl")


def judged(noise: float, seed: int, labels: tuple[str, ...] = LABELS, each: int = 12) -> Judged:
    rng = np.random.default_rng(seed)
    truth = np.tile(np.arange(len(labels)), each)
    scores = 3 * np.eye(len(labels))[truth] + noise * rng.normal(size=(len(truth), len(labels)))
    return Judged(labels, truth, log_softmax(scores, axis=1))


def evidence(chances: list[list[float]], shares: list[float], labels: tuple[str, ...] = LABELS) -> Evidence:
    return Evidence(labels, np.log(np.array(chances)), np.array(shares), 0.02, 0.3, 0.02)


def test_the_powers_are_those_of_the_greatest_penalised_likelihood() -> None:
    senses = [judged(1.0, 0), judged(4.0, 1)]
    seen = np.stack([sense.log_chances for sense in senses])

    def loss(powers: np.ndarray) -> float:
        pooled = log_softmax(np.tensordot(powers, seen, 1), axis=1)
        return float(-pooled[np.arange(len(pooled)), senses[0].truth].sum() + 0.5 * np.square(powers - 1).sum())

    best = minimize(loss, np.ones(2), bounds=[(0, None)] * 2).x
    assert OpinionPool.fitted(senses).powers == pytest.approx(best, abs=1e-4)


def test_without_left_out_examples_the_product_rule_holds() -> None:
    empty = judged(1.0, 0)._replace(truth=np.zeros(0, int), log_chances=np.zeros((0, 3)))
    pool = OpinionPool.fitted([empty, judged(1.0, 1)])
    assert pool.powers == (1.0, 1.0)
    answer = pool.answer([evidence([[0.5, 0.3, 0.2]], [0.5]), evidence([[0.2, 0.7, 0.1]], [0.5])], LABELS)
    product = np.array([0.1, 0.21, 0.02])
    assert np.exp(answer.scores[0]) == pytest.approx(product / product.sum())
    assert answer.labels == ["dog"]


def test_a_thing_is_known_by_fishers_method() -> None:
    shares = np.array([[0.03, 0.001, 0.9], [0.03, 0.9, 0.9]])
    senses = [evidence([[0.8, 0.1, 0.1]] * 3, some.tolist()) for some in shares]
    answer = OpinionPool((1.0, 1.0)).answer(senses, LABELS)
    combined = [combine_pvalues(pair, method="fisher").pvalue for pair in shares.T]
    assert np.exp(answer.familiarity) * 0.02 == pytest.approx(combined)
    assert answer.known.tolist() == [bool(value >= 0.02) for value in combined] == [False, False, True]


def test_a_label_that_one_sense_never_met_is_answered_where_that_sense_finds_the_thing_strange() -> None:
    labels = (*LABELS, "bat")
    for share, answered in ((0.001, "bat"), (0.6, "cat")):
        seen = evidence([[0.6, 0.2, 0.2]], [share])
        heard = evidence([[0.25, 0.1, 0.05, 0.6]], [0.7], labels)
        assert OpinionPool((1.0, 1.0)).answer([seen, heard], labels).best == [answered]


def test_a_view_says_how_probable_labels_are_and_how_many_known_things_are_stranger() -> None:
    rng = np.random.default_rng(0)
    centres = 4 * np.eye(6)[:4]
    head = FastHead(normalise=False, step=0.01, scaled=False)
    truth = np.tile(np.arange(4), 40)
    head.learn(centres[truth] + rng.normal(size=(160, 6)), truth.tolist())
    asked = centres[truth] + rng.normal(size=(160, 6))
    view = head.view()
    answers = view.predict(asked)
    said = view.evidence(answers, head.alpha)
    assert np.exp(said.log_chances).max(axis=1) == pytest.approx(answers.confidence)
    assert ((said.shares >= head.alpha) == answers.known).all()
    quantiles = np.quantile(said.shares, [0.1, 0.5, 0.9])
    assert quantiles == pytest.approx([0.1, 0.5, 0.9], abs=0.2)
