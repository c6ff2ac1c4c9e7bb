"""Hostile input is refused and changes nothing; a server that would let it in is found out."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hostile_server import Target, cases, targets_in, trial
from hostile_wire import TEACH, Case, http, posting
from served_things import LESSON

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")
EVERY = 5


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Target, Target]]:
    made = targets_in(tmp_path_factory.mktemp("hostile"))
    yield made
    for target in made:
        target.close()


def test_hostile_input_is_refused_and_changes_nothing(targets: tuple[Target, Target]) -> None:
    other = targets[0].home.parent / "other"
    verdict = trial(targets, cases(other, targets[1].tokens, heavy=False)[::EVERY])
    assert verdict.accepted == []
    assert verdict.tried >= 80


@pytest.mark.parametrize(
    "header",
    ["Host: 127.0.0.1", "Origin: http://127.0.0.1", "Content-Type: application/json", "Authorization: Bearer x"],
)
def test_a_header_that_could_be_read_in_two_ways_is_refused(targets: tuple[Target, Target], header: str) -> None:
    name, _, value = header.partition(": ")
    twice = posting(TEACH, LESSON, headers=[(name, value), (name, value)])
    assert trial(targets[:1], [Case("twice", twice)]).accepted == []


def test_a_path_that_is_too_long_is_refused_as_such(targets: tuple[Target, Target]) -> None:
    assert targets[0].http.delete(f"{TEACH}/{'9' * 5000}").status_code == 414


def test_what_is_let_in_and_changes_something_is_found_out(targets: tuple[Target, Target]) -> None:
    target, fine = targets[0], posting(TEACH, LESSON)
    verdict = trial([target], [Case("a lesson", fine), Case("looking on", http("GET", "/v1/brains"))])
    target.before = target.state()
    quiet = trial([target], [Case("called harmless", fine, harmless=lambda answer: answer.status == 201)])
    target.before = target.state()
    assert [one.partition(":")[0] for one in verdict.accepted] == ["something was changed", "a lesson", "looking on"]
    assert quiet.accepted == ["called harmless: it changed something"]
