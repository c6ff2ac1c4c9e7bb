"""The fast head keeps the laws of answers at widths where rounding and blocks of changes count.

`pytest --wide` adds a width of 1280, and more counts at 512: minutes.
"""

from __future__ import annotations

import pytest

from engram.checks import Check, learner_checks
from engram.checks import laws as at_counts
from engram.heads.fast import FastHead

LAWS = (at_counts.saved_at, at_counts.asked_at, at_counts.learned_at, at_counts.forgotten_at, at_counts.melded_at)


def checks(**settings: object) -> list[Check]:
    return [check for check in learner_checks(**settings) if check.test in LAWS]


@pytest.mark.parametrize("check", checks(width=512, counts=(30,)), ids=str)
def test_at_a_width_of_512(check: Check) -> None:
    assert check(FastHead)


@pytest.mark.wide
@pytest.mark.parametrize("check", checks(width=512, counts=(64, 128, 200, 256)), ids=str)
def test_at_a_width_of_512_and_every_count(check: Check) -> None:
    assert check(FastHead)


@pytest.mark.wide
@pytest.mark.parametrize("check", checks(width=1280, counts=(30, 200)), ids=str)
def test_at_a_width_of_1280(check: Check) -> None:
    assert check(FastHead)


@pytest.mark.parametrize("check", checks(width=64, counts=(1024, 8192)), ids=str)
def test_at_counts_of_thousands(check: Check) -> None:
    assert check(FastHead)
