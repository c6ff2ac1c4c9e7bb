"""Known and unknown in ordinary use: few examples of classes that the project never saw, beside simple rivals.

Ten classes are taught and ten others are asked about as well, of steel defects three and three, of intents those of
five domains and those of the five others; many draws of each, with one to fourteen examples of each class. Photographs
are taught in the ways people teach them, too: the folder twice, with mirrored copies, with copies saved again, a burst
of frames in place of each; and with statistics that were measured on the very photographs that are taught.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.vectors import VectorBackbone
from engram.heads.fast import FastHead
from engram.lab.data_sets.clinc150 import DOMAINS
from engram.lab.evaluation import accuracy, auroc, share_accepted, share_refused, threshold_refusing
from engram.lab.evaluation.plots import canvas, draw_curves
from engram.lab.experiments.experiment import Progress, part
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.head.featured_sets import OUTSIDE, FeaturedSet, featured
from engram.lab.experiments.head.simple_rivals import Answers, Task, open_set_rivals
from engram.lab.experiments.result import Figure, Values, averaged
from engram.lab.experiments.steps import measured, steps_of

Array = npt.NDArray[Any]
Places = npt.NDArray[np.intp]

SETS = {
    "photos": "photos-shipped", "mobilenet": "photos-mobilenet", "omniglot": "omniglot", "intents": "clinc",
    "steel": "steel-shipped", "steel-mobilenet": "steel-mobilenet",
}
"""What the figures' names call each featured set."""

WAYS = ("twice", "mirrored", "resaved", "burst", "own-statistics")
"""How pictures are taught in other ways than once each, where the set has versions of them."""

IN_OTHER_WAYS = ("photos", "mobilenet")


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        draws: random choices of classes and examples, for each seed.
        classes: how many are known, and how many are not; at most half of those that a set has.
        shots: examples taught of each known class.
        ask: examples asked about, of each class, at most.
        alpha: share of known things that may be refused.
        equal: refusals of the known at which the strangers accepted are compared with the rivals'.
        sets: what is measured; "tiny-shipped" and "tiny-mobilenet" are those to settle a head's own settings on.
    """

    draws: int = 4
    classes: int = 10
    shots: tuple[int, ...] = (1, 2, 5, 14)
    ask: int = 16
    alpha: float = 0.02
    equal: tuple[float, ...] = (0.02, 0.05)
    sets: tuple[str, ...] = tuple(SETS)


PUBLISHED: dict[str, Any] = {}


def _figures(name: str) -> Iterator[Figure]:
    """Those of one set, with their floors."""
    for shots in Config.shots:
        yield Figure(f"{name}.refused-{shots}", "%", at_least=1.0, at_most=4.0)
        yield Figure(f"{name}.auroc-over-rival-{shots}", "points", at_least=0.0 if shots >= 5 else -0.5)
    yield Figure(f"{name}.accepted-over-rival", "ratio", at_most=1.0)
    yield Figure(f"{name}.estimate-error", "points", at_most=10.0)
    if name in IN_OTHER_WAYS:
        for way in WAYS:
            yield Figure(f"{name}.refused-{way}", "%", at_most=5.0)
        yield Figure(f"{name}.own-over-others", "points", at_least=-0.5)


FIGURES = {f"open.{figure.value}": figure for name in SETS for figure in _figures(name)}


class Draw(NamedTuple):
    """Places: (K, S) to teach, class by class; (A,) known ones to ask about; (U,) strangers."""

    teach: Places
    ask: Places
    strangers: Places


class Asked(NamedTuple):
    """What one head or rival said: accuracy on the known in percent, and how known the known and strangers look."""

    accuracy: float
    known: Array
    strangers: Array

    @property
    def auroc(self) -> float:
        """In percent."""
        return 100 * auroc(self.known, self.strangers)

    def accepted(self, refused: float) -> float:
        """Strangers accepted in percent, where this share of the known is refused."""
        return 100 * float(np.mean(self.strangers >= threshold_refusing(self.known, refused)))


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the classes and the examples."""
    values: Values = {"sets": {}}
    for i, name in enumerate(config.sets):
        told = part(progress, i, len(config.sets), name)
        step = f"{steps_of('open-set', asdict(config), seed=seed)}-{name}"
        found = measured(step, partial(one_set, config, name, seed, told))
        values["sets"][name] = found
        values |= {f"{name}.{value}": number for value, number in headlines(config, found).items()}
    return values


