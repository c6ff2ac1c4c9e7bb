"""Classes that come mainly with one experience, but now and then with another: no clean boundary.

The "blurry" streams of J. Bang, H. Kim, Y. Yoo, J.-W. Ha, J. Choi, "Rainbow Memory: continual learning with a memory
of diverse samples", CVPR 2021: a share of every experience's examples is of the classes of the others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engram.lab.data_sets.data_set import DataSet, Indices
from engram.lab.streams.class_incremental import Groups, class_incremental
from engram.lab.streams.stream import Examples, Stream
from engram.learner import InputError


def blurry(
    data: DataSet, per: int = 2, *, mixed: float = 0.1, groups: Groups | None = None, shuffle: bool = False,
    held_out: float | int = 0, seed: int = 0,
) -> Stream:
    """As `class_incremental`, with a share of each experience's examples dealt evenly among the other experiences.

    Test parts and `classes` are those of the experience's own classes; every example still arrives exactly once.

    Args:
        mixed: the share in [0, 1].
        data, per, groups, shuffle, held_out, seed: see `class_incremental`.

    Raises:
        InputError: not a share, a single experience, or see `class_incremental`.

    >>> from engram.lab.streams import from_arrays
    >>> stream = blurry(from_arrays(np.eye(40), [0, 1] * 20, test=0.5), per=1, mixed=0.2)
    >>> [sorted(experience.labels.tolist()).count(0) for experience in stream]
    [8, 2]
    """
    if not 0 <= mixed <= 1:
        raise InputError(f"A share is between 0 and 1, not {mixed}.")
    stream = class_incremental(data, per, groups=groups, shuffle=shuffle, held_out=held_out, seed=seed)
    if len(stream) < 2:
        raise InputError("Examples can only be dealt among other experiences where there are two or more.")
    rng = np.random.default_rng([seed, 4])
    dealt = _dealt([experience.train.places for experience in stream], mixed, rng)
    experiences = tuple(
        replace(experience, train=Examples(data.train_inputs, places, data.train_labels[places]))
        for experience, places in zip(stream, dealt, strict=True)
    )
    return replace(stream, name=f"{data.name}, blurry", experiences=experiences,
                   settings={**stream.settings, "arrival": "blurry", "mixed": mixed})


def _dealt(homes: list[Indices], mixed: float, rng: np.random.Generator) -> list[Indices]:
    """The places of each experience after the share has moved, in random order."""
    hands: list[list[Indices]] = [[] for _ in homes]
    for home, places in enumerate(homes):
        shuffled = rng.permutation(places)
        leaving = round(mixed * len(places))
        hands[home].append(shuffled[leaving:])
        others = rng.permutation([other for other in range(len(homes)) if other != home])
        for turn, other in enumerate(others):
            hands[other].append(shuffled[:leaving][turn :: len(others)])
    return [rng.permutation(np.concatenate(hand)) for hand in hands]
