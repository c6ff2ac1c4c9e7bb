"""Teaching a recogniser to write down what it hears: batches, the loss of connectionist temporal classification, and
a schedule that may prune on the way.

The same sentence said by another person: cepstra at another speed, from another vocal tract, with gaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from engram.lab.data_sets.an4 import COEFFICIENTS, Frames, Utterances, normalise
from engram.lab.experiments.grow_and_prune.deep_speech import DeepSpeech
from engram.networks.structure.masks import Masks
from engram.networks.structure.pruning import prune_to

BANDS = 40  # mel bands behind the cepstra
SPEED = 0.15
TRACT = 0.12
GAPS = 2
LONGEST_GAP = 15  # frames


def another_speaker(cepstra: Frames, rng: np.random.Generator) -> Frames:
    """Up to 15% faster or slower, and formants up to 12% higher or lower, as of a shorter or longer vocal tract.

    Args:
        cepstra: (T, 13), not normalised.
    """
    steps = max(1, round(len(cepstra) * rng.uniform(1 - SPEED, 1 + SPEED)))
    place = np.linspace(0, len(cepstra) - 1, steps)
    low = place.astype(np.intp)
    share = (place - low).astype(np.float32)[:, None]
    faster = cepstra[low] * (1 - share) + cepstra[np.minimum(low + 1, len(cepstra) - 1)] * share
    return faster @ vocal_tract(round(float(rng.uniform(1 - TRACT, 1 + TRACT)), 2))


def with_gaps(frames: Frames, rng: np.random.Generator) -> Frames:
    """Two gaps of up to 15 frames, and up to a tenth of the whole, in which nothing is heard (after Park et al. 2019).

    Args:
        frames: (T, K), normalised: silence is 0.
    """
    frames = frames.copy()
    for _ in range(GAPS):
        gap = int(rng.integers(0, min(LONGEST_GAP, len(frames) // 10) + 1))
        start = int(rng.integers(0, len(frames) - gap + 1))
        frames[start:start + gap] = 0
    return frames


@lru_cache(maxsize=64)
def vocal_tract(stretch: float) -> npt.NDArray[np.float32]:
    """(13, 13) float32: what cepstra are multiplied with, from the right, to stretch the mel axis under them.

    The cepstra are turned into the smooth log-spectrum they stand for, which is read at stretched places and turned
    back: all linear, hence one matrix.

    >>> np.allclose(vocal_tract(1.0), np.eye(13), atol=1e-6)
    True
    """
    cosines = np.sqrt(2 / BANDS) * np.cos(np.pi * np.outer(np.arange(COEFFICIENTS), np.arange(BANDS) + 0.5) / BANDS)
    cosines[0] /= np.sqrt(2)
    place = np.clip(np.arange(BANDS) * stretch, 0, BANDS - 1)
    low = place.astype(np.intp)
    reading = np.zeros((BANDS, BANDS))
    reading[np.arange(BANDS), low] += 1 - (place - low)
    reading[np.arange(BANDS), np.minimum(low + 1, BANDS - 1)] += place - low
    matrix: npt.NDArray[np.float32] = (cosines @ reading @ cosines.T).T.astype(np.float32)
    return matrix


ALPHABET = " ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DELTAS = 2
MIXED = 10  # batches of utterances that are sorted by length together, so that little is padded
STEEPEST = 5.0  # norm of a gradient that is followed
PRUNE_EVERY = 20  # batches
WARM = 0.15  # of a training, in which the learning rate rises

Places = npt.NDArray[np.intp]


class Batch(NamedTuple):
    """Frames (N, T, K), how many of each utterance count, and what was said: symbols of all, and how many of each."""

    frames: Tensor
    lengths: Tensor
    symbols: Tensor
    counts: Tensor


class Teacher:
    """Trains one recogniser on utterances, and counts what that costs.

    Args:
        network: trained in place, where it is.
        corpus: all that can be heard.
        whole: utterances that one epoch over all data has.
        batch: utterances.
        between: weight of the losses of the lower recurrent layers.
        rng: draws order and views.

    Attributes:
        masks: of the network.
        epochs: spent so far, in passes over `whole` utterances.
    """

    def __init__(
        self, network: DeepSpeech, corpus: Utterances, whole: int, rng: np.random.Generator, *, batch: int = 8,
        between: float = 0.3,
    ) -> None:
        self.network, self.corpus, self.whole, self.rng = network, corpus, whole, rng
        self.batch, self.between = batch, between
        self.masks = Masks(network)
        self.epochs = 0.0

    def train(
        self, places: Places, epochs: float, rate: float, *, live: Callable[[float], float] | None = None,
        short_first: bool = False, told: Callable[[float, float], None] = lambda share, loss: None,
    ) -> None:
        """Adam with a learning rate that rises and falls as half a cosine (Smith and Topin 2017).

        Args:
            places: of the utterances to learn.
            epochs: passes over them.
            rate: the highest learning rate.
            live: share done -> parameters that may be alive by then; None: none are pruned.
            short_first: the first two passes go from short utterances to long ones (Amodei et al. 2016).
            told: called after each pass with the share done and the mean loss.
        """
        each = math.ceil(len(places) / self.batch)
        steps = max(1, round(epochs * each))
        optimiser = torch.optim.Adam(self.network.parameters(), lr=rate, fused=True)
        self.masks.guard(optimiser)
        losses: list[float] = []
        for step, batch in zip(range(steps), self._endless(places, 2 if short_first else 0), strict=False):
            for group in optimiser.param_groups:
                group["lr"] = rate * one_cycle(step / steps)
            self.network.train()
            optimiser.zero_grad()
            loss = self.loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), STEEPEST)
            optimiser.step()
            losses.append(float(loss.detach()))
            self.epochs += len(batch.lengths) / self.whole
            if live is not None and (step % PRUNE_EVERY == 0 or step == steps - 1):
                prune_to(self.masks, round(live((step + 1) / steps)))
            if (step + 1) % each == 0 or step == steps - 1:
                told((step + 1) / steps, float(np.mean(losses[-each:])))

    def loss(self, batch: Batch) -> Tensor:
        """The last layer's loss, and a share of those below; each utterance's is divided by its symbols."""
        heard, lengths = self.network.listen(batch.frames, batch.lengths)
        losses = [nn.functional.ctc_loss(one.transpose(0, 1), batch.symbols, lengths, batch.counts, zero_infinity=True)
                  for one in heard]
        return losses[-1] + self.between * sum(losses[:-1], start=torch.zeros(()).to(losses[-1]))

    def once(self, places: Places) -> Iterator[Batch]:
        """One pass, utterances of like length together, in an order that is drawn; counted as spent."""
        for chosen in self._shuffled(places):
            self.epochs += len(chosen) / self.whole
            yield self._batch(chosen)

    @torch.no_grad()
    def hear(self, utterances: Utterances) -> list[npt.NDArray[np.float32]]:
        """Log-probabilities (T, symbols) of each utterance."""
        self.network.eval()
        found: dict[int, npt.NDArray[np.float32]] = {}
        order = sorted(range(len(utterances)), key=lambda i: len(utterances.frames[i]))
        for start in range(0, len(order), 4 * self.batch):
            chosen = order[start:start + 4 * self.batch]
            frames, lengths = self._padded([normalise(utterances.frames[i], DELTAS) for i in chosen])
            heard, counts = self.network(frames, lengths)
            found |= {i: one[:count].cpu().numpy() for i, one, count in zip(chosen, heard, counts, strict=True)}
        return [found[i] for i in range(len(utterances))]

    def _endless(self, places: Places, short_first: int) -> Iterator[Batch]:
        passes = 0
        while True:
            batches = self._shuffled(places)
            if passes < short_first:
                batches.sort(key=lambda chosen: len(self.corpus.frames[chosen[-1]]))
            for chosen in batches:
                yield self._batch(chosen)
            passes += 1

    def _shuffled(self, places: Places) -> list[list[int]]:
        order = self.rng.permutation(places).tolist()
        batches = []
        for start in range(0, len(order), MIXED * self.batch):
            near = sorted(order[start:start + MIXED * self.batch], key=lambda i: len(self.corpus.frames[i]))
            batches += [near[i:i + self.batch] for i in range(0, len(near), self.batch)]
        return [batches[i] for i in self.rng.permutation(len(batches))]

    def _batch(self, chosen: Sequence[int]) -> Batch:
        views = [with_gaps(normalise(another_speaker(self.corpus.frames[i], self.rng), DELTAS), self.rng)
                 for i in chosen]
        said = [torch.tensor([ALPHABET.index(character) + 1 for character in self.corpus.transcripts[i]])
                for i in chosen]
        frames, lengths = self._padded(views)
        return Batch(frames, lengths, torch.cat(said).to(frames.device), torch.tensor([len(one) for one in said]))

    def _padded(self, views: Sequence[Frames]) -> tuple[Tensor, Tensor]:
        frames = nn.utils.rnn.pad_sequence([torch.from_numpy(view) for view in views], batch_first=True)
        device = next(self.network.parameters()).device
        return frames.to(device), torch.tensor([len(view) for view in views])


def one_cycle(share: float) -> float:
    """The learning rate relative to its highest: from 1/25 up in a half cosine, and down to 0 in another.

    >>> [round(one_cycle(share), 2) for share in (0, 0.15, 1)]
    [0.04, 1.0, 0.0]
    """
    if share < WARM:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * share / WARM)) / 2
    return (1 + math.cos(math.pi * (share - WARM) / (1 - WARM))) / 2
