"""Grow and prune while more and more speech arrives: a recogniser with three bidirectional H-LSTM layers, on AN4.

The dense network and the one trained from scratch and then pruned (TFS) see all data at once. Ours begins with 40% of
it and takes six updates of 10% each; at every update connections grow where the new portion asks for them, learn it
first, and the network is pruned to its old size while it learns all data so far. Eight speakers of the training part
are held back: they say how far TFS can be pruned, in rounds, until two retrainings in a row do not bring its accuracy
back. Ours is pruned to a fixed share of what TFS comes down to; beside it stands the dense network pruned to the same
size, on all data, with the recipe of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engram.lab.data_sets.an4 import AN4, COEFFICIENTS, Utterances, an4
from engram.lab.evaluation.ctc_decoding import (
    WordBigram,
    character_error_rate,
    greedy,
    prefix_beam_search,
    word_error_rate,
)
from engram.lab.evaluation.plots import canvas, draw_curves
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.grow_and_prune.deep_speech import DeepSpeech
from engram.lab.experiments.grow_and_prune.speech_training import ALPHABET, DELTAS, Places, Teacher
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import steps_of, trained
from engram.networks.strategies.networks import seeded
from engram.networks.structure.denormals import denormals_flushed
from engram.networks.structure.growth import grow, mean_gradients
from engram.networks.structure.pruning import cubic, prune_to

PATENT = "US 12,393,842 B2, FIG. 13"


@dataclass(frozen=True)
class Config:
    """Settings of the published run, chosen on speakers held back from the training part.

    Attributes:
        portions: shares of the training data that have arrived after each step.
        held_back: speakers of the training part that nothing is trained on.
        channels, width, hidden: of the network; see `DeepSpeech`.
        dropout, gate_dropout, batch, between: of the training; see `DeepSpeech` and `Teacher`.
        dense_epochs, rate: of the dense network, and the highest learning rate of a training from scratch.
        prune: share of its parameters that TFS loses in a round, little by little in the first half of its retraining.
        retrain_epochs, retrain_rate: of a round of TFS; once more where the target is missed at first.
        slack: points of word error rate that TFS may lose on the speakers held back, against the dense network.
        size: parameters of ours, as a share of those of TFS.
        seed_density: share of all connections that ours begins with.
        alpha: percentile of the gradients from which a dormant connection wakes.
        eta: weight of a connection that wakes, relative to its gradient.
        first_epochs: of ours on the first portion.
        new_epochs, update_epochs: of each update, passes over the new portion, and then over all data so far.
        update_rate: the highest learning rate of an update.
        grown: share of an update's passes over all data before its first pruning.
        settled: share after its last one.
        beam: texts kept while decoding.
        word_weight, word_bonus: of the word bigram, where it helps.
        device: "cpu" or "cuda".
    """

    portions: tuple[float, ...] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    held_back: int = 8
    channels: int = 64
    width: int = 64
    hidden: int = 64
    dropout: float = 0.1
    gate_dropout: float = 0.1
    batch: int = 16
    between: float = 0.3
    dense_epochs: float = 45.0
    rate: float = 2e-3
    retrain_epochs: float = 6.0
    retrain_rate: float = 5e-4
    prune: float = 0.3
    slack: float = 1.0
    size: float = 0.65
    seed_density: float = 0.5
    alpha: float = 50.0
    eta: float = 0.01
    first_epochs: float = 60.0
    new_epochs: float = 3.0
    update_epochs: float = 18.0
    update_rate: float = 1e-3
    grown: float = 0.2
    settled: float = 0.25
    beam: int = 16
    word_weight: float = 1.0
    word_bonus: float = 0.0
    device: str = "cpu"


_SHARES = (40, 50, 60, 70, 80, 90, 100)
PUBLISHED: dict[str, Any] = {
    "patent": {
        "source": PATENT,
        "data": list(_SHARES),
        "wer": {"train from scratch": [48.1, 35.6, 33.9, 25.1, 20.9, 15.8, 12.4],
                "network fine-tuning": [48.1, 37.7, 34.0, 23.8, 21.8, 15.3, 12.6],
                "NeST": [45.8, 34.7, 32.8, 22.9, 20.4, 15.4, 11.9],
                "grow and prune": [45.8, 34.7, 32.4, 22.9, 20.1, 15.4, 11.7]},
        "parameters at 100%, millions": {"train from scratch": 7.4, "network fine-tuning": 7.6, "NeST": 6.1,
                                         "grow and prune": 5.7},
        "epochs at 100%": {"train from scratch": 269, "network fine-tuning": 232, "NeST": 308, "grow and prune": 88},
    },
}

FIGURES = {
    "growprune-deepspeech2.wer": Figure("wer", "%", published=11.7, source=PATENT),
    "growprune-deepspeech2.wer-dense": Figure("wer-dense", "%"),
    "growprune-deepspeech2.wer-over-dense": Figure("wer-over-dense", "points", at_most=1.0),
    "growprune-deepspeech2.wer-tfs": Figure("wer-tfs", "%", published=12.4, source=PATENT),
    "growprune-deepspeech2.wer-tfs-recipe": Figure("wer-tfs-recipe", "%"),
    "growprune-deepspeech2.wer-greedy": Figure("wer-greedy", "%"),
    "growprune-deepspeech2.wer-bigram": Figure("wer-bigram", "%"),
    "growprune-deepspeech2.parameters-over-tfs": Figure("parameters-over-tfs", "ratio", at_most=0.70,
                                                        published=0.77, source=PATENT),
    "growprune-deepspeech2.parameters-over-dense": Figure("parameters-over-dense", "ratio"),
    "growprune-deepspeech2.epochs-over-tfs": Figure("epochs-over-tfs", "ratio", at_most=0.40,
                                                    published=0.33, source=PATENT),
}


@denormals_flushed()
def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the speakers held back, the portions, weights, order and views."""
    story = Story(config, seed, progress)
    dense = story.step("dense", None, story.dense)
    tfs = story.step("tfs", "dense", story.pruned)
    live = round(config.size * tfs["parameters"])
    ours = []
    for i, share in enumerate(config.portions):
        before = None if i == 0 else f"ours-{round(100 * config.portions[i - 1])}"
        ours.append(story.step(f"ours-{round(100 * share)}", before, story.update(i, live)))
    recipe = story.step("tfs-recipe", "dense", story.recipe(live))
    last = ours[-1]
    tfs_epochs = dense["epochs"] + tfs["epochs"]
    return {
        "wer": last["wer"], "wer-dense": dense["wer"], "wer-tfs": tfs["wer"],
        "wer-over-dense": last["wer"] - dense["wer"],
        "wer-greedy": last["wer-greedy"], "wer-bigram": last["wer-bigram"],
        "parameters-over-tfs": last["parameters"] / tfs["parameters"],
        "parameters-over-dense": last["parameters"] / dense["parameters"],
        "epochs-over-tfs": last["epochs"] / tfs_epochs,
        "tfs-epochs": tfs_epochs,
        "wer-tfs-recipe": recipe["wer"], "tfs-recipe-epochs": dense["epochs"] + recipe["epochs"],
        "dense": dense, "tfs": tfs, "tfs-recipe": recipe,
        "ours": {key: [step[key] for step in ours] for key in last if not isinstance(last[key], list)},
        "ours-chain-epochs": sum(step["epochs"] for step in ours),
    }


