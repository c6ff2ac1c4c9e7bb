"""The evidence against direct integration by scipy's inverse-Wishart, and its maximum against a dense grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import multigammaln
from scipy.stats import invwishart, wishart

from engram.heads.evidence import fit_trust, log_evidence


def test_differences_of_evidence_agree_with_the_textbook_marginal():
    rng = np.random.default_rng(0)
    width, degrees = 5, 40
    prior = np.diag(rng.uniform(0.5, 2, width))
    scatter = wishart(degrees, np.eye(width)).rvs(random_state=1)
    root = np.linalg.inv(np.linalg.cholesky(prior))
    spectrum = np.linalg.eigvalsh(root @ scatter @ root.T)

    def textbook(kappa, scale):
        nu, psi = kappa + width + 1, kappa * scale * prior
        return (
            multigammaln((nu + degrees) / 2, width) - multigammaln(nu / 2, width)
            + nu / 2 * np.linalg.slogdet(psi)[1] - (nu + degrees) / 2 * np.linalg.slogdet(psi + scatter)[1]
        )

    settings = [(12.0, 0.5), (40.0, 1.0), (300.0, 2.0), (9000.0, 0.9)]
    mine = np.array([log_evidence(k, t, spectrum, degrees) for k, t in settings])
    theirs = np.array([textbook(k, t) for k, t in settings])
    np.testing.assert_allclose(mine - mine[0], theirs - theirs[0], rtol=1e-9)


@pytest.mark.parametrize(("kappa", "scale", "degrees"), [(30.0, 1.0, 400), (60.0, 4.0, 60)])
def test_the_fit_is_the_maximum_and_finds_what_generated_the_data(kappa, scale, degrees):
    width = 20
    covariance = invwishart(kappa + width + 1, kappa * scale * np.eye(width)).rvs(random_state=3)
    scatter = wishart(degrees, covariance).rvs(random_state=4)
    spectrum = np.linalg.eigvalsh(scatter)
    trust = fit_trust(spectrum, degrees)
    grid = [
        log_evidence(k, t, spectrum, degrees)
        for k in np.geomspace(10, 1e5, 60) for t in np.geomspace(0.1, 20, 80)
    ]
    assert log_evidence(trust.kappa, trust.scale, spectrum, degrees) >= max(grid) - 1e-6
    assert trust.kappa == pytest.approx(kappa, rel=0.6)
    assert trust.scale == pytest.approx(scale, rel=0.5)
