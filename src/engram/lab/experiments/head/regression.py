"""Numbers as answers: the exact regressor beside scikit-learn's and river's, at once and as kinds of inputs arrive.

Three sets of real data, taught at once: the progress of diabetes (Efron et al. 2004), the next frame of a running robot
from the present one (half-cheetah, 17 numbers), and by what angle a handwritten digit is turned, from the features of
a network that was trained on upright digits. Then the same angles, digit after digit: what is learned of the ones must
not be lost with the nines. At last a story, with made-up animals: a learner is taught the age of dogs from eight
measurements, then that of parrots, ten animals at a time; is it still right about dogs?

Each rival is given standardised values; the strength of ridge regression is chosen by its own cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from PIL import Image

from engram.brain import Brain
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import packaged_folder
from engram.heads.regression.regressor import Regressor
from engram.lab.data_sets.half_cheetah import half_cheetah, next_frames
from engram.lab.data_sets.mnist import mnist
from engram.lab.evaluation.numbers import NumberReport, evaluate_numbers, rmse
from engram.lab.evaluation.plots import canvas, draw_curves
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values, averaged
from engram.lab.streams.numbers import NumberExperience
from engram.learner import Consolidation, FloatArray, Learner, Predictions

Answer = Callable[[FloatArray], FloatArray]
"""From (N, D) inputs to (N, K) numbers."""
Fit = Callable[[FloatArray, FloatArray], Answer]
"""From (N, D) inputs and (N, K) numbers to what answers others."""

SETS = ("diabetes", "cheetah", "angles")


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        draws: random divisions of the diabetes data, for each seed.
        frames: pairs of frames taught, drawn from the ten training trajectories.
        angle: digits are turned by up to so many degrees.
        digits: pictures of each digit taught, and half as many asked about.
        animals: of each kind taught, and as many asked about.
        batch: examples taught at a time.
    """

    draws: int = 5
    frames: int = 5000
    angle: float = 60.0
    digits: int = 150
    animals: int = 200
    batch: int = 10


PUBLISHED: dict[str, Any] = {}

