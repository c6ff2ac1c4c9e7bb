"""Asking a network while it learns: every answer is from before or after, never from between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import RLock

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from engram.heads.head import columns_of, focus, nothing_known, softmax
from engram.learner import FloatArray, Label, Predictions
from engram.networks.module_copy import module_copy
from engram.networks.strategies.growing_network import GrowingNetwork, Snapshot

AT_ONCE = 1024  # inputs in one pass, so that asking about many needs no memory for all of them


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
    def changing(self) -> Iterator[Snapshot]:
        """The network may change here, one caller at a time; yields what it knew, which is what others are told."""
        with self._change:
            with self._lock:
                self._before = before = self._model.snapshot()
            try:
                yield before
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
