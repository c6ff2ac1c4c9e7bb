"""Data sets as features, each with the bundle that gave them: what `open-set` and `readout` draw their classes from.

Pictures come with versions of themselves, as people make them: mirrored, saved again as JPEG, and a burst of frames
from a hand that is not quite still.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import packaged_folder
from engram.features.backbones.catalogue import bundle_of
from engram.features.backbones.hashed_ngrams import HashedNgrams
from engram.features.backbones.vectors import VectorBackbone
from engram.inputs.images import decode
from engram.lab.data_sets.clinc150 import DOMAINS, clinc150
from engram.lab.data_sets.omniglot import DRAWINGS, omniglot
from engram.lab.data_sets.photos import photos
from engram.lab.data_sets.spoken_digits import spoken_digits
from engram.lab.data_sets.steel_defects import steel_defects
from engram.lab.data_sets.tiny_imagenet import tiny_imagenet
from engram.lab.experiments.feature_cache import cached_features
from engram.lab.experiments.head.character_as_digit import character_as_digit
from engram.lab.experiments.pretraining.mobilenet import mobilenet_bundle
from engram.learner import InputError

Array = npt.NDArray[Any]
Picture = npt.NDArray[np.uint8]

FRAMES = 20
"""Frames of a burst."""

QUALITY = 75
CHARACTERS = 100
OUTSIDE = "outside"
"""The label of sentences that belong to no intent."""

STEPS = 16
"""Steps of time that a recording is averaged to."""


@dataclass(frozen=True, eq=False)
class FeaturedSet:
    """Features and their labels.

    Attributes:
        bundle: what gave the features; `contenders.fast_head(bundle)` is the head for them.
        features: (N, D) float32, as the bundle gives them, not normalised.
        labels: (N,) texts.
        versions: by name, what became of every input: "mirrored" and "resaved" (N, D), "burst" (N, F, D) float32.
        ask: (N,) bool, what is only ever asked about; None where that is drawn.
    """

    bundle: Bundle
    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.str_]
    versions: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    ask: npt.NDArray[np.bool_] | None = None

    @property
    def classes(self) -> list[str]:
        """The labels, each once, sorted."""
        return sorted(set(self.labels.tolist()))


def featured(name: str) -> FeaturedSet:
    """One of SETS by its name, features from the cache where they are in it.

    Raises:
        InputError: there is none of that name.
        MissingDataError: not on this computer; says how to get it.
    """
    if name not in SETS:
        raise InputError(f"No featured set {name!r}. There are: {', '.join(SETS)}.")
    return SETS[name]()


@lru_cache(maxsize=1)
def shipped() -> Bundle:
    """The photo bundle that comes with Engram."""
    return Bundle.open(packaged_folder() / "photos")


# How pictures change


def mirrored(picture: Picture) -> Picture:
    """A picture (H, W, 3), left and right exchanged."""
    return np.ascontiguousarray(picture[:, ::-1])


def resaved(picture: Picture) -> Picture:
    """A picture (H, W, 3) as JPEG at quality 75, and read again."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(file), np.uint8)


def jittered(picture: Picture, rng: np.random.Generator) -> Picture:
    """A picture (H, W, 3) as one frame of a burst: moved and nearer by up to 6%, turned by up to 2°, brighter or darker
    by up to 8%, noisy.
    """
    height, width = picture.shape[:2]
    share = rng.uniform(0.94, 1.0)
    left, top = rng.uniform(0, 1 - share) * width, rng.uniform(0, 1 - share) * height
    image = Image.fromarray(picture).rotate(rng.uniform(-2, 2), Image.Resampling.BILINEAR, fillcolor=_border(picture))
    box = (left, top, left + share * width, top + share * height)
    moved = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box), np.float64)
    moved = moved * rng.uniform(0.92, 1.08) + rng.normal(0, 3, moved.shape)
    return moved.round().clip(0, 255).astype(np.uint8)


def _border(picture: Picture) -> Any:
    """The mean colour along the edge: what fills the corners of a turned picture."""
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    colour = edge.mean(axis=0).round().astype(int)
    return tuple(colour.tolist()) if picture.ndim == 3 else int(colour)


# The sets


def of_pictures(bundle: Bundle, name: str, read: Callable[[int], Picture], labels: Sequence[str]) -> FeaturedSet:
    """Pictures with their versions, each made and cached by itself: few pictures are held at once."""
    places = range(len(labels))

    def made(version: str, change: Callable[[int], Picture]) -> npt.NDArray[np.float32]:
        cached = cached_features(bundle.backbone, f"{name}-{version}", lambda: [change(place) for place in places])
        return cached.features

    def frame(number: int) -> Callable[[int], Picture]:
        return lambda place: jittered(read(place), np.random.default_rng([number, place]))

    return FeaturedSet(bundle, made("as-filed", read), np.asarray(labels), {
        "mirrored": made("mirrored", lambda place: mirrored(read(place))),
        "resaved": made(f"resaved-{QUALITY}", lambda place: resaved(read(place))),
        "burst": np.stack([made(f"frame-{number}", frame(number)) for number in range(FRAMES)], axis=1),
    })


def photographs(bundle: Bundle) -> FeaturedSet:
    """Twenty classes of thirty photographs."""
    data = photos()
    return of_pictures(bundle, "photos", lambda place: _rgb(data.paths[place]), data.labels)