FIGURES = {
    "regression.over-ridge": Figure("over-ridge", "ratio", at_most=1.01),
    **{f"regression.over-ridge-{name}": Figure(f"{name}.ridge", "ratio", at_most=1.01) for name in SETS},
    **{f"regression.over-neighbours-{name}": Figure(f"{name}.neighbours", "ratio") for name in SETS},
    **{f"regression.over-mean-{name}": Figure(f"{name}.mean", "ratio") for name in SETS},
    "regression.over-river-diabetes": Figure("diabetes.river", "ratio"),
    "regression.inside": Figure("inside", "%", at_least=88.0, at_most=92.0),
    **{f"regression.inside-{name}": Figure(f"{name}.inside", "%") for name in SETS},
    **{f"regression.refused-{name}": Figure(f"{name}.refused", "%") for name in SETS},
    "regression.laws": Figure("laws", "flag", at_least=1.0),
    "regression.domains-error": Figure("domains.ours.error", "°"),
    "regression.domains-ridge": Figure("domains.ridge.error", "°"),
    "regression.domains-network": Figure("domains.network.error", "°"),
    "regression.domains-network-joint": Figure("domains.joint.error", "°"),
    "regression.domains-forgotten": Figure("domains.ours.forgotten", "°"),
    "regression.domains-network-forgotten": Figure("domains.network.forgotten", "°"),
    "regression.story-dogs-before": Figure("story.ours.before", "years"),
    "regression.story-dogs-after": Figure("story.ours.after", "years"),
    "regression.story-dogs-forgotten": Figure("story.ours.forgotten", "years"),
    "regression.story-parrots": Figure("story.ours.parrots", "years"),
    "regression.story-network-before": Figure("story.network.before", "years"),
    "regression.story-network-after": Figure("story.network.after", "years"),
    "regression.story-network-forgotten": Figure("story.network.forgotten", "years"),
    "regression.story-joint-after": Figure("story.joint.after", "years"),
    "regression.story-joint-parrots": Figure("story.joint.parrots", "years"),
    "regression.story-strangers-refused": Figure("story.ours.strangers-refused", "%"),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which divides the data, turns the digits and draws the animals."""
    rng = np.random.default_rng(seed)
    progress(0.0, "digits, turned")
    digits = turned_digits(config, rng)
    tasks: dict[str, Callable[[], list[NumberExperience]]] = {
        "diabetes": lambda: [diabetes(rng) for _ in range(config.draws)],
        "cheetah": lambda: [cheetah(config, rng)],
        "angles": lambda: [joined(digits)],
    }
    values: Values = {}
    identical = []
    for place, (name, make) in enumerate(tasks.items()):
        progress(0.2 + 0.15 * place, name)
        drawn = make()
        values[name] = averaged([at_once(one, name == "diabetes", seed) for one in drawn])
        identical.append(keeps_the_laws(drawn[0], rng))
    progress(0.7, "digit after digit")
    values["domains"] = by_domains(digits, config.batch, seed)
    progress(0.9, "dogs, then parrots")
    values["story"] = story(config, rng, seed)
    values["laws"] = float(all(identical))
    values["over-ridge"] = float(np.mean([values[name]["ridge"] for name in SETS]))
    values["inside"] = float(np.mean([values[name]["inside"] for name in SETS]))
    return flat(values)


def flat(values: Mapping[str, Any], before: str = "") -> Values:
    """Nested values by one name each, such as "story.ours.before"."""
    found: Values = {}
    for name, value in values.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {before + name: value}
    return found


# The data


def diabetes(rng: np.random.Generator) -> NumberExperience:
    """442 people, ten readings each: the progress of the disease after a year. A quarter is asked about."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    order = rng.permutation(len(data.target))
    asked, taught = order[:110], order[110:]
    target = data.target[:, None]
    return NumberExperience("diabetes", data.data[taught], target[taught], data.data[asked], target[asked])


def cheetah(config: Config, rng: np.random.Generator) -> NumberExperience:
    """17 readings of a frame: those of the next one. Other trajectories are asked about than are taught."""
    data = half_cheetah()
    taught, asked = next_frames(data.train), next_frames(data.test)
    some = rng.permutation(len(taught[0]))[: config.frames]
    return NumberExperience("cheetah", taught[0][some], taught[1][some], *asked)


def turned_digits(config: Config, rng: np.random.Generator) -> list[NumberExperience]:
    """For each digit, features of turned pictures and their angles; the pictures are MNIST's test images, which the
    network was not trained on."""
    bundle, data = Bundle.open(packaged_folder() / "digits"), mnist()
    made = []
    for digit in range(10):
        many = config.digits + config.digits // 2
        places = rng.permutation(np.flatnonzero(data.test_labels == digit))[:many]
        angles = rng.uniform(-config.angle, config.angle, many)
        pictures = [np.asarray(Image.fromarray(data.test_images[place]).rotate(angle, Image.Resampling.BILINEAR))
                    for place, angle in zip(places, angles, strict=True)]
        features, numbers = np.asarray(bundle.features(pictures), np.float64), angles[:, None]
        taught, asked = slice(0, config.digits), slice(config.digits, None)
        made.append(NumberExperience(str(digit), features[taught], numbers[taught], features[asked], numbers[asked]))
    return made


def joined(experiences: Sequence[NumberExperience]) -> NumberExperience:
    """All of them as one."""
    parts = [[getattr(one, name) for one in experiences] for name in ("inputs", "numbers", "test_inputs",
                                                                      "test_numbers")]
    return NumberExperience("all", *(np.concatenate(part) for part in parts))


class Animal:
    """A made-up kind of animal, whose age shows in eight measurements.

    Args:
        oldest: years.
        sizes: of weight (kg), length (cm), beak or snout (cm) and claws (mm) when grown.
        growth: years in which two thirds of them are reached.
    """

    def __init__(self, oldest: float, sizes: Sequence[float], growth: float) -> None:
        self.oldest, self.sizes, self.growth = oldest, np.array(sizes), growth

    def drawn(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """(N, 8) measurements and (N, 1) ages in years."""
        age = rng.uniform(0.1, self.oldest, count)
        grown = 1.0 - np.exp(-age / self.growth)
        sizes = self.sizes * (0.3 + 0.7 * grown[:, None]) * rng.normal(1.0, 0.07, (count, 4))
        life = age / self.oldest
        signs = np.column_stack([life**1.5, life, 1.0 - 0.6 * life**2, 0.2 + 0.5 * np.sqrt(life)])
        signs += rng.normal(0.0, 0.06, (count, 4))  # grey, wear, speed of the eye, thickness of the skin
        return np.concatenate([sizes, signs], axis=1), age[:, None]


DOG = Animal(15.0, (25.0, 70.0, 9.0, 14.0), 1.2)
PARROT = Animal(60.0, (0.5, 35.0, 4.0, 20.0), 2.5)


# What is measured


def brain_of(inputs: FloatArray, numbers: FloatArray) -> Brain:
    """A brain that was taught these, told nothing about them."""
    brain = Brain()
    brain.learn(inputs, numbers)
    return brain


def at_once(data: NumberExperience, with_river: bool, seed: int) -> Values:
    """Our error over that of each rival, taught all at once; intervals and refusals."""
    answers = brain_of(data.inputs, data.numbers).predict(data.test_inputs)
    assert answers.values is not None
    assert answers.intervals is not None
    ours, truth, between = rmse(answers.values, data.test_numbers), data.test_numbers, answers.intervals
    rivals = {name: rmse(fit(data.inputs, data.numbers)(data.test_inputs), truth) for name, fit in RIVALS.items()}
    if with_river:  # for one number; on the features of digits it diverges
        rivals["river"] = rmse(river(data.inputs, data.numbers, seed)(data.test_inputs), truth)
    inside = (between[..., 0] <= truth) & (truth <= between[..., 1])
    return {"error": ours, "inside": 100 * float(inside.mean()), "refused": 100 * float(1 - answers.known.mean()),
            **{name: ours / error for name, error in rivals.items()}}


def ridge(inputs: FloatArray, numbers: FloatArray) -> Answer:
    """scikit-learn's ridge regression, its strength chosen from 33 by left-out error."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    made = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 5, 33))).fit(inputs, numbers)
    return lambda asked: np.asarray(made.predict(asked)).reshape(len(asked), -1)


def neighbours(inputs: FloatArray, numbers: FloatArray) -> Answer:
    """The mean of the k nearest examples, k chosen by five-fold cross-validation."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    made = make_pipeline(StandardScaler(), KNeighborsRegressor())
    search = GridSearchCV(made, {"kneighborsregressor__n_neighbors": [1, 3, 5, 10, 20, 40]}, cv=5)
    found = search.fit(inputs, numbers)
    return lambda asked: np.asarray(found.predict(asked)).reshape(len(asked), -1)


def mean(inputs: FloatArray, numbers: FloatArray) -> Answer:
    """What was taught on average."""
    return lambda asked: np.repeat(numbers.mean(axis=0, keepdims=True), len(asked), axis=0)


RIVALS: dict[str, Fit] = {"ridge": ridge, "neighbours": neighbours, "mean": mean}


def river(inputs: FloatArray, numbers: FloatArray, seed: int) -> Answer:
    """river's linear regression, one example after the other in one pass, on values that it standardises itself."""
    from river import linear_model, preprocessing

    made = preprocessing.StandardScaler() | linear_model.LinearRegression(intercept_lr=0.1)
    for place in np.random.default_rng(seed).permutation(len(inputs)):
        made.learn_one(dict(enumerate(inputs[place].tolist())), float(numbers[place, 0]))
    return lambda asked: np.array([[made.predict_one(dict(enumerate(row.tolist())))] for row in asked])


def keeps_the_laws(data: NumberExperience, rng: np.random.Generator) -> bool:
    """Whether order, batching, melding and forgetting end in one digest, by heads on the same integers."""
    whole = brain_of(data.inputs[:400], data.numbers[:400])
    bundle = whole.bundle
    assert bundle is not None

    def taught(*parts: Any) -> Brain:
        brain = Brain(bundle)
        for part in parts:
            brain.learn(data.inputs[part], data.numbers[part])
        return brain

    count = len(data.inputs[:400])
    order = rng.permutation(count)
    half, some = count // 2, rng.permutation(len(data.inputs))[:20]
    shuffled = taught(*(order[start : start + 7] for start in range(0, count, 7)))
    melded = taught(order[:half])
    melded.meld(taught(order[half:]))
    forgot = taught(slice(0, 400))
    before = forgot.digest()
    forgot.learn(data.inputs[some], data.numbers[some])
    changed = forgot.digest() != before
    forgot.forget(data.inputs[some], data.numbers[some])
    return changed and {whole.digest()} == {shuffled.digest(), melded.digest(), forgot.digest()}


class Refitted:
    """A learner that keeps everything, and fits a rival anew when it is asked after more has come."""

    exact = boundaries = False

    def __init__(self, fit: Fit) -> None:
        self._fit, self._answer = fit, cast("Answer | None", None)
        self._inputs: list[FloatArray] = []
        self._numbers: list[FloatArray] = []

    def learn(self, inputs: Any, targets: Any) -> None:
        self._inputs.append(inputs)
        self._numbers.append(targets)
        self._answer = None

    def predict(self, inputs: Any, among: Any = None) -> Predictions:
        if not self._inputs:
            return _answers(np.zeros((len(inputs), 1)))
        if self._answer is None:
            self._answer = self._fit(np.concatenate(self._inputs), np.concatenate(self._numbers))
        return _answers(self._answer(inputs))

    def consolidate(self) -> Consolidation:
        return Consolidation()


class Network:
    """A network of 64 and 64 units, trained on each batch as it arrives for ten steps, with Adam.

    Its inputs and numbers are standardised by the whole stream, which a deployed network does not know yet.
    """

    exact = boundaries = False

    def __init__(self, stream: Sequence[NumberExperience], seed: int) -> None:
        from sklearn.neural_network import MLPRegressor

        self._made = MLPRegressor(hidden_layer_sizes=(64, 64), random_state=seed)
        whole = joined(stream)
        spread = whole.inputs.std(axis=0)
        self._mean, self._spread = whole.inputs.mean(axis=0), np.where(spread > 0, spread, 1.0)
        self._middle, self._scale = whole.numbers.mean(), whole.numbers.std()
        self._taught = False

    def learn(self, inputs: Any, targets: Any) -> None:
        for _ in range(10):
            self._made.partial_fit((inputs - self._mean) / self._spread, (targets[:, 0] - self._middle) / self._scale)
        self._taught = True

    def predict(self, inputs: Any, among: Any = None) -> Predictions:
        if not self._taught:
            return _answers(np.zeros((len(inputs), 1)))
        found = self._made.predict((inputs - self._mean) / self._spread) * self._scale + self._middle
        return _answers(found[:, None])

    def consolidate(self) -> Consolidation:
        return Consolidation()


def joint_network(seed: int) -> Fit:
    """The same network trained anew on everything for 200 passes: what a deployed system cannot do at every arrival."""

    def fit(inputs: FloatArray, numbers: FloatArray) -> Answer:
        from sklearn.neural_network import MLPRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        middle, scale = numbers.mean(), numbers.std()
        made = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(64, 64), random_state=seed,
                                                            max_iter=200, n_iter_no_change=200))
        found = made.fit(inputs, (numbers[:, 0] - middle) / scale)
        return lambda asked: np.asarray(found.predict(asked) * scale + middle)[:, None]

    return fit


