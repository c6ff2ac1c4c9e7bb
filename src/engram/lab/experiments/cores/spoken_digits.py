"""Spoken digits heard by a core under the fast head: known and unseen speakers, a word taught live, unknown words.

A recording is heard as log-mel frames by a core that nothing was trained in; the mean and the deviation of its outputs
over time are what the head learns. Takes 5 to 19 of each digit by each of six speakers are there to learn from, and
takes 0 to 4 are asked about. Which core, and its settings, are chosen on takes 5 to 9 and by leaving speakers out of
takes 5 to 19. Rivals are the mean and deviation of the frames themselves, and of random features of each frame, under
the same head; and a ridge regression on the core's features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engram.features.backbones.bundle import Bundle
from engram.features.cores.next_generation_reservoir import NextGenerationReservoir
from engram.features.cores.sequence_backbone import SequenceBackbone
from engram.heads.fast import FastHead
from engram.lab.data_sets.spoken_digits import TEST_TAKES, recordings
from engram.lab.evaluation import accuracy, auroc
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.cores.series import Readout, grid, random_features
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.steps import measured, steps_of
from engram.learner import FloatArray

Places = npt.NDArray[np.bool_]
Make = Callable[[], FastHead]


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        width: outputs of a core.
        leak: what the echo state network tries.
        longest: time constants in frames that the diagonal recurrence tries.
        shots: examples of the word that is taught live.
        ridge: of the ridge regression.
        trial_seed: of the cores among which is chosen; no seed that is tested.
    """

    width: int = 300
    leak: tuple[float, ...] = (0.1, 0.3, 0.6)
    longest: tuple[float, ...] = (10.0, 30.0, 100.0)
    shots: int = 5
    ridge: float = 0.1
    trial_seed: int = 100


PUBLISHED: dict[str, Any] = {}
FIGURES = {
    "spoken.same": Figure("same", "%", at_least=99.0),
    "spoken.unseen-speaker": Figure("unseen-speaker", "%", at_least=87.0),
    "spoken.word-5": Figure("word-5", "%", at_least=85.0),
    "spoken.unknown-auroc": Figure("unknown-auroc", "%", at_least=92.0),
    **{f"spoken.{rival}-{what}": Figure(f"{rival}-{what}", "%") for rival in ("frames", "random", "ridge")
       for what in ("same", "unseen-speaker")},
}


