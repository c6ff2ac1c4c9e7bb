"""Tables as they are, given to a brain that is told nothing, beside what a practitioner would fit with scikit-learn.

Flowers (iris), wines and tumours (breast cancer), real measurements that come with scikit-learn. In each draw seven of
ten rows of each class are taught, and the others are asked about. Every rival is given standardised values, and chooses
its setting by cross-validation on what is taught; the best of them on the rows that are asked about is what the brain
is compared with, which favours the rivals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.brain import Brain
from engram.lab.evaluation import accuracy
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.learner import FloatArray

SETS = ("iris", "wine", "breast-cancer")
RIVALS = ("lda", "logistic", "neighbours")


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        draws: random divisions of each table, for each seed.
        taught: the share of each class that is taught.
    """

    draws: int = 10
    taught: float = 0.7


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "tables.under-rival": Figure("under-rival", "points", at_least=-0.5),
    **{f"tables.under-rival-{name}": Figure(f"{name}.under-rival", "points", at_least=-0.5) for name in SETS},
    **{f"tables.accuracy-{name}": Figure(f"{name}.brain", "%") for name in SETS},
    **{f"tables.refused-{name}": Figure(f"{name}.refused", "%") for name in SETS},
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which divides the tables; `under-rival` is that of the worst table."""
    rng = np.random.default_rng(seed)
    values: Values = {}
    for place, name in enumerate(SETS):
        progress(place / len(SETS), name)
        rows, labels = table(name)
        drawn = [measured(rows, labels, config.taught, rng) for _ in range(config.draws)]
        found = {key: float(np.mean([one[key] for one in drawn])) for key in drawn[0]}
        found["under-rival"] = found["brain"] - max(found[rival] for rival in RIVALS)
        values |= {f"{name}.{key}": value for key, value in found.items()}
    values["under-rival"] = min(values[f"{name}.under-rival"] for name in SETS)
    return values


def table(name: str) -> tuple[FloatArray, list[str]]:
    """(N, D) readings and N labels."""
    from sklearn import datasets

    data = getattr(datasets, f"load_{name.replace('-', '_')}")()
    return np.asarray(data.data, np.float64), [str(data.target_names[one]) for one in data.target]


def measured(rows: FloatArray, labels: list[str], share: float, rng: np.random.Generator) -> dict[str, float]:
    """Accuracy on one division, in percent, of the brain and of each rival; and what the brain refused."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, train_test_split
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    taught, asked, named, truth = train_test_split(rows, labels, train_size=share, stratify=labels,
                                                   random_state=int(rng.integers(2**31)))
    brain = Brain()
    brain.learn(taught, named)
    answers = brain.predict(asked)
    made = {
        "lda": LinearDiscriminantAnalysis(),
        "logistic": GridSearchCV(LogisticRegression(max_iter=5000), {"C": [0.01, 0.1, 1.0, 10.0, 100.0]}, cv=5),
        "neighbours": GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3, 5, 7, 11, 15]}, cv=5),
    }
    found = {"brain": 100 * accuracy(answers.best, truth), "refused": 100 * float(1 - answers.known.mean())}
    for name, rival in made.items():
        found[name] = 100 * float(make_pipeline(StandardScaler(), rival).fit(taught, named).score(asked, truth))
    return found


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy on each table."""
    values = result["values"]
    figure, panels = canvas(len(SETS), width=3.4, height=3.2)
    for axes, name in zip(panels, SETS, strict=True):
        bars = {called: (values[f"{name}.{key}"]["mean"], values[f"{name}.{key}"]["sd"]) for key, called in (
            ("brain", "a brain, told nothing"), ("lda", "linear discriminant analysis"),
            ("logistic", "logistic regression"), ("neighbours", "nearest neighbours"))}
        draw_bars(axes, bars, "accuracy (%)", name)
    return figure
