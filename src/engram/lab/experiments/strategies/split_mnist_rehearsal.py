"""Split-MNIST, class-incremental, by methods that keep something of the past: examples, latents or codes.

As in `split-mnist`: the digits two by two, then which of all ten is asked; Adam, batches of 128, and rectified units in
the layers of the papers compared with: two of 400 on pixels, two of 100 for DER and DER++. Latent replay, AR1 and
REMIND learn on a frozen lower part: random patches, cut from 300 images of the first two digits, whose 504 numbers go
into one plastic layer of 400 units. Nothing was trained before. Beside them stand the closed-form rivals, on the same
features and on pixels, which keep no examples. Settings are chosen on training images held out.

A-GEM and replay keep 100 examples of each digit, as in van de Ven, Tuytelaars, Tolias 2022; DER and DER++ 200 in all,
as in Buzzega et al. 2020; iCaRL 2,000 in all, as in van de Ven, Tolias 2019. REMIND keeps a code of every image:
`remind-memory-share` is what codes, labels and quantiser take, over the pixels of all images, a byte each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.result import Figure, Values
from engram.lab.experiments.strategies.comparison import Method, bars, compared, figures_of, head, on_perceptron
from engram.lab.experiments.strategies.patch_features import on_random_patches
from engram.lab.streams import data_set


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        data: a data set by its name; with "digits" everything runs in seconds.
        hidden: units of each layer on pixels: A-GEM, replay, iCaRL.
        dark_hidden: the same: DER and DER++.
        plastic: units of each layer on random patches.
        few, hundred_each, many: examples kept by DER and DER++; by replay and A-GEM; by iCaRL, latent replay and AR1.
        codes: codes kept by REMIND.
        pieces: bytes of a code.
        steps: of A-GEM and iCaRL in an experience, as in the papers compared with; one pass leaves both far below.
        agem_learning_rates: tried by A-GEM.
        alphas: tried by DER and DER++: the weight of kept answers.
        replayed, latent_epochs: kept latents in a step of latent replay, AR1 and REMIND, and passes that they try.
        latent_learning_rate: theirs.
        strengths: tried by AR1, with and without replay.
        units: of RanPAC.
        held_out: training images on which settings are chosen.
        trial_seed: of these trials; no seed that is tested.
    """

    data: str = "mnist"
    hidden: tuple[int, ...] = (400, 400)
    dark_hidden: tuple[int, ...] = (100, 100)
    plastic: tuple[int, ...] = (400,)
    few: int = 200
    hundred_each: int = 1000
    many: int = 2000
    codes: int = 60_000
    pieces: int = 21
    steps: int = 2000
    agem_learning_rates: tuple[float, ...] = (1e-3, 3e-4)
    alphas: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    replayed: int = 512
    latent_epochs: tuple[int, ...] = (1, 2, 4)
    latent_learning_rate: float = 3e-3
    strengths: tuple[float, ...] = (0.0, 0.1)
    units: int = 1000
    held_out: int = 6000
    trial_seed: int = 100


TITLES = {
    "er-1000": "replay, 1,000 examples", "der": "DER, 200 examples", "derpp": "DER++, 200 examples",
    "agem": "A-GEM, 1,000 examples", "icarl": "iCaRL, 2,000 examples", "latent-replay": "latent replay, 2,000 latents",
    "ar1": "AR1, 2,000 latents", "ar1-alone": "AR1, nothing kept", "remind": "REMIND, codes of all",
    "ridge-patches": "ridge on patches", "lda-patches": "streaming LDA on patches",
    "fast-patches": "fast head on patches",
    "ridge": "ridge on pixels", "ranpac": "RanPAC on pixels",
}
"""Methods as they are called. The fast head and streaming LDA on pixels, and replay of 200 examples, are in
`split-mnist`."""
CELLS = [("class", name) for name in TITLES]