def one_set(config: Config, name: str, seed: int, progress: Progress) -> Values:
    """Every count of examples on one set: shots -> the means over the draws."""
    progress(0.0, "features")
    data = featured(SETS.get(name, name))
    draws = [draw(config, data, np.random.default_rng([seed, i])) for i in range(config.draws)]
    found: Values = {}
    for i, shots in enumerate(config.shots):
        drawn = []
        for j, one in enumerate(draws):
            progress((i + j / len(draws)) / len(config.shots), f"{shots} examples of each")
            drawn.append(one_draw(config, data, one._replace(teach=one.teach[:, :shots])))
        found[str(shots)] = averaged(drawn)
    return found


def draw(config: Config, data: FeaturedSet, rng: np.random.Generator) -> Draw:
    """Known classes and strange ones; of each known class, other examples to ask about than to teach."""
    mine, others = split_classes(config.classes, data.classes, rng)
    most = max(config.shots)
    teach, ask = [], []
    for label in mine:
        first, rest = taught_and_asked(data, label, most, rng)
        teach.append(first)
        ask.append(rest[: config.ask])
    strangers = [taught_and_asked(data, label, 0, rng)[1][: 2 * config.ask] for label in others]
    return Draw(np.stack(teach), np.concatenate(ask), np.concatenate(strangers))


def taught_and_asked(data: FeaturedSet, label: str, most: int, rng: np.random.Generator) -> tuple[Places, Places]:
    """`most` places of a class to teach, and the others; where a set says what is asked, only these are."""
    places = rng.permutation(np.flatnonzero(data.labels == label))
    if data.ask is None:
        return places[:most], places[most:]
    return places[~data.ask[places]][:most], places[data.ask[places]]


