"""A variational autoencoder as a generator, which learns on by replaying itself.

D. P. Kingma, M. Welling, arXiv 1312.6114, 2013; class-conditional: K. Sohn, H. Lee, X. Yan, NeurIPS 2015; with a
Gaussian mixture fitted to the latents of each class: T. J. Draelos et al., "Neurogenesis deep learning", IJCNN 2017
(arXiv 1612.03770); learning on with its own samples: H. Shin et al., arXiv 1705.08690, 2017.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engram.learner import InputError
from engram.networks.generators.generative_model import GenerativeModel
from engram.networks.generators.mixture_of_ppca import Mixture, fit
from engram.networks.generators.variational import Decoder, Latents, reconstruction, reparametrised

PRIORS = ("normal", "class", "mixture")
LIKELIHOODS = ("bernoulli", "gaussian")

ROWS_OF_LATENTS = 2000
"""Of each label, so many latents at most are what its mixture is fitted to."""


class Autoencoder(nn.Module):
    """Encoder, latents and decoder of (N, width) rows.

    >>> model = Autoencoder(4, [8], 2)
    >>> model.loss(torch.rand(5, 4), torch.zeros(5, dtype=torch.int64), "bernoulli").shape
    torch.Size([5])
    """

    def __init__(
        self, width: int, hidden: Sequence[int], latents: int, prior: str = "normal", condition: str = "none",
        shut: float = 0.1,
    ) -> None:
        super().__init__()
        widths = [width, *hidden]
        layers = [[nn.Linear(*pair), nn.ReLU()] for pair in pairwise(widths)]
        self.encoder = nn.Sequential(*(part for pair in layers for part in pair))
        self.latents = Latents(widths[-1], latents, prior)
        self.decoder = Decoder(latents, hidden[::-1], width, condition, shut)

    def loss(self, rows: Tensor, classes: Tensor, likelihood: str) -> Tensor:
        """-ELBO of (N, width) rows of (N,) classes, each: (N,)."""
        mean, log_variance = self.latents(self.encoder(rows))
        decoded = self.decoder(reparametrised(mean, log_variance), classes)
        return reconstruction(decoded, rows, likelihood) + self.latents.divergence(mean, log_variance, classes)

    def grow(self, classes: int) -> None:
        """Know so many classes."""
        self.latents.grow(classes)
        self.decoder.grow(classes)


class VAE(GenerativeModel):
    """A variational autoencoder of fully connected layers.

    What arrives is learned in `steps` of a batch each, beside as many examples that it draws of what came before, as
    it was then; both count by how many examples they stand for.

    Args:
        hidden: units of the encoder's layers, and in reverse of the decoder's.
        latents: their number.
        prior: what latents are drawn from: "normal": mean 0, variance 1; "class": a Gaussian for each class, learned
            together with the rest; "mixture": one or several of full covariance for each class, fitted afterwards.
        condition: how the decoder is told the class: "none", "class" or "gates"; see `variational.Decoder`.
        shut: the share of units that gates shut.
        components: Gaussians of a "mixture".
        likelihood: "bernoulli" for numbers within [0, 1], "gaussian" for any.
        steps, batch, learning_rate: of Adam, for what one call of `add` brings.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> model, inputs = VAE([16], latents=2, prior="mixture", steps=400), np.random.default_rng(1).normal(size=(99, 3))
    >>> model.add(rng, inputs + [9, 0, 0], np.full(99, 2))
    >>> bool(abs(model.draw(50, rng).inputs[:, 0].mean() - 9) < 1)
    True
    """

    def __init__(
        self, hidden: Sequence[int] = (400, 400), latents: int = 100, prior: str = "normal", condition: str = "none",
        shut: float = 0.1, components: int = 1, likelihood: str = "gaussian", steps: int = 500, batch: int = 128,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__()
        if prior not in PRIORS or likelihood not in LIKELIHOODS:
            raise InputError(f"prior must be one of {', '.join(PRIORS)}, likelihood of {', '.join(LIKELIHOODS)}.")
        if min(latents, components, steps, batch, *hidden) < 1 or not hidden:
            raise InputError("hidden, latents, components, steps and batch must be 1 or more.")
        self.settings_given: dict[str, Any] = {
            "hidden": list(hidden), "latents": latents, "prior": prior, "condition": condition, "shut": shut,
            "components": components, "likelihood": likelihood, "steps": steps, "batch": batch,
            "learning_rate": learning_rate,
        }
        self.prior, self.condition, self.components, self.likelihood = prior, condition, components, likelihood
        self.steps, self.batch, self.learning_rate = steps, batch, learning_rate
        self._made(1)  # refuses what cannot be
        self.model: Autoencoder | None = None
        self.scale = torch.tensor([0.0, 1.0])  # rows are modelled as (row - mean) / deviation, one of each for all
        self.mixtures: dict[int, Mixture] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments it was made with."""
        return dict(self.settings_given)

    @property
    def tells_labels(self) -> bool:
        """Whether what it draws has a label: not with a normal prior and no condition."""
        return self.prior != "normal" or self.condition != "none"

    def learn(self, rows: Tensor, targets: Tensor) -> None:
        """Take `steps` on (N, D) rows of (N,) targets and on draws of what came before."""
        if self.likelihood == "bernoulli" and bool(((rows < 0) | (rows > 1)).any()):
            raise InputError('likelihood="bernoulli" takes numbers within [0, 1]: scale the inputs, or use "gaussian".')
        before = copy.deepcopy(self) if self.seen else None
        if self.model is None:
            self.model = self._made(rows.shape[1]).to(self.device)
            if self.likelihood == "gaussian":
                self.scale = torch.stack([rows.mean(), rows.std(correction=0).clamp(min=1e-6)])
        self.model.grow(1 + max(int(targets.max()), *self.seen, 0))
        self._train(self.model, self._scaled(rows), targets, before)
        if self.prior == "mixture":
            self._fit_mixtures(rows, targets, before)

    @torch.no_grad()
    def sample(self, targets: Tensor) -> Tensor:
        """A row for each of (N,) targets, (N, D)."""
        if self.model is None:
            raise InputError("Nothing to draw from: no example was added yet.")
        if self.prior == "mixture":
            latents = torch.empty(len(targets), self.model.latents.size, device=self.device)
            for place in torch.unique(targets).tolist():
                latents[targets == place] = self.mixtures[place].sample(int((targets == place).sum()))
        else:
            latents = self.model.latents.sample(targets)
        decoded: Tensor = self.model.decoder(latents, targets)
        return decoded.sigmoid() if self.likelihood == "bernoulli" else decoded * self.scale[1] + self.scale[0]

    def widen(self, more: int) -> None:
        """Have so many latents more from now on; for what was learned, they say nothing.

        Raises:
            InputError: fewer than 1.
        """
        if more < 1:
            raise InputError(f"1 latent more at least, not {more}.")
        self.settings_given["latents"] += more
        if self.model is not None:
            self.model.latents.widen(more)
            self.model.decoder.widen(more)
        self.mixtures = {place: _widened(mixture, more) for place, mixture in self.mixtures.items()}

    def leave_out(self, labels: Collection[int]) -> None:
        """Their mixtures are gone; the weights go on holding traces, from which nothing is drawn."""
        for place in labels:
            self.mixtures.pop(place, None)

    def tensors(self) -> dict[str, Tensor]:
        """Weights, scale, and the mixtures of latents."""
        weights = {} if self.model is None else self.model.state_dict(prefix="model.")
        return {"scale": self.scale, **weights, **{
            f"{place}.{name}": tensor
            for place, mixture in self.mixtures.items() for name, tensor in mixture._asdict().items()}}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave.

        Raises:
            KeyError, ValueError, RuntimeError: it does not fit these settings and inputs.
        """
        self.scale = tensors["scale"]
        weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
        if self.shape is not None:
            self.model = (self.model or self._made(self.width)).to(self.device)
            self.model.grow(max(len(weights[name]) for name in ("latents.means", "decoder.of_class", "decoder.gates")))
            self.model.load_state_dict(weights)
        placed = self.seen if self.prior == "mixture" else {}
        self.mixtures = {place: Mixture(*(tensors[f"{place}.{name}"] for name in Mixture._fields)) for place in placed}

    def _made(self, width: int) -> Autoencoder:
        about = self.settings_given
        return Autoencoder(width, about["hidden"], about["latents"], "class" if self.prior == "class" else "normal",
                           self.condition, about["shut"])

    def _scaled(self, rows: Tensor) -> Tensor:
        return (rows - self.scale[0]) / self.scale[1]

    def _train(self, model: Autoencoder, rows: Tensor, targets: Tensor, before: VAE | None) -> None:
        optimiser = torch.optim.Adam(model.parameters(), self.learning_rate, fused=True)
        share = len(rows) / (len(rows) + sum(self.seen.values()))
        order = torch.randint(len(rows), (self.steps, self.batch), device=self.device)
        for chosen in order:
            loss = share * model.loss(rows[chosen], targets[chosen], self.likelihood).mean()
            if before is not None:
                old, theirs = before.replayed(self.batch)
                loss = loss + (1 - share) * model.loss(self._scaled(old), theirs, self.likelihood).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    def replayed(self, count: int) -> tuple[Tensor, Tensor]:
        """Rows (count, D) and the targets that they are drawn for, in the shares in which labels arrived."""
        counts = torch.tensor(list(self.seen.values()), dtype=torch.float32, device=self.device)
        places = torch.tensor(list(self.seen), device=self.device)
        targets = places[torch.multinomial(counts, count, replacement=True)]
        return self.sample(targets).clamp(*self.bounds), targets

    @torch.no_grad()
    def _fit_mixtures(self, rows: Tensor, targets: Tensor, before: VAE | None) -> None:
        """Of the latents of what arrived, and of draws of what came before."""
        assert self.model is not None
        if before is not None:
            old = torch.tensor(list(self.seen), device=self.device).repeat_interleave(ROWS_OF_LATENTS)
            rows = torch.cat([rows, before.sample(old).clamp(*before.bounds)])
            targets = torch.cat([targets, old])
        mean, log_variance = self.model.latents(self.model.encoder(self._scaled(rows)))
        latents = reparametrised(mean, log_variance)
        for place in torch.unique(targets).tolist():
            own = latents[targets == place]
            own = own[torch.randperm(len(own), device=own.device)[:ROWS_OF_LATENTS]]
            self.mixtures[place] = fit(own, self.components, own.shape[1] - 1)


def _widened(mixture: Mixture, more: int) -> Mixture:
    """With so many latents more, of mean 0 and the noise of the others."""
    return mixture._replace(means=functional.pad(mixture.means, (0, more)),
                            factors=functional.pad(mixture.factors, (0, 0, 0, more)))
