"""Split-MNIST, class-incremental, without a stored example: what came before is dreamt.

The digits come two by two, and which of all ten is asked. As published: generative replay with a variational
autoencoder that knows no classes, the same with distillation, and brain-inspired replay, all with two layers of 400
rectified units, 100 latents, Adam at 0.001 and batches of 128, but fewer steps than the papers' 2,000 in an experience.
Beside them dreamers that cost less: for each digit a mixture of probabilistic principal component analysers, of the
pixels, or of what random patches see (cut from the first experience's images, as in `split-mnist-random-patches`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engram.features.backbones import BACKBONES
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Values
from engram.lab.experiments.strategies.comparison import Method, bars, compared, figures_of, on_perceptron
from engram.lab.streams import Stream


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set by its name; with "digits" everything runs in seconds.
        hidden: units of each layer, of network, encoder and decoder.
        latents: of the autoencoders.
        steps: of the network in an experience.
        dream_steps: of an autoencoder in an experience.
        shut: shares of units that take no part in a class, which brain-inspired replay tries.
        mixtures: (components, factors) that mixtures of probabilistic PCA try.
        filters, patch, first: of random patches: how many, their side, and the images that they are cut from.
        held_out: training images on which settings are chosen.
        trial_seed: of these trials; no seed that is tested.
    """

    data: str = "mnist"
    hidden: tuple[int, ...] = (400, 400)
    latents: int = 100
    steps: int = 400
    dream_steps: int = 400
    shut: tuple[float, ...] = (0.1,)
    mixtures: tuple[tuple[int, int], ...] = ((5, 15), (10, 10))
    filters: int = 30
    patch: int = 7
    first: int = 300
    held_out: int = 6000
    trial_seed: int = 100


LEAST = 1e-3  # added to a feature's deviation: some stay nearly the same in the first images
TITLES = {
    "generative-replay": "generative replay",
    "generative-replay-distill": "… with distillation",
    "brain-inspired-replay": "brain-inspired replay",
    "generative-replay-mppca": "… with mixtures of PPCA",
    "latent-generative-replay": "… of random patches",
}


def seen_by_patches(config: Config) -> Any:
    """(stream, seed) -> what filters, cut from the first images of the stream, see of it."""
    def view(stream: Stream, seed: int) -> Stream:
        shown = stream[0].train.inputs[: config.first]
        patches = BACKBONES.load("random-patches").cut(shown, filters=config.filters, patch=config.patch, seed=seed)
        first = np.asarray(patches.features(shown), np.float32)
        mean, deviation = first.mean(axis=0), first.std(axis=0) + LEAST
        return stream.map(lambda inputs: (np.asarray(patches.features(inputs), np.float32) - mean) / deviation)
    return view


def methods(config: Config) -> dict[str, Method]:
    """Every method with the settings that it is tried with."""
    replay = on_perceptron("generative_replay:GenerativeReplay", config.hidden)
    inspired = on_perceptron("brain_inspired_replay:BrainInspiredReplay", config.hidden)
    steps = {"steps": config.steps}
    vae = {"name": "vae", "hidden": list(config.hidden), "latents": config.latents, "likelihood": "bernoulli",
           "steps": config.dream_steps}
    mixtures = [{**steps, "dreamer": {"name": "mppca", "components": k, "factors": q}}
                for k, q in config.mixtures]
    made = {
        "generative-replay": (replay, [{**steps, "dreamer": vae}]),
        "generative-replay-distill": (replay, [{**steps, "dreamer": vae, "distillation": True}]),
        "brain-inspired-replay": (inspired, [
            {**steps, "latents": config.latents, "hidden": list(config.hidden), "likelihood": "bernoulli", "shut": shut}
            for shut in config.shut]),
        "generative-replay-mppca": (replay, mixtures),
    }
    found = {name: Method(TITLES[name], make, grid) for name, (make, grid) in made.items()}
    latent = "latent-generative-replay"
    return found | {latent: Method(TITLES[latent], replay, mixtures, seen_by_patches(config))}


CELLS = [("class", name) for name in TITLES]
VAN_DE_VEN = "van de Ven, Tolias, arXiv 1809.10635"
BRAIN_INSPIRED = "van de Ven, Tuytelaars, Tolias, Nature Machine Intelligence 4, 2022"
PUBLISHED: dict[str, Any] = {
    "class.generative-replay": {"value": 91.24, "source": VAN_DE_VEN},
    "class.generative-replay-distill": {"value": 91.84, "source": VAN_DE_VEN},
    "class.brain-inspired-replay": {"value": 94.4, "source": BRAIN_INSPIRED},
}
FLOORS = {f"class.{name}": {"at_least": PUBLISHED[f"class.{name}"]["value"]} for name in TITLES
          if f"class.{name}" in PUBLISHED}
FIGURES = figures_of("split-mnist", CELLS, PUBLISHED, FLOORS)


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed: accuracy after all experiences, in percent, for each method."""
    return compared("split-mnist-dreams", config, seed, progress, methods(config), CELLS)


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy after all experiences."""
    return bars(result, TITLES, ["class"])
