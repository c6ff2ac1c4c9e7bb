"""150 intents of a chatbot, new ones day by day, and queries out of scope.

Every day ten new intents of CLINC150 are taught, twenty sentences each, drawn by the seed from the training part.
After each day the test sentences of all intents so far are asked about, and the 1,000 test queries that belong to no
intent should stand out. Sentences become hashed n-grams, which need no download. The n-grams' settings, the rivals'
strengths and the score that tells queries out of scope were chosen on the validation part.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.hashed_ngrams import HashedNgrams
from engram.heads.fast import FastHead
from engram.lab.data_sets.clinc150 import Talk, draw
from engram.lab.evaluation import accuracy, auroc, share_accepted, share_refused
from engram.lab.evaluation.plots import canvas, draw_bars, draw_curves
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.head.contenders import contenders, fast_head
from engram.lab.experiments.result import Figure, Values


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        shots: sentences taught of each intent.
        daily: new intents a day.
        width: of the hashed n-grams.
        also: another width, for comparison at the end.
    """

    shots: int = 20
    daily: int = 10
    width: int = 2048
    also: int = 1024


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "ldnn-intents.accuracy": Figure("accuracy", "%"),
    "ldnn-intents.auroc": Figure("auroc", "%"),
}

class Vectors(NamedTuple):
    """The features of a Talk's sentences."""

    bundle: Bundle
    teach: npt.NDArray[np.float32]
    ask: npt.NDArray[np.float32]
    outside: npt.NDArray[np.float32]


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the sentences and the order of the intents."""
    talk = draw(config.shots, seed)
    vectors = featured(talk, config.width, config.shots, seed)
    values = days(config, talk, vectors, progress)
    progress(0.6, "the other heads")
    values["heads"] = compare(talk, vectors)
    progress(0.8, "the linear rivals")
    values |= rivals(talk, vectors)
    other = featured(talk, config.also, config.shots, seed)
    values[f"accuracy-{config.also}"] = end(fast_head(other.bundle), talk, other)
    return values


def featured(talk: Talk, width: int, shots: int, seed: int) -> Vectors:
    """The sentences as hashed n-grams, from the cache where they are in it."""
    bundle = Bundle.bare(HashedNgrams(width))
    teach = cached_features(bundle, f"clinc150-teach-{shots}-{seed}", lambda: talk.teach.tolist())
    ask = cached_features(bundle, f"clinc150-ask-{len(talk.ask)}", lambda: talk.ask.tolist())
    outside = cached_features(bundle, f"clinc150-outside-{len(talk.outside)}", lambda: talk.outside.tolist())
    return Vectors(bundle, teach.features, ask.features, outside.features)


def days(config: Config, talk: Talk, vectors: Vectors, progress: Progress) -> Values:
    """The recommended head, day after day: accuracy on the intents so far, and the queries out of scope."""
    head = fast_head(vectors.bundle)
    values: Values = {name: [] for name in ("intents", "by-day", "auroc-by-day", "refused-by-day",
                                            "outside-accepted-by-day", "learn-seconds-by-day")}
    for known in range(config.daily, len(talk.intents) + 1, config.daily):
        progress(0.6 * known / len(talk.intents), f"{known} intents")
        today = np.isin(talk.teach_intents, talk.intents[known - config.daily : known])
        start = time.perf_counter()
        head.learn(vectors.teach[today], talk.teach_intents[today].tolist())
        values["learn-seconds-by-day"].append(time.perf_counter() - start)
        asked = np.isin(talk.ask_intents, talk.intents[:known])
        values["intents"].append(known)
        look(head, values, vectors.ask[asked], talk.ask_intents[asked].tolist(), vectors.outside)
    mine, outside = head.predict(vectors.ask), head.predict(vectors.outside)
    scores = {score: 100 * auroc(getattr(mine, score), getattr(outside, score))
              for score in ("focus", "familiarity", "confidence")}
    return {**values, "accuracy": values["by-day"][-1], "auroc": values["auroc-by-day"][-1], "auroc-by-score": scores}


def look(head: FastHead, values: Values, ask: Any, intents: Sequence[str], outside: Any) -> None:
    """Note how the head does after a day. Its focus is the score that tells queries out of scope."""
    mine, others = head.predict(ask), head.predict(outside)
    values["by-day"].append(100 * accuracy(mine.best, intents))
    values["auroc-by-day"].append(100 * auroc(mine.focus, others.focus))
    values["refused-by-day"].append(100 * share_refused(mine.known))
    values["outside-accepted-by-day"].append(100 * share_accepted(others.known))


def end(head: Any, talk: Talk, vectors: Vectors) -> float:
    """A head's accuracy on all intents, taught all at once, in percent."""
    head.learn(vectors.teach, talk.teach_intents.tolist())
    return 100 * accuracy(head.predict(vectors.ask).best, talk.ask_intents.tolist())


def compare(talk: Talk, vectors: Vectors) -> dict[str, float]:
    """Every head at the end, in percent."""
    return {name: end(make(), talk, vectors) for name, make in contenders(vectors.bundle).items()}


def rivals(talk: Talk, vectors: Vectors) -> Values:
    """What a practitioner would refit every day: logistic regression on the same features, and a linear support
    vector machine on tf-idf n-grams of words and of characters, which weighs them by all sentences taught."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    tf_idf = make_union(
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
    )
    models: dict[str, tuple[Any, Any, Any, Any]] = {
        "logistic regression": (LogisticRegression(C=100.0, max_iter=300), *vectors[1:]),
        "tf-idf support vectors": (make_pipeline(tf_idf, LinearSVC(C=1.0)), talk.teach, talk.ask, talk.outside),
    }
    found: Values = {}
    for name, (model, teach, ask, outside) in models.items():
        start = time.perf_counter()
        model.fit(teach, talk.teach_intents)
        seconds = time.perf_counter() - start
        sure, unsure = (model.decision_function(x).max(axis=1) for x in (ask, outside))
        if isinstance(model, LogisticRegression):
            sure, unsure = (model.predict_proba(x).max(axis=1) for x in (ask, outside))
        found[name] = {"accuracy": 100 * float(model.score(ask, talk.ask_intents)),
                       "auroc": 100 * auroc(sure, unsure), "refit-seconds": seconds}
    return {"rivals": found}


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy and AUROC day by day, and the heads at the end."""
    values = result["values"]
    figure, (left, middle, right) = canvas(3, width=4.6, height=3.8)
    intents = values["intents"]["mean"]
    rivals_ = values["rivals"]
    draw_curves(left, {"fast head": (intents, values["by-day"]["mean"], values["by-day"]["sd"])},
                "intents taught", "accuracy on the intents so far (%)", "New intents day by day",
                references={f"{name}, refitted": rival["accuracy"]["mean"] for name, rival in rivals_.items()})
    draw_curves(middle, {"fast head, focus": (intents, values["auroc-by-day"]["mean"], values["auroc-by-day"]["sd"])},
                "intents taught", "AUROC, queries out of scope (%)", "Queries that belong to no intent",
                references={name: rival["auroc"]["mean"] for name, rival in rivals_.items()})
    bars = {name: (value["mean"], value["sd"]) for name, value in values["heads"].items()}
    bars |= {name: (rival["accuracy"]["mean"], rival["accuracy"]["sd"]) for name, rival in rivals_.items()}
    draw_bars(right, bars, "accuracy on 150 intents (%)", "Heads on the same features, and refitted rivals")
    return figure
