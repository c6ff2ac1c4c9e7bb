"""The demonstration: real digits, taught one by one to a network that never saw a 3, and what can be done then.

Everything is computed while it is told: `story` yields events (`digits_events`) and shows nothing itself. Nothing is
downloaded: the digits are scikit-learn's, the backbone is packaged. The rival is what most people do first: a softmax
layer on the same frozen features, fine-tuned by stochastic gradient descent.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.brain import Brain, meld
from engram.brain.certificate import SCRIPT, prove_forgotten, prove_meld
from engram.demo.digits_events import (
    Consolidated,
    Event,
    Finished,
    Forgotten,
    Measured,
    Melded,
    Named,
    NeverSeen,
    Opened,
    Part,
    Refused,
    Rival,
    Shots,
    Streamed,
    Taught,
    Verified,
)
from engram.features.backbones.bundle import Bundle
from engram.heads.head import Head, Positions, grown, softmax
from engram.inputs.vectors import as_vectors, unit_length
from engram.lab.data_sets.digits import WITHHELD, Digits, digits
from engram.lab.evaluation.measures import accuracy, confusion_matrix
from engram.learner import FloatArray, Label, Predictions, State

SHOTS = (1, 2, 5, 10, 20)
MEASURE_EVERY = 20
DIGITS = tuple(range(10))
Places = npt.NDArray[np.intp]

RATES = tuple(float(rate) for rate in 4.0 ** np.arange(-5, 3))
"""Learning rates of the softmax layer to choose from."""


class SoftmaxLayer(Head):
    """Multinomial logistic regression: one gradient step on the cross-entropy for each example, in the order taught.

    The layer has a row of weights and a bias for every label it has met; new ones start at zero.

    Args:
        rate: learning rate.

    >>> layer = SoftmaxLayer(rate=1.0)
    >>> layer.learn([[1.0, 0.0], [0.0, 1.0]], ["right", "up"])
    >>> layer.predict([0.0, 2.0]).best
    ['up']
    """

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        self.rate = rate
        self._weights: FloatArray = np.zeros((0, 0))

    def config(self) -> dict[str, Any]:
        return {"rate": self.rate}

    def _learn(self, vectors: FloatArray, classes: Positions) -> None:
        if not self._weights.size:
            self._weights = np.zeros((0, vectors.shape[1] + 1))
        for row, place in zip(_with_bias(vectors), classes.tolist(), strict=True):
            self._weights = grown(self._weights, place + 1)
            error = softmax((self._weights @ row)[None])[0]
            error[place] -= 1
            self._weights -= self.rate * np.outer(error, row)

    def _scores(self, vectors: FloatArray) -> FloatArray:
        scores: FloatArray = _with_bias(vectors) @ self._weights.T
        return scores

    def _arrays(self) -> State:
        return {"weights": self._weights}

    def _restore(self, state: State) -> None:
        weights = np.asarray(state["weights"], np.float64)
        if weights.ndim != 2 or len(weights) != len(self._book):
            raise ValueError("weights and labels do not fit each other")
        self._weights = weights.copy()


def scalings(bundle: Bundle, inputs: Any) -> dict[str, FloatArray]:
    """The same features, (N, D), in the three scales in which people put a layer on them.

    "as the fast head gets them" is what the bundle prescribes: unit length where it says so, less the bundle's mean;
    "as the network gives them" is untouched; "standardised" divides the first by the bundle's own deviation within
    classes.
    """
    given = as_vectors(bundle.features(inputs), bundle.width)
    centred = (unit_length(given) if bundle.normalise else given) - bundle.mean
    found = {"as the fast head gets them": centred, "as the network gives them": given}
    if bundle.covariance is not None:
        found["standardised"] = centred / np.sqrt(np.maximum(np.diagonal(bundle.covariance), 1e-12))
    return found


def best_rate(
    features: FloatArray, labels: Sequence[Label], seed: int, rates: Iterable[float] = RATES, splits: int = 5
) -> float:
    """The learning rate that serves the layer best when the (N, D) examples come shuffled, once each.

    It is judged by the mean cross-entropy on a fifth of the examples, held back, over several random splits: with few
    examples many rates share the best accuracy, those among them that hardly train at all.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(features)) for _ in range(splits)]
    losses = {rate: np.mean([_loss(rate, features, labels, order) for order in orders]) for rate in rates}
    return min(losses, key=lambda rate: losses[rate])


