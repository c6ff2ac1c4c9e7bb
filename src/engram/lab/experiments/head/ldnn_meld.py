"""Five devices melded against one that saw all; unlearning against never having seen.

The 10,000 images that no backbone was trained on are taught on five devices: at random, or each device two digits
that no other one sees. Their heads are melded, in a random order and pairwise, and compared with one head that was
taught everything: the SHA-256 of the sums must be the same. Then 300 examples are unlearned, and compared with never
having been taught. At last two devices disagree about labels, which must be reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.heads.fast import FastHead
from engram.heads.fast.conflicts import Classes, find_conflicts
from engram.lab.evaluation import accuracy
from engram.lab.evaluation.plots import canvas, draw_bars
from engram.lab.experiments.experiment import Progress
from engram.lab.experiments.head.contenders import fast_head
from engram.lab.experiments.head.digit_features import DigitFeatures, digit_features
from engram.lab.experiments.result import Figure, Values

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Config:
    """Settings of the published run.

    Attributes:
        withhold: the digit that the backbone never saw.
        devices: how many share the data.
        batch: images that a device is taught at a time, at most.
        forget: examples unlearned.
        few: images of each digit on the devices that disagree.
    """

    withhold: int = 3
    devices: int = 5
    batch: int = 50
    forget: int = 300
    few: int = 50


PUBLISHED: dict[str, Any] = {
    "meld-identical": {"value": "knowledge of many devices becomes one brain",
                       "source": "Lifelong-DNN technical brief (Neurala, 2019), a claim without a number"},
}

FIGURES = {
    "ldnn-meld.meld-identical": Figure("meld-identical", "flag", at_least=1.0),
    "ldnn-meld.unlearn-identical": Figure("unlearn-identical", "flag", at_least=1.0),
}


def run(config: Config, seed: int, progress: Progress) -> Values:
    """All values of one seed, which draws the devices' shares, every order, and what is unlearned."""
    progress(0.0, f"backbone without digit {config.withhold}")
    digits = digit_features((config.withhold,), seed)
    rng = np.random.default_rng(seed)
    progress(0.2, "one head that sees all")
    whole = taught(digits, rng.permutation(len(digits.teach)), config.batch)
    values: Values = {"sha256": whole.digest(), "accuracy": test(whole, digits), "splits": {}}
    for i, (name, shares) in enumerate(splits(digits, config.devices, rng).items()):
        progress(0.3 + 0.2 * i, f"{config.devices} devices, {name}")
        values["splits"][name] = meld(config, digits, shares, whole, rng)
    values["meld-identical"] = float(all(split["identical"] for split in values["splits"].values()))
    progress(0.7, "unlearning")
    values |= unlearn(config, digits, whole, rng)
    progress(0.9, "conflicts")
    values["conflicts"] = conflicts(config, digits, rng)
    return values


def taught(digits: DigitFeatures, places: Places, batch: int) -> FastHead:
    """A head that was taught these places in this order."""
    head = fast_head(digits.bundle)
    for start in range(0, len(places), batch):
        chosen = places[start : start + batch]
        head.learn(digits.teach[chosen], digits.teach_labels[chosen].tolist())
    return head


def test(head: FastHead, digits: DigitFeatures) -> float:
    """Accuracy on the test images, in percent."""
    return 100 * accuracy(head.predict(digits.test).best, digits.test_labels.tolist())


def splits(digits: DigitFeatures, devices: int, rng: np.random.Generator) -> dict[str, list[Places]]:
    """Who is taught what: at random, and by digits that no two devices share."""
    order = rng.permutation(len(digits.teach))
    owners = rng.permutation(np.arange(10) % devices)[digits.teach_labels[order]]
    return {"iid": list(np.array_split(order, devices)),
            "disjoint classes": [order[owners == device] for device in range(devices)]}