def split_classes(count: int, classes: list[str], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Up to `count` known classes, and as many strange ones; of intents ("domain/intent"), from other domains."""
    named = [label for label in classes if label != OUTSIDE]
    order = rng.permutation(named).tolist()
    mine = {label.split("/")[0] for label in order}
    if DOMAINS.keys() >= mine:
        mine = set(rng.permutation(sorted(mine))[: len(mine) // 2].tolist())
        known = [label for label in order if label.split("/")[0] in mine]
        strange = [label for label in order if label.split("/")[0] not in mine]
    else:
        known, strange = order[: len(order) // 2], order[len(order) // 2 :]
    return known[:count], strange[:count]


def one_draw(config: Config, data: FeaturedSet, places: Draw) -> Values:
    """Our head and every rival on one draw, and the head taught in other ways where the set has versions."""
    head = fast_head(data.bundle, alpha=config.alpha)
    taught = places.teach.ravel()
    head.learn(data.features[taught], data.labels[taught].tolist())
    asked, found = judged(config, head, data, places)
    task = Task(data.features[taught].astype(np.float64), data.labels[taught],
                data.features[np.concatenate([places.ask, places.strangers])].astype(np.float64),
                data.bundle.mean, data.bundle.covariance)
    truth = data.labels[places.ask]
    every = {"head": asked} | {name: of_rival(answers, truth) for name, answers in open_set_rivals(task).items()}
    found["scores"] = {
        name: {"accuracy": one.accuracy, "auroc": one.auroc,
               **{f"accepted-at-{100 * share:g}": one.accepted(share) for share in config.equal}}
        for name, one in every.items()
    }
    found["refused"] = {"once": found.pop("known-refused")} | taught_otherwise(config, data, places)
    if data.versions and places.teach.shape[1] > 1:
        found |= own_statistics(config, data, places)
        found["refused"]["own-statistics"] = found.pop("own-statistics-refused")
    return found


def judged(config: Config, head: FastHead, data: FeaturedSet, places: Draw) -> tuple[Asked, Values]:
    """What a head says, what its own threshold refuses and accepts, and how far off its own estimate is."""
    known, strangers = head.predict(data.features[places.ask]), head.predict(data.features[places.strangers])
    asked = Asked(100 * accuracy(known.best, data.labels[places.ask].tolist()),
                  known.familiarity, strangers.familiarity)
    accepted = 100 * share_accepted(strangers.known)
    (expected,) = head.error_rates([config.alpha])
    estimate = 100 * expected.accepted
    return asked, {"known-refused": 100 * share_refused(known.known), "strangers-accepted": accepted,
                   "estimate": estimate, "estimate-error": abs(estimate - accepted)}


def of_rival(answers: Answers, truth: Array) -> Asked:
    """A rival's answers to the known, whose (K,) true labels are given, then to strangers."""
    count = len(truth)
    return Asked(100 * accuracy(answers.best[:count].tolist(), truth.tolist()),
                 answers.knownness[:count], answers.knownness[count:])


def taught_otherwise(config: Config, data: FeaturedSet, places: Draw) -> Values:
    """Known refused, in percent, where the same pictures are taught twice, with copies, or as bursts."""
    if not data.versions:
        return {}
    taught = places.teach.ravel()
    once, labels = data.features[taught], data.labels[taught].tolist()
    lessons: dict[str, list[tuple[Array, list[str]]]] = {"twice": [(once, labels)] * 2}
    for version in ("mirrored", "resaved"):
        lessons[version] = [(once, labels), (data.versions[version][taught], labels)]
    bursts = data.versions["burst"]
    lessons["burst"] = [(bursts[place], [label] * bursts.shape[1])
                        for place, label in zip(taught, labels, strict=True)]
    return {way: refused_after(config, data, lesson, places.ask) for way, lesson in lessons.items()}


def refused_after(config: Config, data: FeaturedSet, lesson: list[tuple[Array, list[str]]], ask: Places) -> float:
    """Known refused, in percent, after one `learn` for each part of a lesson: (N, D) rows and N labels."""
    head = fast_head(data.bundle, alpha=config.alpha)
    for rows, labels in lesson:
        head.learn(rows, labels)
    return 100 * share_refused(head.predict(data.features[ask]).known)


def own_statistics(config: Config, data: FeaturedSet, places: Draw) -> Values:
    """The bundle measured on the very pictures that are taught, beside one measured on as many of other classes."""
    taught, found = places.teach.ravel(), {}
    labels, truth = data.labels[taught].tolist(), data.labels[places.ask].tolist()
    per_class = places.teach.shape[1]
    others = [np.flatnonzero(data.labels[places.strangers] == label)[:per_class]
              for label in np.unique(data.labels[places.strangers])]
    for name, rows in (("own", taught), ("others", places.strangers[np.concatenate(others)])):
        bundle = Bundle.measure(VectorBackbone(data.features.shape[1]), data.features[rows], data.labels[rows].tolist(),
                                step=data.bundle.step, normalise=data.bundle.normalise)
        head = fast_head(bundle, alpha=config.alpha)
        head.learn(data.features[taught], labels)
        answers = head.predict(data.features[places.ask])
        found[f"{name}-statistics-accuracy"] = 100 * accuracy(answers.best, truth)
        found[f"{name}-statistics-refused"] = 100 * share_refused(answers.known)
    return found


def headlines(config: Config, found: Mapping[str, Any]) -> Values:
    """The figures of one set; where one number stands for every count of examples, it is the worst count's."""
    values: Values = {}
    for shots, at in found.items():
        values[f"refused-{shots}"] = at["refused"]["once"]
        values[f"auroc-over-rival-{shots}"] = over_best_rival(at["scores"], "auroc")
        values[f"accuracy-over-rival-{shots}"] = over_best_rival(at["scores"], "accuracy")
    for way in WAYS:
        refused = [at["refused"][way] for at in found.values() if way in at["refused"]]
        if refused:
            values[f"refused-{way}"] = max(refused)
    own = [at["own-statistics-accuracy"] - at["others-statistics-accuracy"] for at in found.values()
           if "own-statistics-accuracy" in at]
    if own:
        values["own-over-others"] = min(own)
    values["accepted-over-rival"] = accepted_over_rival(config, found)
    values["estimate-error"] = max(at["estimate-error"] for at in found.values())
    return values


def over_best_rival(scores: Mapping[str, Any], measure: str) -> float:
    """Ours minus the best rival's, over all draws."""
    best = max(values[measure] for name, values in scores.items() if name != "head")
    return float(scores["head"][measure] - best)


def accepted_over_rival(config: Config, found: Mapping[str, Any]) -> float:
    """Strangers accepted over all counts and refusals, ours by those of the rival that does best at each count."""
    ours = theirs = 0.0
    for at in found.values():
        totals = {name: sum(values[f"accepted-at-{100 * share:g}"] for share in config.equal)
                  for name, values in at["scores"].items()}
        ours += totals.pop("head")
        theirs += min(totals.values())
    return ours / max(theirs, 1e-9)


def plot(result: Mapping[str, Any]) -> Any:
    """Each set's AUROC by examples taught, ours and every rival's."""
    sets = result["values"]["sets"]
    figure, axes = canvas(len(sets), width=4.4, height=3.8)
    for panel, (name, by_shots) in zip(axes, sets.items(), strict=True):
        shots = [float(count) for count in by_shots]
        rows = {score: [at["scores"][score]["auroc"] for at in by_shots.values()]
                for score in next(iter(by_shots.values()))["scores"]}
        curves = {score: (shots, [v["mean"] for v in values], [v["sd"] for v in values])
                  for score, values in rows.items()}
        draw_curves(panel, curves, "examples of each class", "AUROC, unknown classes (%)", name, log=True)
    return figure