def _answers(values: FloatArray) -> Predictions:
    return Predictions(("value",), np.zeros((len(values), 1)), np.ones(len(values), bool), values=values)


def by_domains(stream: list[NumberExperience], batch: int, seed: int) -> Values:
    """Digit after digit: the error at the end, over all digits, and by how much it has grown since each was taught."""
    found: Values = {}
    last = joined(stream)
    contenders = {
        "ours": evaluate_numbers(Regressor(normalise=False), stream, batch=batch),
        "ridge": evaluate_numbers(Refitted(ridge), stream, batch=batch),
        "network": evaluate_numbers(Network(stream, seed), stream, batch=batch),
    }
    for name, report in contenders.items():
        found[name] = {"error": report.final, "forgotten": float(report.forgotten[:-1].mean()),
                       "matrix": report.errors[1:]}
    answer = joint_network(seed)(last.inputs, last.numbers)
    errors = [rmse(answer(one.test_inputs), one.test_numbers) for one in stream]
    found["joint"] = {"error": float(np.mean(errors))}
    return found


def story(config: Config, rng: np.random.Generator, seed: int) -> Values:
    """Dogs, then parrots: how far off the ages of dogs are before and after the parrots came, and those of parrots."""
    stream = []
    for name, animal in (("dogs", DOG), ("parrots", PARROT)):
        taught, asked = animal.drawn(config.animals, rng), animal.drawn(config.animals, rng)
        stream.append(NumberExperience(name, *taught, *asked))
    brain = Brain(Bundle.of_vectors(8, largest=[50.0, 100.0, 15.0, 30.0, 2.0, 2.0, 2.0, 2.0]))
    contenders = {
        "ours": evaluate_numbers(cast(Learner, brain), stream, batch=config.batch),
        "network": evaluate_numbers(Network(stream, seed), stream, batch=config.batch),
        "joint": evaluate_numbers(Refitted(joint_network(seed)), stream, batch=config.batch),
        "ridge": evaluate_numbers(Refitted(ridge), stream, batch=config.batch),
    }
    found: Values = {name: _told(report) for name, report in contenders.items()}
    found["ours"]["strangers-refused"] = 100 * float(1 - contenders["ours"].known[1, 1])
    return found


def _told(report: NumberReport) -> Values:
    return {"before": float(report.errors[1, 0]), "after": float(report.errors[2, 0]),
            "forgotten": float(report.forgotten[0]), "parrots": float(report.errors[2, 1])}


def plot(result: Mapping[str, Any]) -> Any:
    """The error on the first digit as further digits arrive."""
    values = result["values"]
    figure, (axes,) = canvas(1, width=5.6)
    curves = {}
    for name, called in (("ours", "the exact regressor"), ("ridge", "ridge regression, fitted anew on everything"),
                         ("network", "a network, trained on what arrives")):
        matrix = values[f"domains.{name}.matrix"]
        curves[called] = (range(1, 11), [row[0] for row in matrix["mean"]], [row[0] for row in matrix["sd"]])
    draw_curves(axes, curves, "digits taught", "error on the first digit (degrees)", "Digit after digit")
    return figure