def _loss(rate: float, features: FloatArray, labels: Sequence[Label], order: Positions) -> float:
    held, rest = order[: len(order) // 5], order[len(order) // 5 :]
    layer = SoftmaxLayer(rate)
    layer.learn(features[rest], [labels[i] for i in rest])
    return _cross_entropy(layer, features[held], [labels[i] for i in held])


def _cross_entropy(layer: SoftmaxLayer, features: FloatArray, labels: Sequence[Label]) -> float:
    """Mean over the examples, in nats; a label that was never met counts as one of probability 1e-12."""
    answers = layer.predict(features)
    shares = softmax(answers.scores)
    columns = {label: i for i, label in enumerate(answers.candidates)}
    right = [row[columns[label]] if label in columns else 0.0 for row, label in zip(shares, labels, strict=True)]
    return float(-np.log(np.maximum(right, 1e-12)).mean())


def _with_bias(vectors: FloatArray) -> npt.NDArray[np.float64]:
    return np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1)


def story(out: Path, seed: int = 0, backbone: str = "digits") -> Iterator[Event]:
    """Tell it from the beginning to the end; certificates are written to folders in `out`.

    Args:
        seed: decides the order of digits and images, and which digit comes late, as an unknown.
        backbone: name or folder of the bundle.

    Raises:
        InputError: there is no such backbone, or scikit-learn is not installed.
    """
    started = time.perf_counter()
    told = _Story(digits(), Bundle.named(backbone), seed)
    yield told.opened()
    yield from told.class_after_class()
    yield from told.never_seen()
    yield from told.unknown()
    yield told.streamed()
    yield from told.rivals()
    yield told.consolidated()
    yield from told.melded_and_forgotten(out)
    yield Finished(time.perf_counter() - started)


