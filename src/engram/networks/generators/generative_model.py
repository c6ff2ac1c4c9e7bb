"""What every generator is: a model of the past that makes up examples of it, and keeps none."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engram.heads.head import from_json_array, json_array
from engram.learner import DamagedError, InputError, State
from engram.networks.memory.past import Drawn
from engram.networks.strategies.networks import seeded

Array = npt.NDArray[Any]

CLASSES = "classes"
BOUNDS = "bounds"


class GenerativeModel(ABC):
    """A model of the examples that were added, from which others like them are drawn: a `Past` that keeps none.

    Examples are drawn in the shares in which labels arrived, and within the bounds of each number of an input. Where a
    label comes again, the model learns what is new together with what it draws of the label itself.

    Attributes:
        seen: for the place of each label, how many examples were added.
        shape: of one input; None before the first.
        bounds: (2, D), the least and the greatest value of each number so far.
        device: where its tensors are.
    """

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.shape: tuple[int, ...] | None = None
        self.bounds = torch.empty(2, 0)
        self.device = "cpu"

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The arguments it was made with."""

    @abstractmethod
    def learn(self, rows: Tensor, targets: Tensor) -> None:
        """Model (N, D) rows of (N,) targets too; `seen` does not count them yet. Random choices follow PyTorch's
        generator."""

    @abstractmethod
    def sample(self, targets: Tensor) -> Tensor:
        """A row for each of (N,) targets: (N, D), within no bounds. Random choices follow PyTorch's generator."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that it is made of, by name."""

    @abstractmethod
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Be made of what `tensors` gave; `seen`, `shape` and `bounds` are there already.

        Raises:
            KeyError, ValueError, RuntimeError: it does not fit.
        """

    @property
    def tells_labels(self) -> bool:
        """Whether what it draws has a label; else the target of each example is -1."""
        return True

    def leave_out(self, labels: Collection[int]) -> None:
        """Hold nothing any more of these labels, which are no longer in `seen`, where that is possible."""

    @property
    def labels(self) -> tuple[int, ...]:
        """The places of the labels that can be drawn, ascending."""
        return tuple(sorted(self.seen))

    @property
    def nbytes(self) -> int:
        """What its tensors take, in bytes."""
        return sum(tensor.nbytes for tensor in (self.bounds, *self.tensors().values()))

    def __len__(self) -> int:
        """No example is kept."""
        return 0

    def to(self, device: str) -> Self:
        """Live on this device."""
        self.device, self.bounds = device, self.bounds.to(device)
        self.load({name: tensor.to(device) for name, tensor in self.tensors().items()})
        return self

    def add(self, rng: np.random.Generator, inputs: Array, targets: Array, /) -> None:
        """Model (N, …) inputs and their (N,) targets, integers from 0, too.

        Raises:
            InputError: inputs of another shape than before, NaN or infinity, or not a target for each.
        """
        rows = torch.from_numpy(np.asarray(inputs, np.float32).reshape(len(inputs), -1)).to(self.device)
        if not len(rows):
            return
        places = self._places(inputs, targets, rows)
        with seeded(int(rng.integers(2**62))):
            self.learn(rows, places)
        self.shape = tuple(inputs.shape[1:])
        least, greatest = rows.amin(dim=0), rows.amax(dim=0)
        if self.seen:
            least, greatest = torch.minimum(least, self.bounds[0]), torch.maximum(greatest, self.bounds[1])
        self.bounds = torch.stack([least, greatest])
        for place, count in zip(*(found.tolist() for found in torch.unique(places, return_counts=True)), strict=True):
            self.seen[place] = self.seen.get(place, 0) + count

    def draw(self, count: int, rng: np.random.Generator, labels: Collection[int] | None = None) -> Drawn:
        """`count` examples that the model makes up, all of weight 1.

        Args:
            labels: of these alone; None: of all.

        Raises:
            InputError: nothing of the kind was added, or the model does not tell labels apart.
        """
        among = self.labels if labels is None else [place for place in self.labels if place in set(labels)]
        if not among:
            raise InputError("Nothing to draw from: no example was added yet.")
        if labels is not None and not self.tells_labels:
            raise InputError("This model does not tell labels apart: draw of all.")
        shares = np.array([self.seen[place] for place in among], np.float64)
        targets = rng.choice(np.array(among, np.int64), size=count, p=shares / shares.sum())
        rows = self.drawn(torch.from_numpy(targets).to(self.device), rng).cpu().numpy()
        if not self.tells_labels:
            targets = np.full(count, -1)
        return Drawn(rows.reshape(count, *(self.shape or ())), targets, np.ones(count, np.float32))

    @torch.no_grad()
    def drawn(self, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """A row for each of (N,) targets: (N, D), within the bounds of what was added."""
        with seeded(int(rng.integers(2**62))):
            return self.sample(targets).clamp(*self.bounds)

    def forget(self, labels: Collection[int]) -> None:
        """Draw nothing of these labels any more."""
        for place in labels:
            self.seen.pop(place, None)
        self.leave_out(labels)

    def state(self) -> State:
        """All of it as arrays, copies."""
        about = {"settings": self.settings, "shape": self.shape, "seen": [[p, n] for p, n in self.seen.items()]}
        tensors = {BOUNDS: self.bounds, **self.tensors()}
        return {"about": json_array(about), **{name: tensor.detach().cpu().numpy().copy()
                                               for name, tensor in tensors.items()}}

    @classmethod
    def from_state(cls, state: Mapping[str, Array]) -> Self:
        """What `state` described.

        Raises:
            DamagedError: an entry is missing or does not fit.
        """
        try:
            about = from_json_array(state["about"])
            made = cls(**about["settings"])
            made.seen = {int(place): int(count) for place, count in about["seen"]}
            made.shape = None if about["shape"] is None else tuple(int(side) for side in about["shape"])
            tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.items() if name != "about"}
            made.bounds = tensors.pop(BOUNDS)
            if any(not bool(tensor.isfinite().all()) for tensor in (made.bounds, *tensors.values())):
                raise ValueError("it holds NaN or infinity")
            if min(made.seen, default=0) < 0 or made.bounds.shape != (2, made.width):
                raise ValueError(f"bounds of the shape {tuple(made.bounds.shape)} for inputs {made.shape}")
            made.load(tensors)
        except (KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError) as error:
            raise DamagedError(f"Not the state of a {cls.__name__}: {error}") from error
        return made

    @property
    def width(self) -> int:
        """How many numbers one input has; 0 before the first."""
        return 0 if self.shape is None else math.prod(self.shape)

    def _places(self, inputs: Array, targets: Array, rows: Tensor) -> Tensor:
        if self.shape not in (None, tuple(inputs.shape[1:])):
            raise InputError(f"Inputs of the shape {self.shape} were added before, not {tuple(inputs.shape[1:])}.")
        places = torch.from_numpy(np.asarray(targets, np.int64))
        if places.shape != (len(rows),) or bool((places < 0).any()):
            raise InputError(f"{len(rows)} inputs need as many targets, integers from 0.")
        if not bool(rows.isfinite().all()):
            raise InputError("Inputs hold NaN or infinity.")
        return places.to(self.device)
