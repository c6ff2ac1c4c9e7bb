"""Brains of several modalities that are served: each of their brains as one of its own, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from engram.brain import Brain
from engram.brain.multimodal import RECORD, MultimodalBrain, is_multimodal, usual_bundle
from engram.inputs.modalities import MODALITIES
from engram.learner import Label
from engram.server.bodies import label_like
from engram.server.served_brain import ServedBrain

Result = TypeVar("Result")


class ServedThings:
    """A brain of several modalities under a name.

    Args:
        name: in the URLs; the brain of a modality is called NAME-MODALITY.
        path: its folder.
        served: the brain that is served under a name, or None.
        make: makes the brain of a modality that was never taught, and serves it.
    """

    def __init__(
        self, name: str, path: Path, served: Callable[[str], ServedBrain | None], make: Callable[[str, Path], None]
    ) -> None:
        self.name, self.path = name, path
        self._served, self._make = served, make
        self._mind = MultimodalBrain.of({}, path)  # keeps how modalities are combined while nothing is taught

    @property
    def members(self) -> dict[str, ServedBrain]:
        """modality -> its brain, of those that were taught."""
        found = {modality: self._served(f"{self.name}-{modality}") for modality in MODALITIES}
        return {modality: one for modality, one in found.items() if one is not None}

    def mind(self) -> MultimodalBrain:
        """All of them as one. Raises Refusal while one is not open."""
        self._mind.members = {modality: one.brain for modality, one in self.members.items()}
        return self._mind

    def change(
        self, do: Callable[[MultimodalBrain], Result], modalities: Iterable[str] = (), *, by: str | None,
        act: str | None,
    ) -> Result:
        """Change something; returns when it is on disk.

        Args:
            modalities: what is taught; brains for these are made where there are none.
            by, act: as for `ServedBrain.change`.
        """
        for modality in modalities:
            if self._served(f"{self.name}-{modality}") is None:
                self._make(f"{self.name}-{modality}", self.path / modality)
        changing: Callable[[], Result] = partial(_all, self, do)
        for one in self.members.values():
            changing = partial(_within, one, changing, by, act)
        return changing()

    def label(self, given: Label) -> Label:
        """The label that is meant by one that came in a request."""
        return label_like(given, dict.fromkeys(self.mind().labels, 0))

    def summary(self) -> dict[str, Any]:
        """What the list shows."""
        return {"name": self.name, "labels": [{"label": label, "examples": some} for label, some in
                                              self.mind().counts().items()],
                "brains": {modality: one.name for modality, one in self.members.items()}}


def _all(things: ServedThings, do: Callable[[MultimodalBrain], Result]) -> Result:
    return do(things.mind())


def _within(one: ServedBrain, do: Callable[[], Result], by: str | None, act: str | None) -> Result:
    return one.change(lambda brain: do(), by=by, act=act)


def members_in(path: Path, name: str) -> dict[str, Path]:
    """The names and folders of the brains in a folder of several modalities."""
    return {f"{name}-{modality}": path / modality for modality in MODALITIES
            if (path / modality / "manifest.json").exists()}


def with_members(folders: Mapping[str, Path]) -> dict[str, Path]:
    """The same folders, with those of a brain of several modalities in its place."""
    found: dict[str, Path] = {}
    for name, path in folders.items():
        found |= members_in(path, name) if is_multimodal(path) else {name: path}
    return found


def multimodal_in(folders: Mapping[str, Path], shelf: Path) -> dict[str, Path]:
    """The brains of several modalities among folders, and on a shelf."""
    there = {record.parent.name.removesuffix(".brain"): record.parent for record in sorted(shelf.glob(f"*/{RECORD}"))}
    return there | {name: path for name, path in folders.items() if is_multimodal(path)}


def create_member(path: Path) -> None:
    """The brain of a modality, named by its folder, on its usual backbone."""
    Brain.create(path, usual_bundle(path.name)).close()
