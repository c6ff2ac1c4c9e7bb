"""What all methods share that change a network's connections: kept data, training of what is alive, growth, pruning."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import InputError, Label
from engram.networks.augmentation import Affine
from engram.networks.module_copy import module_copy
from engram.networks.strategies import optimiser as optimisers
from engram.networks.strategies.average import Average
from engram.networks.strategies.distillation import agreement
from engram.networks.strategies.growing_network import Snapshot
from engram.networks.strategies.kept import Kept
from engram.networks.strategies.pruning_schedules import SCHEDULES, OnStep
from engram.networks.strategies.schedule import annealed
from engram.networks.strategies.strategy import Strategy
from engram.networks.strategies.update_recipe import UpdateRecipe, recipe_of
from engram.networks.structure import growth, pruning
from engram.networks.structure.evaluation_mode import evaluating
from engram.networks.structure.masks import SUFFIX, Masks
from engram.networks.structure.reparametrised import require_own_weights

AUGMENTATIONS: dict[str, Affine | None] = {
    "none": None,
    "affine": Affine(degrees=15, stretch=0.15, shear=0.2, shift=2 / 14),
    "slight": Affine(degrees=10, stretch=0.1, shear=0.1, shift=1.5 / 14),
    "photo": Affine(degrees=10, stretch=0.2, shear=0.1, shift=0.25, mirrored=True),
}
TOLD_EVERY = 50  # steps
COMPRESSING = 2  # times the epochs of a pruning in an update
ASKED_AT_ONCE = 1000
SCORED_ON = 512  # examples that tell how active the connections are


class Structural(Strategy):
    """A network whose connections come and go with the data. Each `learn` is one update, after which the network rests
    with no more than `parameters` alive, ready to be asked and to be updated again.

    Layers that compute their weights from other parameters (`weight_norm`, pruning masks of PyTorch) are refused unless
    they are frozen. All that arrives is kept, a part of it for validation, as the published methods want it.

    Args:
        parameters: the most that may be alive at rest, biases counted; frozen ones are neither counted nor changed.
        recipe: the settings of an update: a `UpdateRecipe`, or its fields.
        held_out: share of what arrives that is not trained on but judges the pruning.
        augmentation: one of `AUGMENTATIONS`, for images (N, C, H, W); "photo" mirrors them too.
        settings: as of `Strategy`; `epochs` and `learning_rate` are the recipe's.

    Attributes:
        masks: which connections are alive.
        validation: examples held out.
        shown: examples that the update has shown to the network so far.
        report: what the last update did: examples `shown`; parameters `before`, `grown` and `live`; `grown-accuracy`
            and `accuracy` on what was held out; neurons `isolated`; and, where it was pruned, whether it was
            `recoverable`: no neuron cut off and no accuracy lost.
        progress: called with the share of the update that is done, and what is going on.
    """

    memory_limit = math.inf
    kept: Kept
    validation: Kept
    renamed_parts: ClassVar[Mapping[str, str]] = {"judged-": "validation:", "": "kept:"}

    def __init__(
        self,
        network: nn.Module | Mapping[str, Any],
        *,
        parameters: int = 12_000,
        recipe: UpdateRecipe | Mapping[str, Any] = UpdateRecipe(),  # noqa: B008 - it is frozen
        held_out: float = 1 / 12,
        augmentation: str = "none",
        **settings: Any,
    ) -> None:
        super().__init__(network, **settings)
        self.register(kept=Kept(), validation=Kept())
        if augmentation not in AUGMENTATIONS:
            raise InputError(f"augmentation must be one of {', '.join(AUGMENTATIONS)}, not {augmentation!r}.")
        if not 0 <= held_out < 1:
            raise InputError(f"held_out must be at least 0 and below 1, not {held_out!r}.")
        if parameters < 1:
            raise InputError(f"parameters must be at least 1, not {parameters!r}.")
        self.parameters, self.held_out, self.augmentation = parameters, held_out, augmentation
        self.recipe = recipe_of(recipe)
        require_own_weights(self.network)
        self.masks = self.masked()
        self.report: dict[str, Any] = {}
        self.progress: Callable[[float, str], None] = lambda share, what: None
        self.shown = 0
        self._teacher: nn.Module | None = None
        self._done = self._planned = 0.0  # epochs of an update under way

    @classmethod
    def settings_before(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """A recipe's budget was that of one epoch."""
        recipe = recipe_of(settings["recipe"])
        return settings | {"recipe": recipe.with_epochs_of(recipe.constant_budget)}

    @property
    def samples_stored(self) -> int:
        """Examples kept, those held out among them."""
        return len(self.kept) + len(self.validation)

    @abstractmethod
    def restructure(self, new: Kept, everything: Kept) -> None:
        """One update: what is new arrived, everything is at hand. Ends with the network at rest."""

    def train(self, inputs: Tensor, targets: Tensor) -> None:
        """Hold some of the (N, …) `inputs` out, keep the others, and update the network; `targets` (N,)."""
        held, taught = torch.tensor_split(torch.randperm(len(inputs), generator=self.generator),
                                          [int(len(inputs) * self.held_out)])
        new, everything = Kept(inputs[taught], targets[taught]), Kept(self.kept.inputs, self.kept.targets)
        everything.add(*new.at(torch.arange(len(new))))
        if len(held):
            self.validation.add(inputs[held], targets[held])
        with self._updating(everything, self.recipe.epochs):
            self.restructure(new, everything)
        self.kept = everything

    def add_validation(self, inputs: Any, targets: Any) -> None:
        """Hold these out too: pruning is judged by them, nothing is trained on them.

        Raises:
            InputError, LabelError: nothing was changed.
        """
        examples, labels = self.admitted(inputs, targets)
        with self.changing():
            self.grow(labels)
            self.validation.add(examples, self.places(labels))

    def compress(self, parameters: int, recipe: UpdateRecipe | None = None) -> dict[str, Any]:
        """Prune further, to no more than `parameters` alive: the smallest network for a device that only answers.

        Args:
            recipe: of the pruning; without one the learner's own, but longer, without heed to neurons that are cut off,
                and taught by the network as it is now.

        Returns:
            The report, as after an update.

        Raises:
            InputError: nothing was taught, or no parameter is to be left.
        """
        if parameters < 1:
            raise InputError(f"parameters must be at least 1, not {parameters!r}.")
        if not len(self.kept):
            raise InputError("Nothing has been taught yet, so there is nothing to compress: call `learn` first.")
        if recipe is None:
            longer = replace(self.recipe, prune_epochs=COMPRESSING * self.recipe.prune_epochs)
            recipe = replace(longer, recoverable=False, distillation=0.8, temperature=2.0, pruning="cubic",
                             constant_budget=round(self.recipe.epoch * longer.epochs))
        with self.changing(), self._updating(self.kept, recipe.prune_epochs):
            usual = self.recipe, self.parameters
            self.recipe, self.parameters = recipe, parameters
            self.prune(self.kept)
            self.recipe, self.parameters = usual
        return self.report

    def fit(self, data: Kept, epochs: float, rate: float, on_step: OnStep = lambda step, steps: None) -> None:
        """Train what is alive for the recipe's epochs; the averaged weights stay."""
        size = min(self.batch, len(data))
        steps = self._steps(data, epochs)
        done, planned = (self._done, self._planned) if self._planned else (0.0, epochs)
        self.optimizer = optimisers.make(self.optimizer_name, self.model.parameters(), rate, self.weight_decay)
        self.masks.guard(self.optimizer)
        self.model.train()
        average = Average(self.model, self.recipe.averaging) if self.recipe.averaging else None
        for step, rows in enumerate(islice(self._passes(len(data), size), steps)):
            for group in self.optimizer.param_groups:
                group["lr"] = rate * (annealed(step / steps) if self.recipe.anneal else 1.0)
            self.stepped(self.training_step(*data.at(rows)))
            on_step(step, steps)
            if average is not None and 2 * step >= steps:
                average.take()
            if step % TOLD_EVERY == 0:
                self.progress(min((done + epochs * step / steps) / planned, 1.0),
                              f"{self.masks.live:,} of {self.masks.total:,} parameters alive")
        if average is not None and average.taken:
            average.give()
        self.require_finite()  # before pruning ranks by what diverged
        self._done = done + epochs
        self.masks.enforce()
        self.optimizer = self.fresh_optimizer()  # its running averages have no more to do, and need not be saved

    def _steps(self, data: Kept, epochs: float) -> int:
        """How many steps these epochs are; with a constant budget as many for few data as for many."""
        steps = self.recipe.epoch / self.batch or len(data) / min(self.batch, len(data))
        return max(round(epochs * steps), 1 if epochs else 0)

    def grow_connections(self, data: Kept) -> int:
        """One growth: gradients of all connections over the data, updates paused; what the loss asks for wakes."""
        self.model.train()
        batches = torch.split(torch.randperm(len(data), generator=self.generator), self.batch)
        found = growth.mean_gradients(self.masks, batches, lambda rows: self.loss(*self._seen(*data.at(rows))))
        self.shown += len(data)
        return growth.grow(self.masks, found, self.recipe.alpha, self.recipe.eta)

    def gradients_on_some(self, data: Kept) -> growth.Gradients:
        """The gradients of all connections on a few hundred examples."""
        rows = [self._some(data)]
        return growth.mean_gradients(self.masks, rows, lambda some: self.loss(*self._seen(*data.at(some))))

    def scores(self, data: Kept) -> dict[str, Tensor]:
        """What decides which connections go, by the recipe."""
        if self.recipe.scores == "magnitude":
            return pruning.magnitudes(self.masks)
        inputs, _ = self._seen(*data.at(self._some(data)))
        with evaluating(self.model):
            return pruning.activation_scaled(self.masks, [inputs], self.model)

    def begin_anew(self) -> None:
        """Fresh weights, all connections alive; labels stay, and so does what is frozen."""
        held = self.model.held()
        for layer in self.model.modules():
            if callable(fresh := getattr(layer, "reset_parameters", None)):
                fresh()
        self.network.load_state_dict(held, strict=False)
        for name, mask in self.masks.items():
            self.masks[name] = torch.ones_like(mask)

    def prune(self, data: Kept, teacher: nn.Module | None = None) -> None:
        """Put connections to rest by the recipe until the network is small, training what remains.

        Args:
            teacher: whose answers are imitated, where the recipe has distillation; None for the network as it is now.
        """
        self.report |= {"grown": self.masks.live, "grown-accuracy": self.accuracy(data)}
        if self.recipe.distillation:
            self._teacher = teacher or module_copy(self.model).eval().requires_grad_(False)
        SCHEDULES[self.recipe.pruning](self, data)

    def training_step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One training step on augmented examples, `inputs` (N, …) and `targets` (N,)."""
        self.shown += len(inputs)
        return super().training_step(*self._seen(inputs, targets))

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy; while pruning, mostly agreement with the grown network (Hinton, Vinyals, Dean 2015)."""
        if self._teacher is None:
            return super().loss(inputs, targets)
        with torch.no_grad():
            wanted = self._teacher(inputs)
        logits = self.model(inputs)
        own = functional.cross_entropy(self.competing(logits, targets), targets)
        share = self.recipe.distillation
        return share * agreement(logits, wanted, self.recipe.temperature) + (1 - share) * own

    @torch.no_grad()
    def accuracy(self, data: Kept) -> float:
        """In percent, on what was held out; on the data themselves where nothing was."""
        asked = self.validation if len(self.validation) else data
        parts = torch.split(torch.arange(len(asked)), ASKED_AT_ONCE)
        with evaluating(self.model):
            right = [self.model(inputs).argmax(1) == targets for inputs, targets in map(asked.at, parts)]
        return 100 * torch.cat(right).double().mean().item()

    def grow(self, labels: list[Label]) -> list[Label]:
        """Outputs for new labels, all of their connections alive."""
        new = super().grow(labels)
        if new:
            self.masks = self.masked()
        return new

    def become(self, snapshot: Snapshot) -> None:
        """Know this and nothing else, masks included."""
        own = self.model.state_dict().keys()  # a frozen weight may have been saved with a mask
        super().become(snapshot._replace(tensors={name: tensor for name, tensor in snapshot.tensors.items()
                                                   if name in own or not name.endswith(SUFFIX)}))
        self.masks = self.masked()

    def masked(self) -> Masks:
        """The masks of all weights that train."""
        return Masks(self.model, frozen=[f"network.{name}" for name in self.model.frozen])

    def restored(self) -> None:
        """The examples are of this network's labels."""
        for examples in (self.kept, self.validation):
            examples.require_fit(self.shape, len(self.labels), self.dtype)

    def _seen(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        change = AUGMENTATIONS[self.augmentation]
        return (inputs if change is None else change(inputs, self.generator)), targets

    def _passes(self, count: int, size: int) -> Iterator[Tensor]:
        """Rows of one full batch after another, every example once in a pass but for the last few."""
        while True:
            order = torch.randperm(count, generator=self.generator)
            yield from torch.split(order[: count // size * size], size)

    def _some(self, data: Kept) -> Tensor:
        return torch.randint(len(data), (min(SCORED_ON, len(data)),), generator=self.generator)

    @contextmanager
    def _updating(self, data: Kept, epochs: float) -> Iterator[None]:
        """An update of so many epochs: its report begins and is closed here."""
        self.masks = self.masked()  # what was frozen since
        self.report = {"before": self.masks.live}
        self.shown, self._done, self._planned = 0, 0.0, epochs
        yield
        self._close_report(data)
        self._teacher, self._planned = None, 0.0

    def _close_report(self, data: Kept) -> None:
        cut = pruning.isolated(self.masks)
        accuracy = self.accuracy(data)
        self.report |= {"live": self.masks.live, "accuracy": accuracy, "shown": self.shown, "isolated": sum(cut)}
        if "grown-accuracy" in self.report:
            self.report["recoverable"] = not sum(cut) and accuracy >= self.report["grown-accuracy"]

