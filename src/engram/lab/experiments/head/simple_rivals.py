"""What a practitioner would put on the same features in ten lines: numpy and scikit-learn, none of our heads.

Every rival is fitted on few features and labels, and answers each question with a score for every class and with one
score of how known it looks, larger where it looks more known.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.inputs.vectors import unit_length
from engram.learner import FloatArray

RIDGE = 0.1
"""What share of a covariance's mean variance is added to its diagonal before it is inverted."""

NEIGHBOURS = 5
STRENGTHS = (1.0, 100.0)


class Answers(NamedTuple):
    """(N,) the labels that score highest, and (N,) how known each question looks."""

    best: npt.NDArray[Any]
    knownness: FloatArray


class Task(NamedTuple):
    """(N, D) features taught, (N,) their labels, (M, D) features asked, and what came with the backbone, if anything:
    the mean (D,) and the covariance within classes (D, D) of other features of its."""

    teach: FloatArray
    labels: npt.NDArray[Any]
    ask: FloatArray
    mean: FloatArray | None = None
    covariance: FloatArray | None = None


def open_set_rivals(task: Task) -> dict[str, Answers]:
    """Name -> answers of each way to tell known from unknown; features are brought to unit length first.

    The cosine to the class mean, raw, centred and whitened (by what was taught, and by the backbone's statistics); the
    largest logit and the energy of logistic regressions (Liu et al. 2020); the nearest and the mean of the nearest few
    taught (Sun et al. 2022); the distance relative to the background (Ren et al. 2021).
    """
    unit = task._replace(teach=unit_length(task.teach), ask=unit_length(task.ask))
    centre = unit.teach.mean(axis=0)
    found = {
        "cosine": by_cosine(unit, unit.teach, unit.ask),
        "cosine, centred": by_cosine(unit, unit.teach - centre, unit.ask - centre),
        "nearest": by_neighbours(unit, 1),
        "nearest few": by_neighbours(unit, NEIGHBOURS),
    }
    if unit.mean is not None and unit.mean.any():
        found["cosine, centred by backbone"] = by_cosine(unit, unit.teach - unit.mean, unit.ask - unit.mean)
    own = whitening(_within(unit))
    found["cosine, whitened"] = by_cosine(unit, (unit.teach - centre) @ own, (unit.ask - centre) @ own)
    found["relative distance"] = by_relative_distance(unit, own)
    if unit.covariance is not None:
        root = whitening(unit.covariance)
        moved = (unit.teach - centre) @ root, (unit.ask - centre) @ root
        found["cosine, whitened by backbone"] = by_cosine(unit, *moved)
    for strength in STRENGTHS:
        logits, classes = logistic(unit, strength)
        best = classes[logits.argmax(axis=1)]
        found[f"largest logit, C={strength:g}"] = Answers(best, logits.max(axis=1))
        found[f"energy, C={strength:g}"] = Answers(best, _log_sum(logits))
    return found


def class_means(rows: FloatArray, labels: npt.NDArray[Any]) -> tuple[FloatArray, npt.NDArray[Any]]:
    """(C, D) means and (C,) labels, sorted."""
    classes, places = np.unique(labels, return_inverse=True)
    belongs = np.eye(len(classes))[places]
    return (belongs.T @ rows) / belongs.sum(axis=0)[:, None], classes


def by_cosine(task: Task, teach: FloatArray, ask: FloatArray) -> Answers:
    """The cosine of (M, D) features to the class means of (N, D) taught ones."""
    means, classes = class_means(teach, task.labels)
    scores = unit_length(ask) @ unit_length(means).T
    return Answers(classes[scores.argmax(axis=1)], scores.max(axis=1))


def by_neighbours(task: Task, count: int) -> Answers:
    """The mean cosine to the nearest taught ones; the label that most of them have, of the nearest where they tie."""
    cosines = task.ask @ task.teach.T
    count = min(count, cosines.shape[1])
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    near = np.take_along_axis(cosines, order, axis=1)
    classes, places = np.unique(task.labels, return_inverse=True)
    votes = np.eye(len(classes))[places[order]].sum(axis=1)
    votes[np.arange(len(votes)), places[order[:, 0]]] += 0.5
    return Answers(classes[votes.argmax(axis=1)], near.mean(axis=1))


