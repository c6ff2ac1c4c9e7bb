"""A server killed at any moment loses nothing that it acknowledged; and a ledger that does not fit is found out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server is an extra")

from forgetful_server import forgetting_trial, traces_of
from killed_server import Verdict, judge, trial
from teaching_clients import Client, Known

from engram.brain import Brain

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX")


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    verdict = trial(tmp_path, kills=5, clients=3, seed=1, cold_every=4)
    assert verdict.problems == []
    assert (verdict.kills, verdict.lost, verdict.corrupt, verdict.digest_equal) == (5, 0, 0, 1)
    assert verdict.acknowledged > 20


def test_nothing_forgotten_is_found_after_the_server_was_killed_while_it_was_asked_to_forget(tmp_path: Path) -> None:
    client, lost, traces = forgetting_trial(tmp_path, kills=3, seed=2)
    assert (lost, traces) == ([], [])
    assert client.gone


def test_what_was_forgotten_and_lies_in_a_file_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite-wal").write_bytes(b"...of Jane Doe and others")
    assert traces_of({"the name": b"Jane Doe"}, tmp_path) == ["the name in log.sqlite-wal"]


@pytest.fixture
def taught(tmp_path: Path) -> tuple[Path, Client]:
    """A brain that was taught, and the client who did."""
    client = Client(0, 0, 0)
    rows = np.random.default_rng(0).normal(size=(4, 32)).astype(np.float32)
    with Brain.create(tmp_path / "brain") as brain:
        ids = brain.learn_examples(rows, ["0/a", "0/a", "0/b", "0/b"]).ids
    labels = ("0/a", "0/a", "0/b", "0/b")
    client.known = {number: (tuple(row.tolist()), label) for number, row, label in zip(ids, rows, labels, strict=True)}
    return tmp_path / "brain", client


def judged(taught: tuple[Path, Client], known: Known) -> Verdict:
    folder, client = taught
    client.known, verdict = known, Verdict()
    judge(folder, [client], verdict)
    return verdict


def test_a_true_ledger_is_found_true(taught: tuple[Path, Client]) -> None:
    assert judged(taught, taught[1].known).problems == []


def test_an_acknowledged_example_that_is_not_there_is_lost(taught: tuple[Path, Client]) -> None:
    verdict = judged(taught, taught[1].known | {99: ((0.5,) * 32, "0/a")})
    assert verdict.lost == 1
    assert "re-taught" in verdict.problems[-1]


def test_an_example_under_another_label_is_lost(taught: tuple[Path, Client]) -> None:
    number, (row, _) = next(iter(taught[1].known.items()))
    assert judged(taught, taught[1].known | {number: (row, "0/b")}).lost == 1


def test_an_example_with_other_values_is_found_out(taught: tuple[Path, Client]) -> None:
    number, (row, label) = next(iter(taught[1].known.items()))
    verdict = judged(taught, taught[1].known | {number: ((row[0] + 0.1, *row[1:]), label)})
    assert (verdict.lost, verdict.digest_equal) == (0, 0)
    assert verdict.problems


def test_what_was_forgotten_and_is_there_is_found_out(taught: tuple[Path, Client]) -> None:
    known = dict(list(taught[1].known.items())[1:])
    verdict = judged(taught, known)
    assert verdict.lost == 0
    assert any("nobody asked for" in problem for problem in verdict.problems)
