"""The one training loop: AdamW, one cycle of the learning rate, averaged weights, resumable to the bit.

Ctrl-C waits for the step under way, so that a checkpoint of whole steps can be written.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from engram.files import write_atomically
from engram.learner import InputError
from engram.networks.structure.denormals import denormals_flushed
from engram.packing import pack_tensors
from engram.progress import Progress


@contextmanager
def waiting_interruption() -> Iterator[Callable[[], bool]]:
    """Within it, the first Ctrl-C only makes the function that it yields answer True; the second interrupts at once.

    Outside the main thread, where Python delivers no signals, and where Ctrl-C was already taken over, nothing changes.

    >>> with waiting_interruption() as asked_to_stop:
    ...     asked_to_stop()
    False
    """
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


Batch = tuple[Tensor, ...]

@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
        steps: how many batches.
        learning_rate: at the peak, after `warm_up` of the steps; it falls to nearly 0 along a cosine.
        warm_up: share of the steps in which the learning rate rises, from a tenth of the peak.
        weight_decay: of matrices and kernels; vectors (biases, normalisation) have none.
        averaging: the averaged weights move by 1 − averaging towards the current ones at each step.
        bfloat16: multiply in bfloat16 (twice as fast where processor or GPU have it); weights stay float32.
        checkpoint_every: steps between checkpoints, where one is asked for.
    """

    steps: int
    learning_rate: float = 2e-3
    warm_up: float = 0.2
    weight_decay: float = 1e-2
    averaging: float = 0.998
    bfloat16: bool = True
    checkpoint_every: int = 500


def train(
    objective: nn.Module,
    draw: Callable[[torch.Generator], Batch],
    schedule: Schedule,
    *,
    seed: int = 0,
    before_step: Callable[[int], None] | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> float:
    """Minimise `objective(*batch)`; afterwards it holds the averaged weights and is in evaluation mode.

    Args:
        objective: a module that holds everything to be trained and returns a scalar loss. The training runs on the
            device that it is on (`objective.to("cuda")`); batches are drawn on the processor and moved there.
        draw: the next batch; all its randomness comes from the generator it is given.
        schedule: how long and how fast.
        seed: of the batches (the objective was initialised by its maker).
        before_step: called with the number of steps done, for what changes on the way (weights of losses).
        progress: told every 50 steps, and at the end.
        checkpoint: a file from which an interrupted training continues; Ctrl-C writes it after the step under way,
            and it is removed when the training is complete.

    Returns:
        Processor seconds that the training took, those before an interruption included.

    Raises:
        InputError: the loss is no longer a finite number; the last checkpoint stays.
    """
    with denormals_flushed():
        return _trained(_Run(objective, schedule, seed), draw, before_step, progress, checkpoint)


def _trained(
    run: _Run,
    draw: Callable[[torch.Generator], Batch],
    before_step: Callable[[int], None] | None,
    progress: Progress | None,
    checkpoint: Path | None,
) -> float:
    """Run the training to its end; the seconds that it took."""
    objective, schedule = run.objective, run.schedule
    if checkpoint is not None and checkpoint.exists():
        run.restore(load_file(checkpoint))
    objective.train()
    with waiting_interruption() as asked_to_stop:
        while run.step < schedule.steps:
            if before_step is not None:
                before_step(run.step)
            loss = run.advance(draw)
            if not math.isfinite(loss):
                raise InputError(f"The loss is {loss} at step {run.step}: take a lower learning rate, or no bfloat16.")
            if progress is not None and (run.step % 50 == 0 or run.step == schedule.steps):
                progress(run.step, schedule.steps, f"loss {loss:.3f}")
            if checkpoint is not None and run.step % schedule.checkpoint_every == 0:
                _write(run.state(), checkpoint)
            if asked_to_stop():
                if checkpoint is not None:
                    _write(run.state(), checkpoint)
                raise KeyboardInterrupt
    run.finish()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return run.seconds


class _Run:
    """A training under way: everything that the next step depends on."""

    def __init__(self, objective: nn.Module, schedule: Schedule, seed: int) -> None:
        self.objective, self.schedule = objective, schedule
        self.step, self.seconds = 0, 0.0
        self.generator = torch.Generator().manual_seed(seed)
        self.parameters = list(objective.parameters())
        self.device = self.parameters[0].device
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": schedule.weight_decay},
                {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            betas=(0.9, 0.99),
        )
        self.averaged = {name: value.clone() for name, value in objective.state_dict().items()}

    def advance(self, draw: Callable[[torch.Generator], Batch]) -> float:
        """One step of gradient descent."""
        start = time.process_time()
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.schedule)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.schedule.bfloat16):
            loss = self.objective(*(part.to(self.device) for part in draw(self.generator)))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        self._average()
        self.seconds += time.process_time() - start
        return float(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        # Early weights are worth little: the average starts short and lengthens.
        keep = min(self.schedule.averaging, self.step / (self.step + 10))
        for name, value in self.objective.state_dict().items():
            if value.is_floating_point():
                self.averaged[name].lerp_(value, 1 - keep)
            else:
                self.averaged[name].copy_(value)

    def finish(self) -> None:
        self.objective.load_state_dict(self.averaged)
        self.objective.eval()

    def state(self) -> dict[str, Tensor]:
        """All of it as named tensors."""
        tensors = {"step": torch.tensor(self.step), "seconds": torch.tensor(self.seconds, dtype=torch.float64)}
        tensors["generator"] = self.generator.get_state()
        tensors |= {f"weights.{name}": value for name, value in self.objective.state_dict().items()}
        tensors |= {f"averaged.{name}": value for name, value in self.averaged.items()}
        for place, parameter in enumerate(self.parameters):
            for name, value in self.optimiser.state[parameter].items():
                tensors[f"optimiser.{place}.{name}"] = value
        return {name: value.cpu().contiguous() for name, value in tensors.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continue where `state` was taken."""

        def under(prefix: str) -> dict[str, Tensor]:
            return {n[len(prefix) :]: value for n, value in tensors.items() if n.startswith(prefix)}

        self.step, self.seconds = int(tensors["step"]), float(tensors["seconds"])
        self.generator.set_state(tensors["generator"])
        self.objective.load_state_dict(under("weights."))
        self.averaged = {name: value.to(self.device) for name, value in under("averaged.").items()}
        for place, parameter in enumerate(self.parameters):
            state = under(f"optimiser.{place}.")
            self.optimiser.state[parameter] = {n: v.to(self.device) if v.ndim else v for n, v in state.items()}


def learning_rate(step: int, schedule: Schedule) -> float:
    """One cycle (Smith, Topin 2019, arXiv 1708.07120): up along a cosine from a tenth, down to a thousandth.

    >>> [round(learning_rate(step, Schedule(100, learning_rate=1.0)), 3) for step in (0, 20, 60, 100)]
    [0.1, 1.0, 0.5, 0.001]
    """
    rise = schedule.warm_up * schedule.steps
    if step < rise:
        start, end, done = 0.1, 1.0, step / rise
    else:
        start, end, done = 1.0, 1e-3, (step - rise) / max(schedule.steps - rise, 1)
    weight = float(0.5 + 0.5 * torch.cos(torch.tensor(torch.pi * min(done, 1.0), dtype=torch.float64)))
    return schedule.learning_rate * (end + (start - end) * weight)


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    write_atomically(path, pack_tensors(tensors))