def by_relative_distance(task: Task, root: FloatArray) -> Answers:
    """How much nearer the nearest class mean is than the background, each in its own Gaussian's units; `root` (D, D)
    whitens within classes."""
    means, classes = class_means(task.teach, task.labels)
    centre = task.teach.mean(axis=0)
    spread = ((task.ask @ root)[:, None] - (means @ root)[None]) ** 2
    near = spread.sum(axis=2)
    around = ((task.ask - centre) @ whitening(_shrunk(task.teach - centre))) ** 2
    return Answers(classes[near.argmin(axis=1)], around.sum(axis=1) - near.min(axis=1))


def _within(task: Task) -> FloatArray:
    """The covariance within classes of what was taught."""
    means, classes = class_means(task.teach, task.labels)
    return _shrunk(task.teach - means[np.searchsorted(classes, task.labels)])


def _shrunk(residuals: FloatArray) -> FloatArray:
    """Their covariance as Ledoit and Wolf (2004) shrink it; the identity where they are all zero."""
    from sklearn.covariance import ledoit_wolf

    if not residuals.any():
        return np.eye(residuals.shape[1])
    covariance: FloatArray = ledoit_wolf(residuals, assume_centered=True)[0]
    return covariance


def whitening(covariance: FloatArray) -> FloatArray:
    """(D, D) root W of the inverse: rows times W have this covariance brought to the identity."""
    size = len(covariance)
    ridged = covariance + RIDGE * np.trace(covariance) / size * np.eye(size)
    root: FloatArray = np.linalg.inv(np.linalg.cholesky(ridged)).T
    return root


def logistic(task: Task, strength: float) -> tuple[FloatArray, npt.NDArray[Any]]:
    """(M, C) logits of a logistic regression and the (C,) labels, about the mean of what was taught and in units in
    which its variance sums to 1 (one number for all values, so that no value of no weight is blown up)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    centre = task.teach.mean(axis=0)
    scale = np.sqrt(max(((task.teach - centre) ** 2).sum(axis=1).mean(), 1e-12))
    model = LogisticRegression(C=strength, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # weak regularisation may stop at the limit
        model.fit((task.teach - centre) / scale, task.labels)
    logits = np.asarray(model.decision_function((task.ask - centre) / scale), np.float64)
    if logits.ndim == 1:
        logits = np.stack([-logits, logits], axis=1) / 2
    return logits, model.classes_


def _log_sum(logits: FloatArray) -> FloatArray:
    top = logits.max(axis=1)
    total: FloatArray = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return total


def read_out_rivals(task: Task) -> dict[str, npt.NDArray[Any]]:
    """Name -> (M,) labels of scikit-learn's classifiers, on the values as they are and standardised.

    Logistic regression at several strengths, LDA (with priors, and shrunk), the nearest class mean,
    ridge, and the nearest of those taught.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found: dict[str, npt.NDArray[Any]] = {}
    for name, make in dict(_classifiers(task)).items():
        for form, model in (("", make()), (", standardised", make_pipeline(StandardScaler(), make()))):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.simplefilter("ignore", RuntimeWarning)
                warnings.simplefilter("ignore", UserWarning)  # LDA says where values depend on each other
                found[name + form] = model.fit(task.teach, task.labels).predict(task.ask)
    return found


def _classifiers(task: Task) -> Iterable[tuple[str, Callable[[], Any]]]:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

    rows, classes = len(task.labels), len(np.unique(task.labels))
    yield "class mean", NearestCentroid
    yield "ridge", RidgeClassifier
    for strength in STRENGTHS:
        yield f"logistic, C={strength:g}", partial(LogisticRegression, C=strength, max_iter=300)
    for count in (1, NEIGHBOURS):
        if count <= rows:
            yield f"{count} nearest", partial(KNeighborsClassifier, count)
    if rows > classes:
        yield "LDA", LinearDiscriminantAnalysis
        yield "LDA, shrunk", partial(LinearDiscriminantAnalysis, solver="lsqr", shrinkage="auto")