def steel(bundle: Bundle) -> FeaturedSet:
    """Six kinds of sixty pictures, no versions."""
    data = steel_defects()
    features = cached_features(bundle.backbone, "steel-defects", lambda: list(data.paths)).features
    return FeaturedSet(bundle, features, np.asarray(data.labels))


def tiny(bundle: Bundle) -> FeaturedSet:
    """Where settings are fixed: the twenty classes that the shipped backbone never saw, sixty pictures of each.

    They are not among those that MobileNetV2's statistics are measured on; its network was trained on all of them.
    """
    from engram.lab.recipes.photo_recipe import HELD_OUT

    data = tiny_imagenet("train")
    classes = sorted(set(data.labels))[HELD_OUT]
    labels = np.asarray(data.labels)
    places = np.concatenate([np.flatnonzero(labels == label)[100:160] for label in classes])
    return of_pictures(bundle, "tiny-held-out", lambda place: data[int(places[place])], labels[places].tolist())


def tiny_seen(bundle: Bundle) -> FeaturedSet:
    """Eighty further classes, twenty pictures of each that nothing was trained on, no versions."""
    from engram.lab.recipes.photo_recipe import HELD_OUT

    data = tiny_imagenet("val")
    names = sorted(set(data.labels))
    classes = sorted(set(names) - set(names[HELD_OUT]))[:80]
    places = [place for place, label in enumerate(data.labels) if label in classes]
    features = cached_features(bundle.backbone, "tiny-val-80", lambda: [data[place] for place in places]).features
    return FeaturedSet(bundle, features, np.asarray(data.labels)[places])


def characters(bundle: Bundle, change: Callable[[Picture], Picture], how: str) -> FeaturedSet:
    """A hundred of Omniglot's evaluation characters, drawn once and for all, twenty drawings of each."""
    data = omniglot("evaluation")
    first = np.random.default_rng(1).permutation(len(data) // DRAWINGS)[:CHARACTERS] * DRAWINGS
    places = np.concatenate([np.arange(start, start + DRAWINGS) for start in np.sort(first)])
    features = cached_features(bundle.backbone, f"omniglot-{CHARACTERS}-{how}",
                               lambda: [change(data[int(place)]) for place in places]).features
    return FeaturedSet(bundle, features, np.asarray(data.labels)[places])


def omniglot_digits() -> FeaturedSet:
    """Characters cut and centred as digits are, under the digit backbone that ships."""
    return characters(Bundle.open(packaged_folder() / "digits"), character_as_digit, "in-digits-box")


def omniglot_photos() -> FeaturedSet:
    """Characters as they are filed, dark on white, under the photo backbone that ships."""
    return characters(shipped(), lambda ink: 255 - ink, "dark-on-white")


def intents() -> FeaturedSet:
    """CLINC150's training and test sentences as hashed n-grams; labels are "domain/intent", or OUTSIDE."""
    data = clinc150()
    bundle = Bundle.bare(HashedNgrams())
    texts = [*data.train.texts, *data.test.texts, *data.outside_test]
    domain = {intent: name for name, members in DOMAINS.items() for intent in members}
    named = [f"{domain[intent]}/{intent}" for intent in (*data.train.intents, *data.test.intents)]
    features = cached_features(bundle, "clinc150-train-test-outside", lambda: texts).features
    labels = np.asarray([*named, *[OUTSIDE] * len(data.outside_test)])
    return FeaturedSet(bundle, features, labels, ask=np.arange(len(texts)) >= len(data.train.texts))


def english_intents() -> FeaturedSet:
    """The same features under the backbone that sentences are shown to by default: it brings statistics."""
    return replace(intents(), bundle=bundle_of("english-ngrams"))


def spoken() -> FeaturedSet:
    """Spoken digits: log-mel loudness in 40 bands at 16 steps of time, of unit length about its own mean."""
    data = spoken_digits()
    bundle = Bundle.bare(VectorBackbone(STEPS * 40, name="log-mel"))
    images = data.images()
    short = images.reshape(len(images), STEPS, -1, images.shape[2]).mean(axis=2).reshape(len(images), -1)
    short = short - short.mean(axis=1, keepdims=True)
    asked = np.zeros(len(short), bool)
    asked[data.test] = True
    return FeaturedSet(bundle, short.astype(np.float32), data.labels.astype(str), ask=asked)


def _rgb(path: Any) -> Picture:
    picture = np.asarray(decode(path))
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]


SETS: dict[str, Callable[[], FeaturedSet]] = {
    "photos-shipped": lambda: photographs(shipped()),
    "photos-mobilenet": lambda: photographs(mobilenet_bundle()),
    "steel-shipped": lambda: steel(shipped()),
    "steel-mobilenet": lambda: steel(mobilenet_bundle()),
    "omniglot": omniglot_digits,
    "omniglot-photos": omniglot_photos,
    "clinc": intents,
    "clinc-english": english_intents,
    "digits-sound": spoken,
    "tiny-shipped": lambda: tiny(shipped()),
    "tiny-mobilenet": lambda: tiny(mobilenet_bundle()),
    "tiny-seen-shipped": lambda: tiny_seen(shipped()),
    "tiny-seen-mobilenet": lambda: tiny_seen(mobilenet_bundle()),
}
