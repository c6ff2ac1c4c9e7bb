"""A network with an output layer that grows, a row for each label when it appears; how it answers while it is taught;
and one step on a copy of it, in which what cannot be taught or asked is found before anything is learned.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from engram.heads.head import columns_of, focus, nothing_known, softmax
from engram.learner import FloatArray, InputError, Label, Predictions
from engram.networks.module_copy import module_copy
from engram.networks.strategies.networks import seeded
from engram.networks.structure.evaluation_mode import evaluating

AT_ONCE = 1024  # inputs in one pass, so that asking about many needs no memory for all of them

TOLERANCE = 1e-3
"""Features of an input may differ by this share of the largest when another input is asked about with it."""

RATE = 1e-3
"""Of the dry step; that it is a step matters, not its length."""


class OutputLayer(nn.Module):
    """Features (N, width) -> logits (N, C), for the C labels that have appeared, in the order of their arrival.

    Args:
        width: of the features.

    >>> layer = OutputLayer(4)
    >>> layer.grow(["cat", "dog", "cat"])
    ['cat', 'dog']
    >>> layer(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """

    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.book: dict[Label, int] = {}
        self.weight = nn.Parameter(torch.empty(0, width))
        self.bias = nn.Parameter(torch.empty(0))

    def forward(self, features: Tensor) -> Tensor:
        """What is answered to (N, D) features, (N, labels): their logits."""
        return self.logits(features)

    def logits(self, features: Tensor) -> Tensor:
        """(N, labels) of (N, D) features."""
        return functional.linear(features, self.weight, self.bias)

    def grow(self, labels: Iterable[Label]) -> list[Label]:
        """Give every new label a row, drawn as `nn.Linear` draws them; what is there stays. Returns the new labels.

        The parameters are replaced where rows are added: an optimiser has to be told.
        """
        new = [label for label in dict.fromkeys(labels) if label not in self.book]
        if new:
            rows = _drawn(self.weight.new_empty(len(new), self.width), self.width)
            self.weight = nn.Parameter(torch.cat([self.weight.detach(), rows]))
            self.bias = nn.Parameter(torch.cat([self.bias.detach(), _drawn(rows.new_empty(len(new)), self.width)]))
            self.book.update({label: len(self.book) + i for i, label in enumerate(new)})
            self._match_mask()
        return new

    @torch.no_grad()
    def rewire(self, places: Tensor) -> None:
        """Take other features: each comes from the one that was at its place, -1 for one that is new, and counts
        nothing yet. The parameters are replaced."""
        weight = self.weight.new_zeros(len(self.weight), len(places))
        stays = places.to(weight.device) >= 0
        weight[:, stays] = self.weight[:, places.to(weight.device)[stays]]
        self.weight, self.width = nn.Parameter(weight), len(places)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all rows anew."""
        _drawn(self.weight, self.width)
        _drawn(self.bias, self.width)

    def resize(self, labels: Iterable[Label]) -> None:
        """Have rows for these labels and no others; their values are to be loaded."""
        self.book = {label: place for place, label in enumerate(labels)}
        self.weight = nn.Parameter(self.weight.new_zeros(len(self.book), self.width))
        self.bias = nn.Parameter(self.bias.new_zeros(len(self.book)))
        self._match_mask()

    def _match_mask(self) -> None:
        """Where the layer is masked, new rows are alive."""
        mask: Tensor | None = getattr(self, "weight_mask", None)
        if mask is not None:
            self.weight_mask = torch.ones_like(self.weight, requires_grad=False)
            self.weight_mask[: len(mask)] = mask[: len(self.book)]


def _drawn(values: Tensor, width: int) -> Tensor:
    limit = 1 / math.sqrt(width)
    return values.uniform_(-limit, limit)


class Snapshot(NamedTuple):
    """All that a network knows at one moment: its labels, and a copy of its parameters and buffers."""

    labels: tuple[Label, ...]
    tensors: dict[str, Tensor]


class GrowingNetwork(nn.Module):
    """Inputs (N, ...) -> features -> logits (N, C) for the C labels seen so far.

    What was frozen stays frozen in training mode: parts given in evaluation mode stay in it, and so do normalisation
    layers inside a part of whose parameters none trains (`requires_grad_(False)`), so that their running statistics
    stay too.

    Args:
        network: (N, ...) float32 -> (N, width) features.
        shape: of one input.
        device: where it lives.
        dtype: of an input.

    Attributes:
        alone: whether a single example is normalised by itself in training mode; else batch normalisation takes its
            running statistics for it.

    Raises:
        InputError: no such device here; a network that does not take such inputs, or gives no vectors.

    >>> model = GrowingNetwork(nn.Flatten(), (2, 2))
    >>> model.outputs.grow(["cat", "dog"])
    ['cat', 'dog']
    >>> model.labels, model(torch.zeros(5, 2, 2)).shape
    (('cat', 'dog'), torch.Size([5, 2]))
    """

    layer: ClassVar[type[OutputLayer]] = OutputLayer
    """Of the outputs."""

    def __init__(
        self, network: nn.Module, shape: Sequence[int], device: str = "cpu", dtype: str = "float32"
    ) -> None:
        super().__init__()
        try:
            self.network = network.to(device)
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"Device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.outputs = self.layer(_width(network, torch.zeros(1, *shape, dtype=self.dtype, device=device))).to(device)
        self.alone = True
        self._resting = frozenset(name for name, part in network.named_modules() if not part.training)

    @property
    def labels(self) -> tuple[Label, ...]:
        """In the order of their first arrival."""
        return tuple(self.outputs.book)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (N, labels) of (N, …) inputs."""
        logits: Tensor = self.outputs(self.features(inputs))
        return logits

    def through(self, body: nn.Module, inputs: Tensor) -> Tensor:
        """Logits (N, labels) of what enters the network at `body`, its upper part, (N, …)."""
        with self._alone(inputs):
            logits: Tensor = self.outputs(body(inputs))
        return logits

    def features(self, inputs: Tensor, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """Features (N, width) of (N, …) inputs; by other `parameters` of the network, by name, where they are given."""
        with self._alone(inputs):
            features: Tensor = self.network(inputs) if parameters is None else functional_call(
                self.network, dict(parameters), (inputs,))
        return features

    def train(self, mode: bool = True) -> Self:
        """Training mode for all that is not frozen, or evaluation mode for everything."""
        super().train(mode)
        if mode:
            for part in self.resting.values():
                part.training = False
        return self

    @property
    def resting(self) -> dict[str, nn.Module]:
        """The parts of the network that stay in evaluation mode while it learns, by name."""
        parts = dict(self.network.named_modules())
        frozen = {layer for part in parts.values() if _is_frozen(part)
                  for layer in part.modules() if isinstance(layer, _NormBase)}
        return {name: part for name, part in parts.items() if name in self._resting or part in frozen}

    @property
    def frozen(self) -> list[str]:
        """The names of the parameters of the network that do not train; of tied ones all names."""
        return [name for name, parameter in self.network.named_parameters(remove_duplicate=False)
                if not parameter.requires_grad]

    def held(self) -> dict[str, Tensor]:
        """Copies of all that training leaves as it is: the network's frozen parameters, and the buffers of parts at
        rest."""
        buffers = [f"{name}.{own}" if name else own
                   for name, part in self.resting.items() for own, _ in part.named_buffers(recurse=False)]
        kept = self.network.state_dict()
        return {name: kept[name].clone() for name in [*self.frozen, *buffers] if name in kept}

    def snapshot(self) -> Snapshot:
        """What it knows now; later learning leaves the copy alone."""
        return Snapshot(self.labels, {name: tensor.clone() for name, tensor in self.state_dict().items()})

    def become(self, snapshot: Snapshot) -> None:
        """Know this and nothing else. The output layer's parameters are replaced: an optimiser has to be told.

        Raises:
            RuntimeError, KeyError: tensors of other names or shapes.
        """
        rows = (len(snapshot.labels), self.outputs.width)
        if snapshot.tensors["outputs.weight"].shape != rows:
            raise RuntimeError(f"{rows[0]} labels need outputs of the shape {rows}")
        self.outputs.resize(snapshot.labels)
        self.load_state_dict(snapshot.tensors)

    @torch.no_grad()
    def put(self, values: Mapping[str, Tensor]) -> None:
        """Give parameters these values, by name; rows that came later stay as they are."""
        for name, parameter in self.named_parameters():
            if name in values:
                parameter[: len(values[name])] = values[name]

    @contextmanager
    def _alone(self, inputs: Tensor) -> Iterator[None]:
        """One example has no variance: batch normalisation takes the statistics that it has gathered so far."""
        layers = [layer for layer in self.network.modules() if isinstance(layer, _BatchNorm) and layer.training] if (
            self.training and not self.alone and len(inputs) == 1) else []
        for layer in layers:
            layer.training = False
        try:
            yield
        finally:
            for layer in layers:
                layer.training = True


def _is_frozen(part: nn.Module) -> bool:
    """Whether it has parameters, and none of them trains."""
    trains = [parameter.requires_grad for parameter in part.parameters()]
    return bool(trains) and not any(trains)


@torch.no_grad()
def _width(network: nn.Module, row: Tensor) -> int:
    try:
        with evaluating(network):
            features = network(row)
    except Exception as error:  # whatever the layers raise
        raise InputError(f"The network does not take inputs of the shape {tuple(row.shape[1:])}: {error}") from error
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise InputError("The network has to give one vector of features for each input: end it with nn.Flatten().")
    return features.shape[1]


def shape_of(network: nn.Module, given: Sequence[int] | None) -> list[int] | None:
    """The shape of one input: as given, else as the network says, else None."""
    shape: Sequence[int] | None = getattr(network, "shape", None) if given is None else given
    return None if shape is None else [int(side) for side in shape]


class Answering:
    """The door to a network for those who ask, and for the one that changes it.

    Args:
        model: the network; whoever changes it does so within `changing`.
    """

    def __init__(self, model: GrowingNetwork) -> None:
        self._model = model
        self._body = module_copy(model).eval()  # lends its structure; the tensors come from what is known
        self._before: Snapshot | None = None
        self._lock, self._change, self._lent = RLock(), RLock(), RLock()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The network may change here, one caller at a time; others are told what it knew before. A change within a
        change is part of it."""
        with self._change:
            if self._before is not None:
                yield
                return
            with self._lock:
                self._before = self._model.snapshot()
            try:
                yield
            finally:
                with self._lock:
                    self._before = None

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Nobody changes the network here; waits for whoever does."""
        with self._change:
            yield

    def predictions(self, inputs: Tensor, among: Iterable[Label] | None) -> Predictions:
        """The answers to inputs (N, ...); `among` limits the candidates.

        Raises:
            LabelError: `among` names a label that was never taught.
        """
        labels, logits = self.logits(inputs)
        if not labels:
            return nothing_known(len(inputs))
        columns = columns_of(among, {label: place for place, label in enumerate(labels)})
        if columns is not None:
            labels, logits = tuple(labels[i] for i in columns), logits[:, columns]
        return Predictions(labels, logits, np.ones(len(logits), bool), softmax(logits).max(axis=1), focus(logits))

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> tuple[tuple[Label, ...], FloatArray]:
        """The labels (C) and their logits, (N, C) float64, for inputs (N, ...)."""
        with self._lock:
            before = self._before
            if before is None:  # under the lock: nothing may begin to change meanwhile
                return self._model.labels, self._asked(inputs, self._model.state_dict())
        return before.labels, self._asked(inputs, before.tensors)

    def _asked(self, inputs: Tensor, tensors: dict[str, Tensor]) -> FloatArray:
        body = self._body
        names = [name for kind in (body.named_parameters, body.named_buffers) for name, _ in kind()]  # tied ones once
        tensors = {name: tensors[name] for name in names if name in tensors}
        device = tensors["outputs.weight"].device
        with self._lent:  # the tensors are put into the body and taken out again: one caller at a time
            parts = [functional_call(body, tensors, (part.to(device),)) for part in torch.split(inputs, AT_ONCE)]
        answers: FloatArray = torch.cat(parts).double().cpu().numpy()
        return answers


def dry_step(model: GrowingNetwork, shape: Sequence[int]) -> None:
    """Teach copies of the network two inputs (all zeros, all ones) and one, and ask what was taught.

    The network stays as it is but for `alone`, which is found out.

    Raises:
        InputError: the network fails in one of these, or its answer to an input depends on what else is asked, or on
            chance.
    """
    device = model.outputs.weight.device
    rows = torch.stack([torch.zeros(*shape), torch.ones(*shape)]).to(device, model.dtype)
    with seeded(0):
        with _refusing("be asked about several inputs at once"):
            _require_own_answers(module_copy(model).eval(), rows)
        model.alone = _is_taught_alone(model, rows[:1])
        with _refusing("be taught several inputs at once"):
            _taught(model, rows)
        with _refusing("be taught a single input"):
            trial = _taught(model, rows[:1])
        with _refusing("be asked after it was taught"):
            Answering(trial).logits(rows)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Whatever the layers raise says what the network cannot."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"The network cannot {what}: {error}") from error


def _taught(model: GrowingNetwork, rows: Tensor) -> GrowingNetwork:
    """A copy after one step of descent."""
    trial = module_copy(model).train()
    trial.outputs.grow(range(len(rows)))
    loss = functional.cross_entropy(trial(rows), torch.arange(len(rows), device=rows.device))
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in trial.parameters():
            if parameter.grad is not None:
                parameter.sub_(RATE * parameter.grad)
    return trial


@torch.no_grad()
def _require_own_answers(trial: GrowingNetwork, rows: Tensor) -> None:
    """In evaluation mode the features of an input are its own."""
    together, single = trial.network(rows)[:1], trial.network(rows[:1])
    largest = float(together.abs().max()) if together.numel() else 0.0
    if not torch.allclose(together, single, rtol=TOLERANCE, atol=TOLERANCE * largest, equal_nan=True):
        raise InputError("In evaluation mode the network's answer to an input depends on what else is asked, or on "
                         "chance: give batch normalisation its running statistics (track_running_stats=True), and "
                         "drop units with nn.Dropout, which does nothing in evaluation mode.")


@torch.no_grad()
def _is_taught_alone(model: GrowingNetwork, row: Tensor) -> bool:
    """Whether the network in training mode takes a single input."""
    try:
        module_copy(model).train().network(row)
    except (ValueError, RuntimeError):  # batch normalisation raises a ValueError
        return False
    return True