class Story:
    """One seed: the data in the order in which they arrive, and the steps, each kept on disk as soon as it is done."""

    def __init__(self, config: Config, seed: int, progress: Progress) -> None:
        self.config, self.seed, self.progress = config, seed, progress
        corpus: AN4 = an4()
        rng = np.random.default_rng([seed, 0])
        speakers = np.array(corpus.train.speakers)
        held = rng.permutation(np.unique(speakers))[:config.held_back]
        self.corpus, self.test = corpus.train, corpus.test
        self.held_back = _some(corpus.train, np.flatnonzero(np.isin(speakers, held)))
        self.order: Places = rng.permutation(np.flatnonzero(~np.isin(speakers, held)))
        said = [corpus.train.transcripts[i] for i in self.order]
        self.language = WordBigram(said, corpus.dictionary, weight=config.word_weight, bonus=config.word_bonus)
        self.steps = 3 + len(config.portions)
        self.done = 0
        self.folder = steps_of("growprune-deepspeech2", asdict(config), seed=seed)
        self.networks: dict[str, dict[str, Tensor]] = {}

    def arrived(self, step: int) -> Places:
        """What has arrived by a step; -1: nothing."""
        return self.order[:round(self.config.portions[step] * len(self.order))] if step >= 0 else self.order[:0]

    def step(self, name: str, before: str | None, take: Callable[[Teacher], None]) -> Values:
        """The values of a step: taken from the network of the step before, or read if that was done earlier."""
        def train() -> Values:
            take(teacher)
            return {**self._measured(teacher), "epochs": teacher.epochs}

        self._tell(name, 0.0, "")
        rng = np.random.default_rng([self.seed, *name.encode()])
        with seeded(int(rng.integers(2**31))):
            teacher = self._teacher(before, rng)
            values = trained(f"{self.folder}/{name}", teacher.network, train)
        self.networks[name] = teacher.network.state_dict()
        self.done += 1
        self._tell(name, 0.0, f"WER {values['wer-held-back']:.1f}% on speakers held back, "
                              f"{values['parameters']:,} parameters, {values['epochs']:.1f} epochs")
        return values

    def dense(self, teacher: Teacher) -> None:
        """All connections, all data, from scratch."""
        teacher.train(self.order, self.config.dense_epochs, self.config.rate, short_first=True,
                      told=lambda share, loss: self._tell("dense", share, f"loss {loss:.3f}"))

    def pruned(self, teacher: Teacher) -> None:
        """TFS: the dense network loses connections and is trained again, for as long as it gets its accuracy back."""
        config = self.config
        target = self._error(teacher) + config.slack
        best, spent = _copied(teacher.network), teacher.epochs
        while True:
            losing = partial(_falling, teacher.masks.live, config.prune)
            for live in (losing, None):
                teacher.train(self.order, config.retrain_epochs, config.retrain_rate, live=live)
                error = self._error(teacher)
                self._tell("tfs", 0.0, f"{teacher.masks.live:,} parameters, WER {error:.1f}%, target {target:.1f}%")
                if error <= target:
                    best, spent = _copied(teacher.network), teacher.epochs
                    break
            else:
                teacher.network.load_state_dict(best)
                teacher.epochs = spent  # the round that failed is not held against it
                return

    def update(self, step: int, live: int) -> Callable[[Teacher], None]:
        """Ours: what happens when the data of a step arrive; `live` parameters remain."""
        config = self.config

        def take(teacher: Teacher) -> None:
            known, places = self.arrived(step - 1), self.arrived(step)
            name = f"ours-{round(100 * config.portions[step])}"
            if len(known):
                epochs, rate = config.update_epochs, config.update_rate
                new = places[len(known):]
                self._grow(teacher, new)
                teacher.train(new, config.new_epochs, rate)
            else:
                epochs, rate = config.first_epochs, config.rate
                self._sow(teacher)
                teacher.train(places, epochs / 3, rate, short_first=True,
                              told=lambda share, loss: self._tell(name, share / 3, f"loss {loss:.3f}"))
                self._grow(teacher, places)
                epochs *= 2 / 3
            self._prune(teacher, name, places, epochs, rate, live, begun=0.0 if len(known) else 1 / 3)

        return take

    def recipe(self, live: int) -> Callable[[Teacher], None]:
        """The dense network, pruned to the size of ours as an update of ours does it."""
        config = self.config
        return lambda teacher: self._prune(
            teacher, "tfs-recipe", self.order, config.update_epochs, config.update_rate, live)

    def _prune(
        self, teacher: Teacher, name: str, places: Places, epochs: float, rate: float, live: int, begun: float = 0.0,
    ) -> None:
        """Learn, be pruned from what is alive to `live` parameters, and settle."""
        config = self.config
        start, span = teacher.masks.live, 1 - config.grown - config.settled
        teacher.train(places, epochs, rate, live=lambda share: cubic((share - config.grown) / span, start, live),
                      told=lambda share, loss: self._tell(
                          name, begun + (1 - begun) * share, f"loss {loss:.3f}, {teacher.masks.live:,} parameters"))

    def _sow(self, teacher: Teacher) -> None:
        """The seed of ours: connections drawn at random; a neuron keeps those it needs."""
        density = self.config.seed_density
        scores = {name: torch.from_numpy(teacher.rng.random(tuple(mask.shape))).to(mask)
                  for name, mask in teacher.masks.items()}
        prune_to(teacher.masks, round(density * teacher.masks.live), scores)

    def _grow(self, teacher: Teacher, places: Places) -> None:
        teacher.network.eval()
        gradients = mean_gradients(teacher.masks, teacher.once(places), teacher.loss)
        grow(teacher.masks, gradients, self.config.alpha, self.config.eta)

    def _teacher(self, before: str | None, rng: np.random.Generator) -> Teacher:
        """A network as the step before left it, or a new one."""
        config = self.config
        network = DeepSpeech(COEFFICIENTS * (1 + DELTAS), 1 + len(ALPHABET), config.channels, config.width,
                             (config.hidden,), dropout=config.dropout, gate_dropout=config.gate_dropout)
        teacher = Teacher(network.to(config.device), self.corpus, len(self.order), rng, batch=config.batch,
                          between=config.between)
        if before is not None:
            network.load_state_dict(self.networks[before])
        return teacher

    def _error(self, teacher: Teacher) -> float:
        """Word error rate on the speakers held back, in percent, by the best path."""
        return 100 * word_error_rate(
            [greedy(heard, ALPHABET) for heard in teacher.hear(self.held_back)], self.held_back.transcripts)

    def _measured(self, teacher: Teacher) -> dict[str, float]:
        heard = teacher.hear(self.test)
        said = self.test.transcripts
        plain = [greedy(one, ALPHABET) for one in heard]
        beam = [prefix_beam_search(one, ALPHABET, self.config.beam)[0][0] for one in heard]
        words = [prefix_beam_search(one, ALPHABET, self.config.beam, self.language)[0][0] for one in heard]
        return {
            "wer": 100 * word_error_rate(beam, said), "wer-greedy": 100 * word_error_rate(plain, said),
            "wer-bigram": 100 * word_error_rate(words, said), "cer": 100 * character_error_rate(beam, said),
            "wer-held-back": self._error(teacher), "parameters": teacher.masks.live,
        }

    def _tell(self, name: str, share: float, what: str) -> None:
        self.progress((self.done + share) / self.steps, f"{name}: {what}" if what else name)