def methods(config: Config) -> dict[str, Method]:
    """Every method with the settings that it is tried with."""
    def grid(**tried: Any) -> list[Mapping[str, Any]]:
        values = [value if isinstance(value, tuple) else (value,) for value in tried.values()]
        return [dict(zip(tried, chosen, strict=True)) for chosen in product(*values)]

    def pixels(name: str, place: str, hidden: tuple[int, ...] = config.hidden, **tried: Any) -> Method:
        return Method(TITLES[name], on_perceptron(place, hidden), grid(**tried))

    def latents(name: str, place: str, **tried: Any) -> Method:
        tried = {"frozen": 0, "pretrained": True, "replayed": config.replayed, "epochs": config.latent_epochs,
                 "learning_rate": config.latent_learning_rate, **tried}
        return Method(TITLES[name], on_perceptron(place, config.plastic), grid(**tried), on_random_patches)

    def dark(name: str, beta: float) -> Method:
        return pixels(name, "dark_experience_replay:DarkExperienceReplay", config.dark_hidden, capacity=config.few,
                      alpha=config.alphas, beta=beta)

    each, agem = config.hundred_each, "averaged_gradient_episodic_memory:AveragedGradientEpisodicMemory"
    codec = {"name": "product", "pieces": config.pieces}
    heads = {"ridge-patches": "ridge", "lda-patches": "streaming_lda", "fast-patches": "fast"}
    return {
        "er-1000": pixels("er-1000", "experience_replay:ExperienceReplay", capacity=each, keep="class-balanced"),
        "der": dark("der", 0.0),
        "derpp": dark("derpp", 1.0),
        "agem": pixels("agem", agem, capacity=each, keep="class-balanced", steps=config.steps,
                       learning_rate=config.agem_learning_rates),
        "icarl": pixels("icarl", "icarl:ICaRL", capacity=config.many, steps=config.steps),
        "latent-replay": latents("latent-replay", "latent_replay:LatentReplay", capacity=config.many),
        "ar1": latents("ar1", "ar1:AR1", capacity=config.many, strength=config.strengths, epochs=2),
        "ar1-alone": latents("ar1-alone", "ar1:AR1", rehearse=False, strength=config.strengths, epochs=1),
        "remind": latents("remind", "remind:REMIND", capacity=config.codes, codec=codec, epochs=2),
        **{name: Method(TITLES[name], head(kind), view=on_random_patches) for name, kind in heads.items()},
        "ridge": Method(TITLES["ridge"], head("ridge")),
        "ranpac": Method(TITLES["ranpac"], head("ranpac"), ({"units": config.units},)),
    }


DARK = "Buzzega et al., arXiv 2004.07211, 200 examples"
THREE_TYPES = "van de Ven, Tuytelaars, Tolias, Nature Machine Intelligence 2022, 100 examples of each digit"
PUBLISHED: dict[str, Any] = {
    "class.er-1000": {"value": 88.79, "source": THREE_TYPES},
    "class.der": {"value": 84.55, "source": DARK},
    "class.derpp": {"value": 85.61, "source": DARK},
    "class.agem": {"value": 65.10, "source": THREE_TYPES},
    "class.icarl": {"value": 94.57, "source": "van de Ven, Tolias, arXiv 1904.07734, 2,000 examples"},
}
FLOORS: dict[str, dict[str, float]] = {
    "class.er-1000": {"at_least": 88.79}, "class.derpp": {"at_least": 85.61}, "class.agem": {"at_least": 63.10},
    "class.icarl": {"at_least": 94.57}, "class.latent-replay": {"at_least": 95.0}, "class.ar1": {"at_least": 95.0},
    "class.remind": {"at_least": 95.0},
}
FIGURES = figures_of("split-mnist", CELLS, PUBLISHED, FLOORS) | {
    "split-mnist.class.remind-memory-share": Figure("remind-memory-share", "ratio", at_most=1 / 20),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed: accuracy after all experiences, in percent, and what REMIND keeps over the pixels."""
    values = compared("split-mnist-rehearsal", config, seed, progress, methods(config), CELLS)
    return values | {"remind-memory-share": share_kept(config, values["details"]["class.remind"])}


def share_kept(config: Config, details: Mapping[str, Any]) -> float:
    """Bytes of the memory over those of the pixels of what it stands for, a byte each."""
    pictures = data_set(config.data).train_inputs
    return float(details["memory"] / (min(len(pictures), config.codes) * pictures[np.zeros(1, np.int64)].size))


def plot(result: Mapping[str, Any]) -> Any:
    """Accuracy after all experiences, method by method."""
    return bars(result, TITLES, ["class"])
