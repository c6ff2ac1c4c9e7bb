"""A learner whose network changes shape, as the experiments use it: what it is taught, and how often it is wrong."""

from __future__ import annotations

import torch

from engram.lab.evaluation import accuracy
from engram.lab.streams import Examples, Stream
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.structural import Structural


def error(learner: Structural, asked: Examples) -> float:
    """Share of wrong answers, in percent."""
    return 100 - 100 * accuracy(learner.predict(asked.inputs).best, asked.labels.tolist())


def gathered(portions: Stream, learner: Structural) -> Kept:
    """What these portions teach, with the places that the labels have."""
    data = Kept()
    for portion in portions:
        data.add(torch.from_numpy(portion.inputs).to(learner.device), learner.places(portion.labels.tolist()))
    return data
