"""Mixtures of probabilistic PCA and autoencoders draw what they were shown, and their formulas are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.stats import multivariate_normal  # noqa: E402
from sklearn.decomposition import PCA  # noqa: E402
from torch.distributions import Bernoulli, Normal, kl_divergence  # noqa: E402

from engram.learner import DamagedError, InputError  # noqa: E402
from engram.networks.generators import make  # noqa: E402
from engram.networks.generators.mixture_of_ppca import MixtureOfPPCA, fit  # noqa: E402
from engram.networks.generators.vae import VAE  # noqa: E402
from engram.networks.generators.variational import LEFT_OUT, Decoder, Latents, reconstruction  # noqa: E402

SMALL = {"hidden": [32], "latents": 2, "steps": 150, "batch": 32, "learning_rate": 0.01}
DREAMERS: dict[str, dict[str, Any]] = {
    "mppca": {"name": "mppca", "components": 2, "factors": 2},
    "vae": {"name": "vae", **SMALL},
    "vae, mixture": {"name": "vae", "prior": "mixture", "components": 2, **SMALL},
    "vae, conditional": {"name": "vae", "condition": "class", **SMALL},
    "vae, gates": {"name": "vae", "prior": "class", "condition": "gates", "shut": 0.2, **SMALL},
}


def clouds(*places: int, each: int = 60, draw: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A cloud of points (each, 2, 2) for every label, around its place on a diagonal."""
    noise = np.random.default_rng(draw).normal(size=(len(places) * each, 2, 2))
    targets = np.repeat(places, each)
    return (0.5 * noise + 4 * targets[:, None, None]).astype(np.float32), targets


def taught(name: str, *parts: tuple[int, ...]) -> Any:
    model, rng = make(DREAMERS[name]), np.random.default_rng(3)
    for part in parts:
        model.add(rng, *clouds(*part))
    return model


def test_one_analyser_is_the_closed_form_of_probabilistic_pca() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + 3
    found = fit(torch.from_numpy(rows), factors=2)
    reference = PCA(2).fit(rows)
    unbiased = 299 / 300  # scikit-learn divides by n - 1
    assert found.noise.item() == pytest.approx(reference.noise_variance_ * unbiased, rel=1e-6)
    covariance = found.factors[0] @ found.factors[0].T + found.noise * torch.eye(6)
    directions = reference.components_.T * np.sqrt(reference.explained_variance_ - reference.noise_variance_)
    expected = (directions @ directions.T + reference.noise_variance_ * np.eye(6)) * unbiased
    assert np.allclose(covariance.numpy(), expected, atol=1e-6)


def test_the_likelihood_of_a_mixture_is_that_of_its_gaussians() -> None:
    rows = torch.from_numpy(np.random.default_rng(1).normal(size=(80, 5)) * [5, 1, 2, 1, 1])
    torch.manual_seed(0)
    found = fit(rows, components=3, factors=2)
    densities = sum(
        float(share) * multivariate_normal(mean.numpy(), (w @ w.T + noise * torch.eye(5)).numpy()).pdf(rows.numpy())
        for share, mean, w, noise in zip(*found, strict=True))
    assert np.allclose(found.log_likelihood(rows).numpy(), np.log(densities))


def test_expectation_maximisation_never_makes_the_likelihood_smaller() -> None:
    rng = np.random.default_rng(2)
    rows = torch.from_numpy(np.concatenate([rng.normal(size=(60, 4)) * [3, 1, 1, 1], rng.normal(size=(90, 4)) + 2]))
    reached = []
    for rounds in (1, 2, 4, 8, 16):
        torch.manual_seed(1)
        reached.append(float(fit(rows, 2, 1, rounds).log_likelihood(rows).mean()))
    assert reached == sorted(reached)
    assert reached[0] < reached[-1]


def test_a_row_of_weight_three_is_three_rows() -> None:
    rows = torch.from_numpy(np.random.default_rng(3).normal(size=(20, 3)))
    weights = torch.ones(20, dtype=torch.float64)
    weights[:5] = 3
    weighted, repeated = fit(rows, factors=1, weights=weights), fit(torch.cat([rows, rows[:5], rows[:5]]), factors=1)
    assert torch.allclose(weighted.means, repeated.means)
    assert torch.allclose(weighted.noise, repeated.noise)


def test_samples_have_the_moments_of_the_mixture() -> None:
    rows = torch.from_numpy(np.random.default_rng(4).normal(size=(200, 4)) * [4, 1, 1, 0.5] + 2)
    torch.manual_seed(0)
    found = fit(rows, factors=3)
    sampled = found.sample(40_000)
    assert torch.allclose(sampled.mean(0), rows.mean(0), atol=0.05)
    assert torch.allclose(torch.cov(sampled.T), torch.cov(rows.T, correction=0), atol=0.3)


