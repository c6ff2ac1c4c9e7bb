"""The fast head keeps the laws of answers where its work grows with the width: fits run beside it from 512 on.

`pytest --wide` adds a width of 1280, and more counts at 512: minutes.
"""

from __future__ import annotations

import pytest

from engram.checks import Check, learner_checks
from engram.checks import counts as at_counts
from engram.heads.fast import FastHead

LAWS = (at_counts.saved_at, at_counts.asked_at, at_counts.learned_at, at_counts.forgotten_at, at_counts.melded_at)
KNOWN = (at_counts.saved_at, at_counts.asked_at)
"""The fast head breaks these from a width of 512 on: a fit under way is neither saved nor waited for. Strike them out
when its answers follow from its sums alone."""


def checks(**settings: object) -> list[Check]:
    return [check for check in learner_checks(**settings) if check.test in LAWS]


def hold(check: Check, request: pytest.FixtureRequest) -> None:
    if check.test in KNOWN:
        request.applymarker(pytest.mark.xfail(reason="derived state depends on when a fit ends", strict=False))
    assert check(FastHead)


@pytest.mark.parametrize("check", checks(width=512, counts=(30,)), ids=str)
def test_at_a_width_of_512(check: Check, request: pytest.FixtureRequest) -> None:
    hold(check, request)


@pytest.mark.wide
@pytest.mark.parametrize("check", checks(width=512, counts=(64, 128, 200, 256)), ids=str)
def test_at_a_width_of_512_and_every_count(check: Check, request: pytest.FixtureRequest) -> None:
    hold(check, request)


@pytest.mark.wide
@pytest.mark.parametrize("check", checks(width=1280, counts=(30, 200)), ids=str)
def test_at_a_width_of_1280(check: Check, request: pytest.FixtureRequest) -> None:
    hold(check, request)


@pytest.mark.parametrize("check", checks(width=64, counts=(1024, 8192)), ids=str)
def test_at_counts_of_thousands(check: Check) -> None:
    assert check(FastHead)
