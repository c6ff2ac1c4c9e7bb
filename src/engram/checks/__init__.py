"""The laws every learner keeps, as a suite that anybody can run on a learner of feature vectors.

`check_learner(make)` runs all of them, `check_learner(make, numbers=True)` those for a learner that answers numbers;
`learner_checks()` gives them one by one, for pytest::

    @pytest.mark.parametrize("check", learner_checks(), ids=str)
    def test_my_learner_keeps(check):
        check(MyLearner)

The suite makes its own small data (Gaussian classes, every other one anisotropic) and needs numpy alone.
What a learner can do is asked with `isinstance`; the laws of exactness bind only where `learner.exact`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engram.checks import laws, number_laws
from engram.checks.core_laws import CORE_CHECKS, CoreCheck, CoreTrial, check_core, core_checks
from engram.checks.number_laws import NumberTrial
from engram.checks.trial import Descends, LawBroken, Make, Rebuilds, Trial
from engram.learner import Bounded, Forgets, Learner, Melds, Saves

__all__ = [
    "CHECKS", "CORE_CHECKS", "NUMBER_CHECKS", "Check", "CoreCheck", "CoreTrial", "Descends", "LawBroken", "NumberTrial",
    "Rebuilds", "Trial", "check_core", "check_learner", "core_checks", "learner_checks",
]


@dataclass(frozen=True)
class Check:
    """One law, callable with a maker of learners; its name says which.

    Attributes:
        law: the number of the law.
        name: what holds, in words.
        test: raises LawBroken where it does not hold.
        needs: the protocols a learner must speak for the law to bind it.
        exact: whether the law binds exact learners only.
        settings: fields of `Trial` that differ from its defaults.
        trial: what makes the examples: with labels, or with numbers.
    """

    law: int
    name: str
    test: Callable[[Trial], None]
    needs: tuple[type, ...] = ()
    exact: bool = False
    settings: tuple[tuple[str, Any], ...] = ()
    trial: type[Trial] = Trial

    def __str__(self) -> str:
        return f"law {self.law}: {self.name}"

    def binds(self, learner: Learner) -> bool:
        """Whether the law speaks about this learner."""
        return all(isinstance(learner, need) for need in self.needs) and (learner.exact or not self.exact)

    def __call__(self, make_learner: Make) -> bool:
        """Check the law; False where it does not bind the learner.

        Raises:
            LawBroken: naming the law and what was seen.
        """
        if not self.binds(make_learner()):
            return False
        try:
            self.test(self.trial(make_learner, **dict(self.settings)))
        except LawBroken as broken:
            raise LawBroken(f"{self}: {broken}") from broken.__cause__
        except Exception as error:
            raise LawBroken(f"{self}: {type(error).__name__}: {error}") from error
        return True


CHECKS = (
    Check(1, "a new label can arrive at any time", laws.new_labels),
    Check(1, "consolidating keeps every label", laws.consolidating),
    Check(2, "a batch is learned like its examples one by one", laws.batches, exact=True),
    Check(2, "what is taught past any count is known as if taught at once", laws.learned_at, exact=True),
    Check(3, "order does not matter", laws.order, exact=True),
    Check(4, "what was saved and loaded answers and learns as before", laws.saving, (Saves,)),
    Check(4, "saved after consolidating, it answers and learns as before", laws.saved_after_consolidating, (Saves,)),
    Check(4, "a damaged state is refused", laws.damaged, (Saves,)),
    Check(4, "saved at any count, it is opened as it was", laws.saved_at, (Saves,), exact=True),
    Check(5, "melding never loses a label and leaves the other as it was", laws.melding, (Melds,)),
    Check(5, "melding equals learning the union", laws.melding_exactly, (Melds,), exact=True),
    Check(5, "melded past any count, it answers as one that learned all", laws.melded_at, (Melds,), exact=True),
    Check(6, "forgetting equals never having learned", laws.forgetting_exactly, (Forgets,), exact=True),
    Check(6, "what was forgotten is not answered", laws.forgetting, (Forgets,)),
    Check(6, "forgotten back past any count, it answers as never taught", laws.forgotten_at, (Forgets,), exact=True),
    Check(7, "memory stays within the stated bound", laws.memory, (Bounded,)),
    Check(8, "bad input is refused and leaves no trace", laws.bad_input),
    Check(8, "interrupted anywhere, it is as before the call", laws.interrupted, (Saves, Descends)),
    Check(8, "where training diverges, it is as before the call", laws.diverged, (Saves, Descends)),
    Check(9, "labels go out as they came in", laws.labels),
    Check(9, "the candidates are those asked for", laws.among),
    Check(9, "answers are well formed", laws.answers),
    Check(10, "predicting changes nothing", laws.predicting),
    Check(10, "the caller's arrays stay the caller's", laws.arrays_stay),
    Check(10, "asked while learning, it answers from before or after", laws.threads),
    Check(10, "how it is asked changes no answer", laws.asked_at, exact=True),
    Check(11, "the same seed gives the same result", laws.seeds),
)


_LIKE_LABELS = (
    laws.batches, laws.order, laws.saving, laws.damaged, laws.saved_at, laws.melding_exactly,
    laws.forgetting_exactly, laws.learned_at, laws.memory, laws.arrays_stay, laws.threads, laws.asked_at, laws.seeds,
)

NUMBER_CHECKS = tuple(sorted((
    Check(1, "new kinds of inputs can arrive at any time", number_laws.close),
    Check(1, "consolidating changes no digest", number_laws.consolidating),
    Check(5, "melding leaves the other as it was", number_laws.melding, (Melds,)),
    Check(6, "only what was taught can be forgotten", number_laws.forgetting, (Forgets,)),
    Check(8, "bad input is refused and leaves no trace", number_laws.bad_input),
    Check(10, "predicting changes nothing", number_laws.predicting),
    Check(9, "numbers lie in their intervals, and answers are well formed", number_laws.answers),
    *(check for check in CHECKS if check.test in _LIKE_LABELS),
), key=lambda check: check.law))


def learner_checks(*, numbers: bool = False, **settings: Any) -> list[Check]:
    """Every law as a named check.

    Args:
        numbers: the laws of a learner that answers numbers.
        settings: fields of `Trial` other than `make`: width, seed, scale, recall, stream, counts.

    >>> str(learner_checks()[0])
    'law 1: a new label can arrive at any time'
    """
    if not numbers:
        return [replace(check, settings=tuple(settings.items())) for check in CHECKS]
    return [replace(check, settings=tuple(settings.items()), trial=NumberTrial) for check in NUMBER_CHECKS]


def check_learner(make_learner: Make, *, numbers: bool = False, **settings: Any) -> list[str]:
    """Hold a learner of feature vectors to every law that binds it.

    Args:
        make_learner: returns a fresh learner, the same one each time (a class will do).
        numbers: whether it answers numbers, not labels.
        settings: as in `learner_checks`.

    Returns:
        The names of the laws that were checked.

    Raises:
        LawBroken: at the first law broken.
    """
    return [str(check) for check in learner_checks(numbers=numbers, **settings) if check(make_learner)]
