"""Both errors of "Nothing I know", in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from engram.heads.fast.novelty import ErrorRates
from engram.learner import Label

ENOUGH = 5
"""Labels from which on the share of strangers that are taken for something is estimated. With fewer, one label more or
less moves the estimate from next to nothing to nearly all.
"""


def reliable(rates: Sequence[ErrorRates], labels: int) -> list[ErrorRates]:
    """The same, without the share of strangers (NaN) where there are too few labels to tell it."""
    if labels >= ENOUGH:
        return list(rates)
    return [one._replace(accepted=math.nan, least=math.nan, most=math.nan) for one in rates]


def in_words(rates: ErrorRates, alphas: Mapping[Label, float], labels: int) -> str:
    """What is to be expected.

    Args:
        alphas: labels that have an alpha of their own.
        labels: how many labels there are.

    >>> print(in_words(ErrorRates(0.02, refused=0.02, accepted=0.3, least=0.1, most=0.63), {"cup": 0.1}, 6))
    2% of what I know will be refused; of strangers like your other classes, 30% would still be taken for something \
(judged by 6 labels: between 10% and 63%). By its own setting, 10% of cup may be refused.
    >>> print(in_words(ErrorRates(0.02, refused=0.02, accepted=math.nan), {}, 2))
    2% of what I know will be refused; how many strangers would be taken for something cannot be estimated reliably \
yet: that needs 5 labels, and there are 2.
    """
    strange = accepted(rates)
    told = ("how many strangers would be taken for something cannot be estimated reliably yet: that needs"
            f" {ENOUGH} labels, and there {'is' if labels == 1 else 'are'} {labels}")
    if strange is not None:
        told = (f"of strangers like your other classes, {percent(strange)} would still be taken for something"
                f" (judged by {labels} labels: between {percent(rates.least)} and {percent(rates.most)})")
    return f"{percent(rates.refused)} of what I know will be refused; {told}.{_by_their_own(alphas)}"


def good_parts_in_words(rates: ErrorRates, alphas: Mapping[Label, float], counts: Mapping[Label, int]) -> str:
    """What is to be expected where strangers are faults of what was taught, of which other labels tell nothing.

    Args:
        alphas: labels that have an alpha of their own.
        counts: how many pictures each label was taught; one sets no threshold.

    >>> print(good_parts_in_words(ErrorRates(0.02, 0.02, math.nan), {}, {"plate": 20, "ring": 1}))
    2% of good pictures will be refused; what share of faults would pass cannot be told from good ones. Nothing is \
refused as ring yet: teach at least two pictures of it.
    >>> print(good_parts_in_words(ErrorRates(0.02, 0.0, math.nan), {}, {"ring": 1}))
    Nothing is refused as ring yet: teach at least two pictures of it.
    """
    single = [str(label) for label, count in counts.items() if count < 2]
    told = []
    if len(single) < len(counts):
        told.append(f"{percent(rates.refused)} of good pictures will be refused; what share of faults would pass "
                    f"cannot be told from good ones.{_by_their_own(alphas)}")
    if single:
        named = ", ".join(single[:4]) + (f" and {len(single) - 4} more" if len(single) > 4 else "")
        them = "each" if len(single) > 1 else "it"
        told.append(f"Nothing is refused as {named} yet: teach at least two pictures of {them}.")
    return " ".join(told)


def _by_their_own(alphas: Mapping[Label, float]) -> str:
    own = [f" By its own setting, {percent(share)} of {label} may be refused." for label, share in alphas.items()]
    return "".join(own)


def as_json(rates: ErrorRates) -> dict[str, float | list[float] | None]:
    """The same as JSON values."""
    return {"alpha": rates.alpha, "refused": rates.refused, "accepted": accepted(rates),
            "accepted_between": between(rates)}


def accepted(rates: ErrorRates) -> float | None:
    """The share of strangers that are taken for something; None where it cannot be told."""
    return None if math.isnan(rates.accepted) else rates.accepted


def between(rates: ErrorRates) -> list[float] | None:
    """Between which that share lies in nine of ten cases; None where it cannot be told."""
    return None if math.isnan(rates.accepted) else [rates.least, rates.most]


def needed(labels: int) -> int | None:
    """How many labels the estimate needs; None where there are as many."""
    return ENOUGH if labels < ENOUGH else None


def percent(share: float) -> str:
    """A share as a reader writes it.

    >>> percent(0.02), percent(0.015), percent(0.304), percent(1e-9)
    ('2%', '1.5%', '30%', 'under 0.1%')
    """
    if 0 < share < 0.001:
        return "under 0.1%"
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"
