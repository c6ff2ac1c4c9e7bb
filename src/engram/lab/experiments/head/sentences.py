"""The backbones for sentences: 150 intents from one, five and twenty sentences each, and queries out of scope.

The sentences taught are drawn by the seed from CLINC150's training part; its test part is asked about. Beside the fast
head stands a logistic regression on the same features, and the n-grams' rivals of `ldnn-intents`. Nothing was chosen on
the test part: statistics and settings of the backbones were chosen on the validation part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.catalogue import bundle_of
from engram.lab.data_sets.clinc150 import draw
from engram.lab.evaluation import accuracy, auroc, share_accepted, share_refused
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.result import Figure, Values

BACKBONES = ("minilm", "english-ngrams", "hashed-ngrams")


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        shots: sentences taught of each intent.
        part: what is asked about: "test", or "val" while settings are chosen.
    """

    shots: tuple[int, ...] = (1, 5, 20)
    part: str = "test"


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "ldnn-intents.accuracy-embedded": Figure("minilm-20", "%", at_least=92.0),
    "sentences.minilm-over-logistic": Figure("minilm-over-logistic", "points", at_least=-0.5),
    **{
        f"sentences.{name}-{shots}": Figure(f"{name}-{shots}", "%")
        for name in BACKBONES for shots in (1, 5, 20) if (name, shots) != ("minilm", 20)
    },
    **{f"sentences.{name}-auroc": Figure(f"{name}-auroc", "%") for name in BACKBONES},
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed.

    Raises:
        InputError: the extra [text] is not installed.
    """
    values: Values = {}
    for place, name in enumerate(BACKBONES):
        progress(place / len(BACKBONES), name)
        values |= measured(name, bundle_of(name), config, seed)
    most = max(config.shots)
    values["minilm-over-logistic"] = values[f"minilm-{most}"] - values["minilm-logistic"]
    return values


def measured(name: str, bundle: Bundle, config: Config, seed: int) -> Values:
    """Accuracy by sentences taught; at the most of them also AUROC, both error rates, and the regression's accuracy."""
    values: Values = {}
    for shots in config.shots:
        talk = draw(shots, seed, config.part)
        teach, ask, outside = (
            cached_features(bundle, f"clinc150-{part}", texts.tolist).features
            for part, texts in ((f"teach-{shots}-{seed}", talk.teach), (config.part, talk.ask),
                                (f"{config.part}-outside", talk.outside))
        )
        head = fast_head(bundle)
        head.learn(teach, talk.teach_intents.tolist())
        mine, others = head.predict(ask), head.predict(outside)
        values[f"{name}-{shots}"] = 100 * accuracy(mine.best, talk.ask_intents.tolist())
        values[f"{name}-refused-{shots}"] = 100 * share_refused(mine.known)
        values[f"{name}-accepted-{shots}"] = 100 * share_accepted(others.known)
        if shots == max(config.shots):
            values[f"{name}-auroc"] = 100 * auroc(mine.focus, others.focus)
            values[f"{name}-logistic"] = logistic(teach, talk.teach_intents, ask, talk.ask_intents)
    return values


def logistic(teach: Any, intents: Any, ask: Any, truth: Any) -> float:
    """Accuracy of scikit-learn's logistic regression on the same features of unit length, in percent."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

    model = LogisticRegression(C=10.0, max_iter=300).fit(normalize(teach), intents)
    return 100 * float(np.mean(model.predict(normalize(ask)) == truth))


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy by sentences taught, for each backbone."""
    values = result["values"]
    shots = result["config"]["shots"]
    figure, panels = canvas(len(shots), width=4.0, height=3.0)
    for axes, count in zip(panels, shots, strict=True):
        bars = {name: (values[f"{name}-{count}"]["mean"], values[f"{name}-{count}"]["sd"]) for name in BACKBONES}
        draw_bars(axes, bars, "accuracy on 150 intents (%)", f"{count} sentence{'s' * (count > 1)} of each")
    return figure
