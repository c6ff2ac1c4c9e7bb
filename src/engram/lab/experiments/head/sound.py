"""The backbones for sounds: ten spoken digits from one, five and twenty recordings each, and words never taught.

Six people say each digit. Their recordings are pooled, and a seed draws the ones that are taught; all others are asked
about. Then nobody taught says what is asked (an unseen speaker), and half of the digits are never taught. Beside the
fast head stand a logistic regression and the nearest neighbour on the same features. The settings of the backbones were
chosen on takes 0 to 4 and on sounds made by programs: the takes from 5 on are measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.catalogue import bundle_of
from engram.lab.data_sets.spoken_digits import recordings
from engram.lab.evaluation import accuracy, auroc, share_accepted, share_refused
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.result import Figure, Values


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        shots: recordings taught of each digit.
        first_take: takes before it are left out: the backbones' settings were chosen on them.
    """

    shots: tuple[int, ...] = (1, 5, 20)
    first_take: int = 5


PUBLISHED: dict[str, Any] = {}

BACKBONES = {"log-mel": "", "speech": "speech-"}
"""Name -> how the names of its values begin."""

FIGURES = {
    "sound.digits-20": Figure("digits-20", "%", at_least=92.0),
    "sound.over-logistic": Figure("over-logistic", "points", at_least=-0.5),
    "sound.speech-over-logistic": Figure("speech-over-logistic", "points", at_least=-0.5),
    "sound.speech-digits-20": Figure("speech-digits-20", "%"),
    **{
        f"sound.{begins}{name}": Figure(f"{begins}{name}", "%")
        for begins in BACKBONES.values()
        for name in ("digits-5", "digits-1", "logistic-20", "neighbour-20", "unseen-speaker", "unknown-auroc",
                     "unknown-accepted", "known-refused")
    },
}

STRENGTHS = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
"""Of the logistic regression. Among them, and among features of unit length or standardised, it chooses by five-fold
cross-validation on what is taught."""


class Spoken(NamedTuple):
    """(N, D) features, (N,) digits and (N,) names of speakers."""

    features: npt.NDArray[np.float32]
    digits: npt.NDArray[np.int64]
    speakers: npt.NDArray[np.str_]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws what is taught.

    Raises:
        InputError: the extra [sound] is not installed.
    """
    values: Values = {}
    for place, (name, begins) in enumerate(BACKBONES.items()):
        progress(place / len(BACKBONES), name)
        values |= {f"{begins}{key}": value for key, value in measured(bundle_of(name), config, seed).items()}
    return values


def measured(bundle: Bundle, config: Config, seed: int) -> Values:
    """All values of one backbone."""
    spoken = featured(bundle, config.first_take)
    rng = np.random.default_rng(seed)
    values: Values = {}
    drawn = [rng.permutation(np.flatnonzero(spoken.digits == digit)) for digit in np.unique(spoken.digits)]
    for count in config.shots:
        teach, ask = (np.concatenate([places[part] for places in drawn]) for part in (np.s_[:count], np.s_[count:]))
        values[f"digits-{count}"] = recognised(bundle, spoken, teach, ask)
    most = max(config.shots)
    values[f"logistic-{most}"], values[f"neighbour-{most}"] = rivals(spoken, teach, ask)
    values["over-logistic"] = values[f"digits-{most}"] - values[f"logistic-{most}"]
    values["unseen-speaker"] = float(np.mean([
        unseen(bundle, spoken, name, drawn, most) for name in np.unique(spoken.speakers)
    ]))
    return values | strangers(bundle, spoken, drawn, rng.permutation(len(drawn))[: len(drawn) // 2], most)


def featured(bundle: Bundle, first_take: int) -> Spoken:
    """The recordings from a take on, from the cache where they are in it."""
    late = [one for one in recordings() if one.take >= first_take]
    cached = cached_features(bundle, f"spoken-digits-from-{first_take}", lambda: [one.sound for one in late])
    return Spoken(cached.features, np.array([one.digit for one in late]), np.array([one.speaker for one in late]))


def recognised(bundle: Bundle, spoken: Spoken, teach: npt.NDArray[Any], ask: npt.NDArray[Any]) -> float:
    """Percent of what is asked that a head is right about."""
    head = fast_head(bundle)
    head.learn(spoken.features[teach], spoken.digits[teach].tolist())
    return 100 * accuracy(head.predict(spoken.features[ask]).best, spoken.digits[ask].tolist())


def unseen(bundle: Bundle, spoken: Spoken, name: str, drawn: list[npt.NDArray[np.intp]], count: int) -> float:
    """As many of each digit are taught, in the order drawn, by everybody else; all that one person says is asked."""
    teach = np.concatenate([places[spoken.speakers[places] != name][:count] for places in drawn])
    return recognised(bundle, spoken, teach, np.flatnonzero(spoken.speakers == name))


def strangers(
    bundle: Bundle, spoken: Spoken, drawn: list[npt.NDArray[np.intp]], known: npt.NDArray[Any], count: int
) -> Values:
    """Some digits are taught; the others are asked about beside what was not taught of those."""
    teach, ask = (np.concatenate([drawn[digit][part] for digit in known]) for part in (np.s_[:count], np.s_[count:]))
    outside = np.concatenate([places for digit, places in enumerate(drawn) if digit not in known])
    head = fast_head(bundle)
    head.learn(spoken.features[teach], spoken.digits[teach].tolist())
    mine, others = head.predict(spoken.features[ask]), head.predict(spoken.features[outside])
    return {
        "unknown-auroc": 100 * auroc(mine.familiarity, others.familiarity),
        "known-refused": 100 * share_refused(mine.known), "unknown-accepted": 100 * share_accepted(others.known),
    }


def rivals(spoken: Spoken, teach: npt.NDArray[Any], ask: npt.NDArray[Any]) -> tuple[float, float]:
    """Percent of scikit-learn's logistic regression, and of the nearest neighbour at unit length."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler

    regression = Pipeline([("scaled", Normalizer()), ("model", LogisticRegression(max_iter=2000))])
    choices = {"scaled": [Normalizer(), StandardScaler()], "model__C": STRENGTHS}
    models = (GridSearchCV(regression, choices, cv=5), make_pipeline(Normalizer(), KNeighborsClassifier(1)))
    logistic, neighbour = (
        100 * float(model.fit(spoken.features[teach], spoken.digits[teach])
                    .score(spoken.features[ask], spoken.digits[ask])) for model in models
    )
    return logistic, neighbour


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy by recordings taught, beside the rivals and unseen speakers, upon each backbone."""
    values = result["values"]
    most = max(result["config"]["shots"])
    shown = {f"{count} taught": f"digits-{count}" for count in result["config"]["shots"]} | {
        f"logistic, {most}": f"logistic-{most}", f"neighbour, {most}": f"neighbour-{most}",
        "unseen speaker": "unseen-speaker",
    }
    figure, panels = canvas(len(BACKBONES), width=4.6, height=3.0)
    for axes, (backbone, begins) in zip(panels, BACKBONES.items(), strict=True):
        bars = {name: (values[begins + key]["mean"], values[begins + key]["sd"]) for name, key in shown.items()}
        draw_bars(axes, bars, "accuracy on ten spoken digits (%)", backbone)
    return figure
