"""New classes with every experience, asked in three ways: the scenarios of split data sets.

The three are those of G. van de Ven, A. Tolias, "Three scenarios for continual learning", arXiv 1904.07734, 2019:
class-incremental (which of all classes?), task-incremental (which of this task's?) and domain-incremental (which
place within its task?).

In `blurry` streams there is no clean boundary: a share of every experience's examples is of the classes of the others
(J. Bang, H. Kim, Y. Yoo, J.-W. Ha, J. Choi, "Rainbow Memory: continual learning with a memory of diverse samples",
CVPR 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engram.lab.data_sets.data_set import Array, DataSet, Indices, label_array
from engram.lab.streams.stream import Divided, Examples, Experience, Stream, hold_out
from engram.learner import InputError, Label

Groups = Sequence[Sequence[Label]]


def class_incremental(
    data: DataSet, per: int = 2, *, groups: Groups | None = None, shuffle: bool = False,
    held_out: float | int = 0, seed: int = 0,
) -> Stream:
    """`per` new classes with every experience; the question is which of all classes it is.

    Args:
        per: classes in an experience; the last may have fewer.
        groups: the classes of each experience, in place of `per`; classes that are in none never arrive. Their test
            examples are not asked about, nor are those of classes without training examples: `Stream.left_out`.
        shuffle: classes in random order; else sorted, as Split-MNIST has them.
        held_out: a share of the training examples, or a number of them, that is not taught (see `hold_out`).
        seed: of every draw: held-out examples, order of classes, order of the examples in an experience.

    Raises:
        InputError: no class per experience, a class in two groups, or one without training or test examples.

    >>> from engram.lab.streams import from_arrays
    >>> data = from_arrays(np.eye(12), [0, 1, 2, 3] * 3, test=0.3)
    >>> [e.classes for e in class_incremental(data, groups=[[3], [0, 1]])]
    [(3,), (0, 1)]
    """
    chosen = class_groups(data, per, groups, shuffle, seed)
    parts = hold_out(data, held_out, seed)
    rng = np.random.default_rng([seed, 3])
    experiences = tuple(_experience(parts, group, rng) for group in chosen)
    settings = {"data": data.name, "arrival": "class", "groups": [list(group) for group in chosen],
                "held_out": held_out, "seed": seed}
    return Stream(f"{data.name}, class-incremental", experiences, settings, left_out=_left_out(data, chosen))


def task_incremental(
    data: DataSet, per: int = 2, *, groups: Groups | None = None, shuffle: bool = False,
    held_out: float | int = 0, seed: int = 0,
) -> Stream:
    """As `class_incremental`, but the question tells the task: which of its classes is it?"""
    stream = class_incremental(data, per, groups=groups, shuffle=shuffle, held_out=held_out, seed=seed)
    told = tuple(replace(experience, among=experience.classes) for experience in stream)
    return replace(stream, name=f"{data.name}, task-incremental", experiences=told,
                   settings={**stream.settings, "arrival": "task"})


def domain_incremental(
    data: DataSet, per: int = 2, *, groups: Groups | None = None, shuffle: bool = False,
    held_out: float | int = 0, seed: int = 0,
) -> Stream:
    """As `class_incremental`, but labels are the places within the group, 0 to per − 1, the same in every experience.

    With MNIST's digits two by two: is it even or odd?
    """
    stream = class_incremental(data, per, groups=groups, shuffle=shuffle, held_out=held_out, seed=seed)
    placed = tuple(_by_place(experience) for experience in stream)
    return replace(stream, name=f"{data.name}, domain-incremental", experiences=placed,
                   settings={**stream.settings, "arrival": "domain"})


def class_groups(data: DataSet, per: int, groups: Groups | None, shuffle: bool, seed: int) -> list[tuple[Label, ...]]:
    """The classes of each experience.

    Raises:
        InputError: see `class_incremental`.
    """
    classes = data.classes
    if groups is None:
        if not isinstance(per, int | np.integer) or per < 1:
            raise InputError(f"per must be a whole number of at least 1, not per={per!r}.")
        order = np.random.default_rng([seed, 2]).permutation(len(classes)) if shuffle else range(len(classes))
        ordered = [classes[i] for i in order]
        chosen = [tuple(ordered[start : start + per]) for start in range(0, len(ordered), per)]
    else:
        if isinstance(groups, str) or any(isinstance(group, str | int | np.generic) for group in groups):
            raise InputError("groups must be a list of lists, the classes of each experience: groups=[[2], [0, 1]].")
        chosen = [tuple(label_array(group).tolist()) for group in groups]
    named = [label for group in chosen for label in group]
    if not all(chosen) or len(set(named)) != len(named):
        raise InputError("Every group needs at least one class, and no class may be in two groups.")
    for part, labels in (("training", data.train_labels), ("test", data.test_labels)):
        missing = set(named) - set(np.unique(labels).tolist())
        if missing:
            raise InputError(f"{data.name} has no {part} examples of {', '.join(map(repr, sorted(missing, key=str)))}.")
    return chosen


def _left_out(data: DataSet, groups: list[tuple[Label, ...]]) -> tuple[tuple[Label, int], ...]:
    """Test examples of each class that is in no group."""
    named = {label for group in groups for label in group}
    labels, counts = np.unique(data.test_labels, return_counts=True)
    return tuple((label, count) for label, count in zip(labels.tolist(), counts.tolist(), strict=True)
                 if label not in named)


def _experience(parts: Divided, group: tuple[Label, ...], rng: np.random.Generator) -> Experience:
    data = parts.data
    return Experience(
        ", ".join(map(str, group)),
        parts.train(rng.permutation(_of(data.train_labels, parts.taught, group))),
        parts.train(_of(data.train_labels, parts.held_out, group)),
        parts.test(_of(data.test_labels, np.arange(len(data.test_labels)), group)),
        group,
    )


def _of(labels: Array, places: Indices, group: tuple[Label, ...]) -> Indices:
    return places[np.isin(labels[places], np.array(group))]


def _by_place(experience: Experience) -> Experience:
    def placed(part: Examples) -> Examples:
        labels = np.zeros(len(part), np.int64)
        for place, label in enumerate(experience.classes):
            labels[part.labels == label] = place
        return replace(part, labels=labels)

    return replace(experience, train=placed(experience.train), held_out=placed(experience.held_out),
                   test=placed(experience.test), classes=tuple(range(len(experience.classes))))


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
        raise InputError(f"mixed must be between 0 and 1, not {mixed}.")
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