class _Story:
    """One brain, one softmax layer, and the stream both are taught."""

    def __init__(self, data: Digits, bundle: Bundle, seed: int) -> None:
        self.data, self.bundle, self.seed = data, bundle, seed
        rng = np.random.default_rng(seed)
        *self.order, self.unknown_digit = (int(digit) for digit in rng.permutation(np.setdiff1d(DIGITS, WITHHELD)))
        self.taught_places = {digit: rng.permutation(self._of(data.teach, digit)) for digit in DIGITS}
        self.shuffle = rng.permutation(data.teach)
        self.truth: list[Label] = data.labels[data.test].tolist()
        self.scaled = scalings(bundle, data.images)
        self.features = next(iter(self.scaled.values()))
        self.brain = Brain(bundle)
        self.layer = SoftmaxLayer(self._best_rate(self.features))
        self.stream: list[int] = []
        self.times: list[float] = []

    def opened(self) -> Opened:
        data, bundle = self.data, self.bundle
        shuffled = SoftmaxLayer(self.layer.rate)
        shuffled.learn(self.features[self.shuffle], data.labels[self.shuffle])
        return Opened(
            self.seed, bundle.name, bundle.fingerprint, bundle.width, len(data.teach), len(data.test), WITHHELD,
            self.unknown_digit, tuple(self.order), self.layer.rate, len(RATES), self._accuracy_of(shuffled),
        )

    def class_after_class(self) -> Iterator[Event]:
        for digit in self.order:
            yield from self._teach(self.taught_places[digit])

    def never_seen(self) -> Iterator[Event]:
        """The digit that the backbone was not trained on, taught image by image."""
        places = self.taught_places[WITHHELD]
        refused = int((~self._ask(places).known).sum())
        yield NeverSeen(WITHHELD, len(places), refused, self._images(places[: len(SHOTS)]))
        for shots, event in self._numbered(places):
            yield event
            if shots in (*SHOTS, len(places)) and isinstance(event, Taught):
                yield self._shots(shots)

    def unknown(self) -> Iterator[Event]:
        """A digit not yet taught is shown, refused, named, and known."""
        digit, places = self.unknown_digit, self.taught_places[self.unknown_digit]
        answers = self.brain.predict(self.data.images[places], remember=True)
        groups = self.brain.unknown_groups()
        refused = places[~answers.known]
        yield Refused(
            digit, len(places), len(refused), tuple(len(group.members) for group in groups), str(answers[0]),
            self._images(places[: len(SHOTS)]),
        )
        if groups:
            members = refused[[number - 1 for number in groups[0].members]]  # the inbox was empty, it counts from 1
            learned = self.brain.name(groups[0].number, digit)
            self.layer.learn(self.features[members], self.data.labels[members])
            self.stream += members.tolist()
            yield from (self._taught(place, step) for step, place in enumerate(members, len(self.stream) - learned + 1))
            yield self._named(learned)
            places = np.array([place for place in places if place not in set(members.tolist())], np.intp)
        yield self._measured()
        yield from self._teach(places)

    def streamed(self) -> Streamed:
        best = self._ask(self.data.test).best
        guesses = self.layer.predict(self.features[self.data.test]).best
        return Streamed(
            len(self.stream), accuracy(best, self.truth), self._accuracy(self._brain_of(self.shuffle)),
            accuracy(guesses, self.truth), 1000 * float(np.median(self.times)), self.brain.digest(),
            self._confusion(best), self._confusion(guesses),
        )

    def rivals(self) -> Iterator[Rival]:
        """The softmax layer once more, in every scale of the features: its best rate, shuffled, and in this stream."""
        for name, features in self.scaled.items():
            rate = self.layer.rate if features is self.features else self._best_rate(features)
            shares = []
            for places in (self.shuffle, np.array(self.stream)):
                layer = SoftmaxLayer(rate)
                layer.learn(features[places], self.data.labels[places])
                shares.append(accuracy(layer.predict(features[self.data.test]).best, self.truth))
            yield Rival(name, rate, *shares)

    def consolidated(self) -> Consolidated:
        before, digest = self._accuracy(self.brain), self.brain.digest()
        done = self.brain.consolidate()
        return Consolidated(
            done.before, done.after, before, self._accuracy(self.brain), digest == self.brain.digest()
        )

    def melded_and_forgotten(self, out: Path) -> Iterator[Event]:
        """Two brains become one, which forgets the digit again; both are proven."""
        halves = [self._brain_of(self.shuffle[self.data.labels[self.shuffle] // 5 == half]) for half in (0, 1)]
        one = meld(*halves)
        yield Melded(
            (self._part(halves[0]), self._part(halves[1])), _examples(one), self._accuracy(one), one.digest(),
            self._brain_of(self.shuffle).digest(), self.brain.digest(),
        )
        prove_meld(one, {"the first brain": halves[0], "the second brain": halves[1]}, out / "meld")
        yield _verified("meld", out / "meld")
        yield self._forgotten(one, WITHHELD, out)
        yield _verified("forgotten", out / "forgotten", "../forgotten-images.npy")

    def _forgotten(self, brain: Brain, digit: int, out: Path) -> Forgotten:
        gone = self.taught_places[digit]
        others = self.data.test[self.data.labels[self.data.test] != digit]
        asked = self._of(self.data.test, digit)
        before, right = brain.digest(), self._accuracy(brain, others)
        brain.forget(examples=self.data.images[gone], labels=digit)
        prove_forgotten(
            brain, out / "forgotten", examples=self.data.images[gone], labels=digit, label=digit,
            keep=out / "forgotten-images.npy",
        )
        never = self._brain_of(self.shuffle[self.data.labels[self.shuffle] != digit])
        refused = int((~brain.predict(self.data.images[asked]).known).sum())
        return Forgotten(
            digit, len(gone), before, brain.digest(), never.digest(), right, self._accuracy(brain, others), len(asked),
            refused,
        )

    # Teaching and measuring

    def _teach(self, places: Sequence[int] | Places) -> Iterator[Event]:
        """One by one, to both; measured now and then, and at the end."""
        for i, place in enumerate(places, 1):
            start = time.perf_counter()
            self.brain.learn(self.data.images[place], int(self.data.labels[place]))
            self.times.append(time.perf_counter() - start)
            self.layer.learn(self.features[place], int(self.data.labels[place]))
            self.stream.append(int(place))
            yield self._taught(place, len(self.stream))
            if i == len(places) or i % MEASURE_EVERY == 0 or i == 1:
                yield self._measured()

    def _numbered(self, places: Places) -> Iterator[tuple[int, Event]]:
        """What `_teach` yields, with how many have been taught by then."""
        shots = 0
        for event in self._teach(places):
            shots += isinstance(event, Taught)
            yield shots, event

    def _taught(self, place: int | np.intp, step: int) -> Taught:
        return Taught(step, int(self.data.labels[place]), self.data.images[place])

    def _measured(self) -> Measured:
        known = np.isin(self.truth, self.brain.labels)
        return Measured(
            len(self.stream), int(self.data.labels[self.stream[-1]]), self._accuracy(self.brain),
            self._accuracy_of(self.layer), float(known.mean()),
        )

    def _shots(self, shots: int) -> Shots:
        of_digit = self._of(self.data.test, WITHHELD)
        guesses = self.layer.predict(self.features[of_digit]).best
        return Shots(
            WITHHELD, shots, self._accuracy(self.brain, of_digit), accuracy(guesses, [WITHHELD] * len(of_digit)),
            self._accuracy(self.brain), self._accuracy_of(self.layer),
        )

    def _named(self, learned: int) -> Named:
        digit, of_digit = self.unknown_digit, self._of(self.data.test, self.unknown_digit)
        answers, everything = self._ask(of_digit), self._ask(self.data.test)
        return Named(
            digit, learned, accuracy(answers.labels, [digit] * len(of_digit)), str(answers[0]),
            float(1 - everything.known.mean()), self.brain.options["alpha"], self.data.images[of_digit[0]],
        )

    def _best_rate(self, features: Any) -> float:
        teach = self.data.teach
        return best_rate(features[teach], self.data.labels[teach].tolist(), self.seed)

    def _brain_of(self, places: Places) -> Brain:
        brain = Brain(self.bundle)
        brain.learn(self.data.images[places], self.data.labels[places])
        return brain

    def _part(self, brain: Brain) -> Part:
        labels = tuple(sorted(int(label) for label in brain.labels))
        return Part(labels, _examples(brain), self._accuracy(brain), brain.digest())

    def _ask(self, places: Places) -> Predictions:
        return self.brain.predict(self.data.images[places])

    def _accuracy(self, brain: Brain, places: Places | None = None) -> float:
        places = self.data.test if places is None else places
        return accuracy(brain.predict(self.data.images[places]).best, self.data.labels[places].tolist())

    def _accuracy_of(self, layer: SoftmaxLayer) -> float:
        return accuracy(layer.predict(self.features[self.data.test]).best, self.truth)

    def _confusion(self, best: Sequence[Label | None]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(row) for row in confusion_matrix(best, self.truth, DIGITS).tolist())

    def _of(self, places: Places, digit: int) -> Places:
        found: Places = places[self.data.labels[places] == digit]
        return found

    def _images(self, places: Places) -> tuple[Any, ...]:
        return tuple(self.data.images[places])


def _examples(brain: Brain) -> int:
    return int(brain.exact_sums().total)


def _verified(claim: str, folder: Path, *more: str) -> Verified:
    """Run the certificate's own script where it lies, in a process that is told nothing of Engram."""
    done = subprocess.run(
        [sys.executable, "-I", SCRIPT, ".", *more], cwd=folder, capture_output=True, text=True, check=False
    )
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    checks = [(mark == "ok", sentence.strip()) for mark, _, sentence in lines]
    if done.returncode and all(holds for holds, _ in checks):
        checks.append((False, (done.stderr.strip().splitlines() or ["the script failed"])[-1]))
    command = " ".join(["python", SCRIPT, ".", *more])
    return Verified(claim, str(folder), f"cd {folder} && {command}", tuple(checks), done.returncode)