class Spoken(NamedTuple):
    """Sounds, and (N,) digits, names of speakers and takes."""

    sounds: list[Any]
    digits: npt.NDArray[np.int64]
    speakers: npt.NDArray[np.str_]
    takes: npt.NDArray[np.int64]

    @property
    def known(self) -> Places:
        """What there is to learn from."""
        return np.asarray(self.takes >= TEST_TAKES)


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the core, the words taught live and the unknown ones."""
    found = recordings()
    spoken = Spoken([one.sound for one in found], np.array([one.digit for one in found]),
                    np.array([one.speaker for one in found]), np.array([one.take for one in found]))
    trials = steps_of("spoken-digits", asdict(config))
    choices = [{"core": "echo-state", **one} for one in grid(leak=config.leak)]
    choices += [{"core": "diagonal-recurrence", **one} for one in grid(longest=config.longest)]
    tried: list[Values] = []
    for i, settings in enumerate(choices):
        progress(i / 10, f"trying {settings['core']}")
        tried.append({"settings": settings} | measured(f"{trials}/{i}", partial(_trial, config, spoken, settings)))
    chosen = max(tried, key=lambda one: one["score"])["settings"]
    progress(0.6, "measuring")
    bundle, features = heard(spoken, config, chosen, seed)
    make = partial(fast_head, bundle)
    values = _asked(make, spoken, features) | _live(config, make, spoken, features, seed)
    for name, rival in (("frames", _moments(spoken, None)), ("random", _moments(spoken, seed))):
        progress(0.8, f"rival: {name}")
        scores = _asked(FastHead, spoken, _standard(rival, spoken.known))
        values |= {f"{name}-{what}": scores[what] for what in ("same", "unseen-speaker")}
    scores = _ridge(config, spoken, features)
    return values | {f"ridge-{what}": value for what, value in scores.items()} | {"trials": tried, "chosen": chosen}


def heard(spoken: Spoken, config: Config, settings: Mapping[str, Any], seed: int) -> tuple[Bundle, FloatArray]:
    """A backbone as `engram teach --backbone` makes it of the first sounds, and (N, D) features of all."""
    known = [spoken.sounds[place] for place in np.flatnonzero(spoken.known)]
    options: dict[str, Any] = {**settings}
    if settings["core"] == "echo-state":
        options |= {"reach": 0.2}
    backbone = SequenceBackbone.hearing(known, takes="sound", seed=seed, width=config.width, **options)
    bundle = Bundle.measure(backbone, known, None)
    return bundle, bundle.features(spoken.sounds).astype(np.float64)


def _trial(config: Config, spoken: Spoken, settings: Mapping[str, Any]) -> Values:
    """Known and unseen speakers among what there is to learn from: the mean of both."""
    bundle, features = heard(spoken, config, settings, config.trial_seed)
    late = spoken.takes >= 2 * TEST_TAKES
    make = partial(fast_head, bundle)
    same = right(make, spoken, features, late, spoken.known & ~late)
    unseen = np.mean([right(make, spoken, features, spoken.known & ~mine, spoken.known & mine)
                      for mine in (spoken.speakers == name for name in np.unique(spoken.speakers))])
    return {"same": same, "unseen": float(unseen), "score": (same + float(unseen)) / 2}


def right(make: Make, spoken: Spoken, features: FloatArray, taught: Places, asked: Places) -> float:
    """Percent of what is asked that a head is right about."""
    head = make()
    head.learn(features[taught], spoken.digits[taught].tolist())
    return 100 * accuracy(head.predict(features[asked]).best, spoken.digits[asked].tolist())


def _asked(make: Make, spoken: Spoken, features: FloatArray) -> Values:
    """The test takes of all speakers; and of each, taught by the others."""
    unseen = [right(make, spoken, features, spoken.known & (spoken.speakers != name),
                    ~spoken.known & (spoken.speakers == name)) for name in np.unique(spoken.speakers)]
    return {"same": right(make, spoken, features, spoken.known, ~spoken.known),
            "unseen-speaker": float(np.mean(unseen)), "by-speaker": unseen}


def _live(config: Config, make: Make, spoken: Spoken, features: FloatArray, seed: int) -> Values:
    """A word taught live by somebody who taught nothing else; and words that nobody taught."""
    rng = np.random.default_rng([seed, 5])
    shares = []
    for name in np.unique(spoken.speakers):
        mine, word = spoken.speakers == name, int(rng.integers(10))
        head = make()
        others = spoken.known & ~mine & (spoken.digits != word)
        head.learn(features[others], spoken.digits[others].tolist())
        own = rng.permutation(np.flatnonzero(spoken.known & mine & (spoken.digits == word)))[: config.shots]
        head.learn(features[own], [word] * len(own))
        asked = ~spoken.known & mine & (spoken.digits == word)
        shares.append(100 * accuracy(head.predict(features[asked]).best, [word] * int(asked.sum())))
    few = np.isin(spoken.digits, rng.permutation(10)[:5])
    head = make()
    head.learn(features[spoken.known & few], spoken.digits[spoken.known & few].tolist())
    known, strange = (head.predict(features[~spoken.known & some]).familiarity for some in (few, ~few))
    return {"word-5": float(np.mean(shares)), "unknown-auroc": 100 * auroc(known, strange)}


def _moments(spoken: Spoken, seed: int | None) -> FloatArray:
    """(N, D) mean and deviation of the frames, or of random features of each frame alone."""
    backbone = SequenceBackbone(NextGenerationReservoir.fresh(80, delays=1, degree=1), takes="sound")
    if seed is None:
        return backbone.features(spoken.sounds).astype(np.float64)
    found = []
    for sound in spoken.sounds:
        frames = random_features(backbone.frames(sound), 300, seed, 0.5)
        found.append(np.concatenate([frames.mean(axis=0), frames.std(axis=0)]))
    return np.stack(found)


def _standard(features: FloatArray, known: Places) -> FloatArray:
    spread = features[known].std(axis=0)
    return np.asarray((features - features[known].mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _ridge(config: Config, spoken: Spoken, features: FloatArray) -> Values:
    """A ridge regression of the ten digits in the place of the head."""
    def share(taught: Places, asked: Places) -> float:
        read = Readout(features[taught], np.eye(10)[spoken.digits[taught]], config.ridge)
        return 100 * float((read(features[asked]).argmax(axis=1) == spoken.digits[asked]).mean())

    unseen = [share(spoken.known & (spoken.speakers != name), ~spoken.known & (spoken.speakers == name))
              for name in np.unique(spoken.speakers)]
    return {"same": share(spoken.known, ~spoken.known), "unseen-speaker": float(np.mean(unseen))}


def plot(result: Mapping[str, Any]) -> Any:
    """Known and unseen speakers: the core under the head, beside the rivals."""
    figure, panels = canvas(2, width=4.4, height=2.6)
    titles = {"": "core, fast head", "ridge-": "core, ridge regression", "random-": "random features of frames",
              "frames-": "frames themselves"}
    for axes, what in zip(panels, ("same", "unseen-speaker"), strict=True):
        values = {title: result["values"][begins + what] for begins, title in titles.items()}
        bars = {title: (value["mean"], value["sd"]) for title, value in values.items()}
        draw_bars(axes, bars, "accuracy (%)", what.replace("-", " "), span=(0, 112))
    return figure