def meld(
    config: Config, digits: DigitFeatures, shares: list[Places], whole: FastHead, rng: np.random.Generator
) -> Values:
    """Devices taught apart: each one's accuracy, and what their meld is, in any order and any grouping."""
    devices = [taught(digits, share, config.batch) for share in shares]
    alone = [test(head, digits) for head in devices]
    one_by_one, pairwise = fast_head(digits.bundle), fast_head(digits.bundle)
    for i in rng.permutation(len(devices)):
        one_by_one.meld(devices[i])
    for left, right in zip(devices[::2], [*devices[1::2], fast_head(digits.bundle)], strict=True):
        pair = fast_head(digits.bundle)
        pair.meld(right)
        pair.meld(left)
        pairwise.meld(pair)
    digests = [one_by_one.digest(), pairwise.digest()]
    whole.rebuild()
    mine, theirs = one_by_one.predict(digits.test), whole.predict(digits.test, among=one_by_one.labels)
    return {
        "alone": alone, "melded": test(one_by_one, digits), "sha256": digests,
        "identical": float(set(digests) == {whole.digest()}),
        "largest-score-difference": float(np.abs(mine.scores - theirs.scores).max()),
    }


def unlearn(config: Config, digits: DigitFeatures, whole: FastHead, rng: np.random.Generator) -> Values:
    """300 examples unlearned, and a whole digit, each against never having been taught."""
    order = rng.permutation(len(digits.teach))
    gone, rest = order[: config.forget], order[config.forget :]
    never = taught(digits, rest, config.batch)
    before = test(whole, digits)
    whole.forget(digits.teach[gone], digits.teach_labels[gone].tolist())
    digit = int(rng.integers(10))
    after = test(whole, digits)
    digests = {"forgot": whole.digest(), "never-saw": never.digest()}
    whole.forget_label(digit)
    without = taught(digits, rest[digits.teach_labels[rest] != digit], config.batch)
    digests |= {"forgot-digit": whole.digest(), "never-saw-digit": without.digest()}
    same = digests["forgot"] == digests["never-saw"], digests["forgot-digit"] == digests["never-saw-digit"]
    return {
        "unlearn-identical": float(all(same)), "unlearn-sha256": digests,
        "before-unlearning": before, "after-unlearning": after, "never-taught": test(never, digits),
    }


def conflicts(config: Config, digits: DigitFeatures, rng: np.random.Generator) -> Values:
    """Two devices that use labels differently: which disagreements are reported, and what is reported in error.

    The second device has two digits the wrong way round, and calls a third one by a name of its own.
    """
    one, two, three = (int(digit) for digit in rng.permutation(10)[:3])
    names = {one: f"{two}", two: f"{one}", three: f"my {three}"}
    places = np.concatenate([rng.permutation(np.flatnonzero(digits.teach_labels == digit))[: 3 * config.few]
                             for digit in range(10)]).reshape(10, 3, config.few)
    heads = [fast_head(digits.bundle) for _ in range(3)]
    for device, head in enumerate(heads):
        for digit in range(10):
            label = names.get(digit, f"{digit}") if device == 2 else f"{digit}"
            head.learn(digits.teach[places[digit, device]], label)
    spread, step = digits.bundle.covariance, digits.bundle.step
    covariance = None if spread is None else spread / step**2
    expected = {("apart", f"{one}", f"{one}"), ("apart", f"{two}", f"{two}"), ("alike", f"{three}", f"my {three}")}
    reported = [
        {(found.kind, *map(str, found.labels)) for found in find_conflicts(*sides, covariance)}
        for sides in combinations([Classes(head.labels, head.exact_sums()) for head in heads], 2)
    ]
    honest, *others = reported
    return {
        "expected": len(expected),
        "found": float(np.mean([len(expected & found) for found in others])),
        "in-error": float(len(honest) + np.mean([len(found - expected) for found in others])),
    }


def plot(result: Mapping[str, Any]) -> Any:
    """What devices know alone, melded, and after unlearning."""
    values = result["values"]
    figure, panels = canvas(2, width=4.8, height=3.4)
    for axes, (name, split) in zip(panels, values["splits"].items(), strict=True):
        spread = partial(np.std, ddof=1)
        alone = np.asarray(split["alone"]["values"])
        bars = {
            "melded": (split["melded"]["mean"], split["melded"]["sd"]),
            "one that saw all": (values["accuracy"]["mean"], values["accuracy"]["sd"]),
            "a device alone": (float(alone.mean()), float(spread(alone)) if alone.size > 1 else 0.0),
            "300 examples unlearned": (values["after-unlearning"]["mean"], values["after-unlearning"]["sd"]),
            "never taught these": (values["never-taught"]["mean"], values["never-taught"]["sd"]),
        }
        draw_bars(axes, bars, "accuracy on the test images (%)", f"Five devices, {name}")
    return figure