def _copied(network: DeepSpeech) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _falling(start: int, lost: float, share: float) -> float:
    """Parameters that are alive while a share of a retraining is done: all are lost by its middle."""
    return start * (1 - lost * min(1.0, 2 * share))


def _some(utterances: Utterances, places: Sequence[int] | Places) -> Utterances:
    return Utterances(
        tuple(utterances.frames[i] for i in places), tuple(utterances.transcripts[i] for i in places),
        tuple(utterances.speakers[i] for i in places),
    )


def plot(result: Mapping[str, Any]) -> Any:
    """Word error rate as data arrive, beside dense and TFS; parameters and epochs."""
    values = result["values"]
    figure, (left, right) = canvas(2, width=4.8, height=3.8)
    shares = [100 * share for share in result["config"]["portions"]]
    ours = values["ours"]
    draw_curves(left, {"grow and prune": (shares, ours["wer"]["mean"], ours["wer"]["sd"]),
                       "best path": (shares, ours["wer-greedy"]["mean"], ours["wer-greedy"]["sd"]),
                       "with a word bigram": (shares, ours["wer-bigram"]["mean"], ours["wer-bigram"]["sd"])},
                "data that have arrived (%)", "word error rate (%)", "AN4, ten speakers never heard",
                references={"dense": values["dense"]["wer"]["mean"], "TFS": values["tfs"]["wer"]["mean"],
                            "dense, pruned to the size of ours": values["tfs-recipe"]["wer"]["mean"]})
    draw_curves(right, {"grow and prune": (shares, ours["epochs"]["mean"], ours["epochs"]["sd"])},
                "data that have arrived (%)", "epochs over all data", "Cost of each update",
                references={"TFS": values["tfs-epochs"]["mean"]})
    return figure
