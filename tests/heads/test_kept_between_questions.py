"""What a read-out keeps from one question to the next, to answer soon, is what it would make anew."""

from __future__ import annotations

import numpy as np
import pytest

from engram.heads.fast import FastHead
from engram.heads.fast.kernel import Kernels
from engram.heads.fast.products import KeptProducts, Products
from engram.heads.fast.readout import Fits
from engram.heads.fast.sample import Sampler

WIDTH = 12


def taught_and_forgotten(head, steps=220, seed=0):
    """The head after each step: examples come, now and then twice or nearly twice, with new labels; some go again."""
    rng = np.random.default_rng(seed)
    centres, known = rng.normal(size=(6, WIDTH)), []
    for step in range(steps):
        label = int(rng.integers(min(1 + step // 20, len(centres))))
        row = 5.0 + centres[label] + rng.normal(size=WIDTH)
        if known and step % 13 == 0:
            row, label = known[-1][0] + 1e-3, known[-1][1]
        head.learn(row, f"c{label}")
        known.append((row, label))
        if step % 17 == 16:
            gone, of = known.pop(int(rng.integers(len(known))))
            head.forget(gone, f"c{of}")
        yield head


@pytest.mark.parametrize("raw", [False, True])
def test_a_sample_is_that_of_one_who_never_sampled_before(raw):
    head = FastHead(step=0.01, normalise=False) if raw else FastHead(covariance=np.eye(WIDTH) / WIDTH)
    kept = Sampler(not raw, head._prior.usual)
    for step, _ in enumerate(taught_and_forgotten(head)):
        if step % 3:
            one, other = (sampler.sample(head._episodes, head.sums.counts)
                          for sampler in (kept, Sampler(not raw, head._prior.usual)))
            assert one.single == other.single
            for mine, theirs in zip(one, other, strict=True):
                np.testing.assert_array_equal(mine, theirs)


def test_products_are_those_made_anew():
    head, kept = FastHead(covariance=np.eye(WIDTH) / WIDTH), KeptProducts()
    grouped = 0
    for step, _ in enumerate(taught_and_forgotten(head)):
        if step % 3:
            discriminant, sample = head._readout.discriminant(), head._readout.sample()
            classes = discriminant.classes()
            one, other = kept.of(discriminant, classes, sample), Products.of(discriminant.metric, classes, sample)
            scale = float(np.abs(other.x_x).max())
            for mine, theirs in zip(one, other, strict=True):
                np.testing.assert_allclose(mine, theirs, atol=1e-10 * scale)
            grouped += not sample.single
    assert grouped > 20


def test_kernels_and_regressions_are_those_fitted_anew():
    """Equal but for rounding: what is known and what is called what is the same."""
    head = FastHead(step=0.01, normalise=False)
    for step, _ in enumerate(taught_and_forgotten(head, steps=90)):
        if step > 40 and step % 3:
            readout = head._readout
            sample = readout.sample()
            for mine, theirs in zip(readout._fits[:2], Fits.none()[:2], strict=True):
                of, more = ("best", (readout.prior.units(head.sums),)) if isinstance(mine, Kernels) else ("of", ())
                (one, left), (other, anew) = (getattr(some, of)(head.sums, readout.episodes, sample, *more)
                                              for some in (mine, theirs))
                np.testing.assert_allclose(left, anew, atol=1e-6)
                np.testing.assert_allclose(one.scores(sample.rows, None, None), other.scores(sample.rows, None, None),
                                           atol=1e-6)
