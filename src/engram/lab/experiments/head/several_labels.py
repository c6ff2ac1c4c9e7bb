"""Several labels for one input: which digit is said, and by whom, told from recordings of six people.

Each recording has two of sixteen labels. Recordings are pooled; a seed draws as many of each digit as are taught, and
all others are asked about. Beside the multi-label head stand scikit-learn's one-vs-rest logistic regression and its
nearest neighbours, their scaling and strength chosen by five-fold cross-validation on what is taught. All hear by
log-mel. Nothing was chosen on the takes from 5 on, which are measured: the head's settings are as it ships.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.catalogue import bundle_of
from engram.heads.multilabel import MultiLabelHead
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.head.sound import Spoken, featured
from engram.lab.experiments.result import Figure, Values


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        shots: recordings taught of each digit, whoever says it.
        first_take: takes before it are left out.
        headline: the shots of the published figures.
    """

    shots: tuple[int, ...] = (3, 10, 20)
    first_take: int = 5
    headline: int = 20


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "multilabel.over-rival": Figure("over-rival-20", "points", at_least=-0.5),
    "multilabel.over-rival-3": Figure("over-rival-3", "points"),
    **{f"multilabel.{name}": Figure(f"{name}-20", "%") for name in (
        "f1", "all-right", "logistic", "logistic-all-right", "neighbours", "neighbours-all-right")},
    "multilabel.f1-3": Figure("f1-3", "%"),
    "multilabel.f1-10": Figure("f1-10", "%"),
    "multilabel.unlearn-identical": Figure("unlearn-identical", "", at_least=1.0),
}

Holds = npt.NDArray[np.bool_]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws what is taught."""
    bundle = bundle_of("log-mel")
    spoken = featured(bundle, config.first_take)
    names, holds = labels_of(spoken)
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(spoken.digits == digit)) for digit in np.unique(spoken.digits)]
    values: Values = {}
    for place, shots in enumerate(config.shots):
        progress(place / len(config.shots), f"{shots} of each digit")
        teach, ask = (np.concatenate([places[part] for places in drawn]) for part in (np.s_[:shots], np.s_[shots:]))
        values |= {f"{name}-{shots}": value for name, value in
                   measured(bundle, spoken.features, names, holds, teach, ask).items()}
    return values | {"unlearn-identical": unlearned(bundle, spoken.features[:40], names, holds[:40])}


def labels_of(spoken: Spoken) -> tuple[list[str], Holds]:
    """The sixteen labels, and (N, 16) which hold."""
    digits, speakers = np.unique(spoken.digits), np.unique(spoken.speakers)
    holds = np.concatenate([spoken.digits[:, None] == digits, spoken.speakers[:, None] == speakers], axis=1)
    return [*map(str, digits), *speakers.tolist()], holds


def sets_of(names: list[str], holds: Holds) -> list[list[str]]:
    """The labels of each of (N, C) inputs."""
    return [[name for name, there in zip(names, row, strict=True) if there] for row in holds]


def new_head(bundle: Bundle) -> MultiLabelHead:
    return MultiLabelHead(bundle.mean, bundle.covariance, step=bundle.step, normalise=bundle.normalise,
                          freedom=bundle.freedom)


def measured(
    bundle: Bundle, features: npt.NDArray[np.float32], names: list[str], holds: Holds, teach: npt.NDArray[np.intp],
    ask: npt.NDArray[np.intp],
) -> Values:
    """F1 over all labels and inputs, and the share of inputs with every label right, of the head and of its rivals."""
    head = new_head(bundle)
    head.learn(features[teach], sets_of(names, holds[teach]))
    answers = head.predict(features[ask], among=names)
    assert answers.holding is not None
    values: Values = {"f1": f1(answers.holding, holds[ask]), "all-right": all_right(answers.holding, holds[ask])}
    for name, found in rivals(features, holds, teach, ask).items():
        values |= {name: f1(found, holds[ask]), f"{name}-all-right": all_right(found, holds[ask])}
    return values | {"over-rival": values["f1"] - max(values["logistic"], values["neighbours"])}


def rivals(
    features: npt.NDArray[np.float32], holds: Holds, teach: npt.NDArray[np.intp], ask: npt.NDArray[np.intp]
) -> dict[str, Holds]:
    """What scikit-learn's models answer."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, KFold
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler

    scalings = [Normalizer(), StandardScaler()]
    logistic = OneVsRestClassifier(LogisticRegression(max_iter=2000))
    models: dict[str, tuple[Any, dict[str, Any]]] = {
        "logistic": (logistic, {"model__estimator__C": [0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0]}),
        "neighbours": (KNeighborsClassifier(), {"model__n_neighbors": [1, 3, 5, 9]}),
    }
    found = {}
    for name, (model, choices) in models.items():
        search = GridSearchCV(Pipeline([("scaled", Normalizer()), ("model", model)]), {"scaled": scalings, **choices},
                              cv=KFold(5, shuffle=True, random_state=0), scoring="f1_micro")
        found[name] = np.asarray(search.fit(features[teach], holds[teach]).predict(features[ask]), bool)
    return found


def unlearned(bundle: Bundle, features: npt.NDArray[np.float32], names: list[str], holds: Holds) -> float:
    """1 if half of the examples, taught and forgotten, leave the SHA-256 of a head that never saw them."""
    head, other, half = new_head(bundle), new_head(bundle), len(features) // 2
    head.learn(features, sets_of(names, holds))
    head.forget(features[half:], sets_of(names, holds[half:]))
    other.learn(features[:half], sets_of(names, holds[:half]))
    return float(head.digest() == other.digest())


def f1(found: Holds, holds: Holds) -> float:
    """Percent: twice the labels found rightly, over those found and those that hold."""
    return 200.0 * float((found & holds).sum()) / max(float(found.sum() + holds.sum()), 1.0)


def all_right(found: Holds, holds: Holds) -> float:
    """Percent of the inputs of which every label is right."""
    return 100.0 * float((found == holds).all(axis=1).mean())


def plot(result: Mapping[str, Any]) -> Any:
    """F1 by recordings taught, beside the rivals."""
    values, shots = result["values"], result["config"]["shots"]
    figure, panels = canvas(len(shots), width=3.0, height=3.0)
    for axes, count in zip(panels, shots, strict=True):
        bars = {name: (values[f"{key}-{count}"]["mean"], values[f"{key}-{count}"]["sd"]) for name, key in
                {"Engram": "f1", "logistic": "logistic", "neighbours": "neighbours"}.items()}
        draw_bars(axes, bars, "F1 of digit and speaker (%)", f"{count} of each digit")
    return figure