def test_the_divergence_from_a_class_is_that_of_two_gaussians() -> None:
    latents = Latents(width=3, size=2, prior="class")
    latents.grow(2)
    with torch.no_grad():
        latents.log_variances.uniform_(-1, 1)
    mean, log_variance, classes = torch.randn(4, 2), torch.randn(4, 2), torch.tensor([0, 1, 1, 0])
    theirs = Normal(latents.means[classes], (latents.log_variances[classes] / 2).exp())
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), theirs).sum(1)
    assert torch.allclose(latents.divergence(mean, log_variance, classes), expected, atol=1e-5)


def test_reconstruction_is_the_likelihood_of_coins_or_of_a_gaussian() -> None:
    decoded, wanted = torch.randn(5, 3), torch.rand(5, 3)
    coins = -Bernoulli(logits=decoded, validate_args=False).log_prob(wanted).sum(1)
    assert torch.allclose(reconstruction(decoded, wanted, "bernoulli"), coins, atol=1e-5)
    bell = -Normal(decoded, LEFT_OUT**0.5).log_prob(wanted).sum(1) - 1.5 * np.log(2 * np.pi * LEFT_OUT)
    assert torch.allclose(reconstruction(decoded, wanted, "gaussian"), bell, atol=1e-5)


def test_gates_shut_the_same_share_of_units_for_each_class_and_stay_when_classes_come() -> None:
    decoder = Decoder(2, [20, 10], 4, condition="gates", shut=0.3)
    decoder.grow(2)
    first = decoder.gates.clone()
    decoder.grow(5)
    assert torch.equal(decoder.gates[:2], first)
    assert (decoder.gates == 0).sum(1).tolist() == [9] * 5
    assert not torch.equal(decoder.gates[2], decoder.gates[3])


@pytest.mark.parametrize("name", DREAMERS)
def test_a_generator_draws_what_it_was_shown(name: str) -> None:
    model = taught(name, (0, 2), (3,))
    drawn = model.draw(300, np.random.default_rng(0))
    assert drawn.inputs.shape == (300, 2, 2)
    assert drawn.inputs.dtype == np.float32
    assert (drawn.weights == 1).all()
    assert len(model) == 0
    nearest = np.abs(drawn.inputs.mean(axis=(1, 2))[:, None] - 4 * np.array(model.labels)).argmin(axis=1)
    if not model.tells_labels:
        assert set(drawn.targets.tolist()) == {-1}
        return
    assert np.mean(np.array(model.labels)[nearest] == drawn.targets) > 0.8
    assert set(model.draw(50, np.random.default_rng(0), labels=[3]).targets.tolist()) == {3}


@pytest.mark.parametrize("name", DREAMERS)
def test_a_generator_is_saved_and_forgets(name: str) -> None:
    model = taught(name, (0, 2), (3,))
    again = type(model).from_state(model.state())
    one, two = (m.draw(20, np.random.default_rng(7)) for m in (model, again))
    assert np.array_equal(one.inputs, two.inputs)
    assert again.nbytes == model.nbytes > 0
    again.add(np.random.default_rng(1), *clouds(2))
    again.forget([2, 9])
    assert again.labels == (0, 3)
    with pytest.raises(InputError, match="Nothing to draw"):
        again.draw(1, np.random.default_rng(0), labels=[2])
    for key, array in model.state().items():
        if array.dtype.kind == "f" and array.size:
            with pytest.raises(DamagedError):
                type(model).from_state({**model.state(), key: np.full_like(array, np.nan)})
    with pytest.raises(DamagedError):
        type(model).from_state({})


def test_a_label_that_comes_again_is_modelled_with_what_came_before() -> None:
    model, rng = MixtureOfPPCA(factors=2), np.random.default_rng(0)
    inputs, _ = clouds(1, each=90)
    model.add(rng, inputs, np.zeros(90, int))
    model.add(rng, inputs[:30] + 6, np.zeros(30, int))
    assert float(model.mixtures[0].means.mean()) == pytest.approx(4 + 6 / 4, abs=0.1)
    assert model.seen == {0: 120}


def test_what_a_generator_cannot_take_is_refused_and_changes_nothing() -> None:
    model, rng = taught("mppca", (0,)), np.random.default_rng(0)
    before = model.state()
    inputs, targets = clouds(1)
    for wrong in ((inputs[:, :1], targets), (inputs * np.nan, targets), (inputs, targets[:3]), (inputs, targets - 9)):
        with pytest.raises(InputError):
            model.add(rng, *wrong)
    assert all(np.array_equal(before[name], array) for name, array in model.state().items())
    with pytest.raises(InputError, match="within"):
        VAE([4], 1, likelihood="bernoulli").add(rng, inputs, targets)
    with pytest.raises(InputError, match="does not tell labels"):
        taught("vae", (0,)).draw(1, rng, labels=[0])
    for settings in ({}, {"name": "mppca", "hidden": 3}, {"name": "painter"}, {"name": "vae", "prior": "flat"},
                     {"name": "vae", "condition": "x"}, {"name": "mppca", "components": 0},
                     {"name": "vae", "hidden": []}):
        with pytest.raises(InputError):
            make(settings)
