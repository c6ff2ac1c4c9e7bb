"""Single vectors asked about at the same moment: each gets the answer that it would get alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server is an extra")

from served_things import Program

from engram.brain import Brain
from engram.learner import InputError
from engram.server.problems import Refusal
from engram.server.routes.asking import answers_json
from engram.server.served_brain import Gathering, ServedBrain


def in_a_loop_of_its_own(work: Any) -> Any:
    """Run a coroutine in another thread: a browser that tests share keeps a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(5, 8))
ASKED = [np.atleast_2d(CENTRES[i % 5] + 0.3 * RNG.normal(size=8)) for i in range(40)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Brain.create(tmp_path / "demo") as brain:
        brain.learn(np.repeat(CENTRES, 20, 0) + 0.3 * RNG.normal(size=(100, 8)), [f"c{i // 20}" for i in range(100)])
    return tmp_path / "demo"


@pytest.fixture
def served(folder: Path) -> Iterator[ServedBrain]:
    brain = ServedBrain("demo", folder)
    brain.open()
    yield brain
    brain.close()


def asked(served: ServedBrain, vectors: list[Any]) -> list[Any]:
    """What each who asks gets, or what is raised for it."""
    gathering = Gathering()

    async def ask() -> list[Any]:
        return await asyncio.gather(*(gathering.ask(served, one) for one in vectors), return_exceptions=True)

    return in_a_loop_of_its_own(ask())


def calls_of(served: ServedBrain, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vectors each further call of the brain is given."""
    counts: list[int] = []
    predict = Brain.predict
    monkeypatch.setattr(Brain, "predict", lambda *given: counts.append(len(given[1])) or predict(*given))
    return counts


def test_those_who_ask_at_once_are_answered_by_few_calls_and_as_if_alone(
    served: ServedBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [answers_json([served.brain.predict(one)], 10, served.seq) for one in ASKED]
    counts = calls_of(served, monkeypatch)
    assert [answers_json([answer], 10, seq) for answer, seq in asked(served, ASKED)] == alone
    assert counts == [16, 16, 8]
    assert served.asked == 40


def test_one_that_is_refused_spoils_no_other(served: ServedBrain) -> None:
    vectors = ASKED[:5]
    answers = asked(served, [*vectors[:2], np.full((1, 8), np.nan), *vectors[2:]])
    assert isinstance(answers.pop(2), InputError)
    assert [answer.best for answer, _ in answers] == [served.brain.predict(one).best for one in vectors]
    assert served.asked == 5


def test_whoever_has_gone_is_not_answered(served: ServedBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    gathering, counts = Gathering(), calls_of(served, monkeypatch)

    async def ask() -> Any:
        leaving, staying = (asyncio.ensure_future(gathering.ask(served, one)) for one in ASKED[:2])
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert in_a_loop_of_its_own(ask())[0].best == served.brain.predict(ASKED[1]).best
    assert counts[0] == 1


def test_all_are_refused_while_the_brain_is_not_open(served: ServedBrain) -> None:
    served.close()
    assert {type(answer) for answer in asked(served, ASKED[:3])} == {Refusal}


def test_many_clients_of_a_program_get_what_each_would_alone(program: Callable[..., Program], folder: Path) -> None:
    running = program(str(folder), "--rate", "0")
    running.wait_until_ready()

    def ask(vectors: list[Any]) -> list[bytes]:
        client = HTTPConnection(running.address.removeprefix("http://"))
        found = []
        for one in vectors:
            body = json.dumps({"vectors": one.tolist()})
            client.request("POST", "/v1/brains/demo/predict", body, {"Content-Type": "application/json"})
            found.append(client.getresponse().read())
        client.close()
        return found

    alone = ask(ASKED)
    assert all(b'"answers"' in answer for answer in alone)
    with ThreadPoolExecutor(8) as clients:
        assert all(answers == alone for answers in clients.map(ask, [ASKED] * 8))
