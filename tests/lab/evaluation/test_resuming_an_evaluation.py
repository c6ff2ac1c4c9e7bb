"""Killed at any moment, an evaluation goes on to the same result; what it left is never taken for something else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import softmax_by_descent
from softmax_by_descent import LEARNERS, SoftmaxByDescent, stream

from engram.heads.fast import FastHead
from engram.lab.evaluation import Report, evaluate
from engram.lab.evaluation.evaluate import FILE
from engram.learner import DamagedError, InputError

PROGRAM = softmax_by_descent.__file__


class PowerCut(BaseException):
    """Stands for the end of the process where the test goes on in the same one."""


def measured(report: Report) -> dict:
    """All of a report but the seconds."""
    document = report.to_json()
    for cost in document["costs"]:
        cost.update(learning=0, consolidating=0, asking=0)
    document["figures"] = {name: value for name, value in document["figures"].items() if "seconds" not in name}
    return document


def same(one: Report, other: Report) -> bool:
    """To the bit, as far as it is promised: what the fast head derives from its sums is equal to 1e-9, its sums are."""
    if isinstance(one.trained, FastHead):
        return np.array_equal(one.matrix, other.matrix) and one.trained.digest() == other.trained.digest()
    arrays, others = one.trained.state(), other.trained.state()
    return measured(one) == measured(other) and arrays.keys() == others.keys() and all(
        arrays[name].tobytes() == others[name].tobytes() for name in arrays)


def killed_at(step: int, out: Path, learner: str) -> None:
    """Run the evaluation in a process of its own that dies by SIGKILL at that call of its progress."""
    done = subprocess.run([sys.executable, PROGRAM, str(out), learner, str(step)], check=False)
    assert done.returncode == -signal.SIGKILL


def cut_at(step: int, out: Path, make=LEARNERS["descent"], **options) -> None:
    calls = iter(range(1000))

    def progress(done, total, what):
        if next(calls) == step:
            raise PowerCut

    with pytest.raises(PowerCut):
        evaluate(make(), stream(), out=out, progress=progress, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("learner", ["descent", "fast"])
def test_killed_twice_an_evaluation_ends_as_if_nothing_had_been(tmp_path, learner):
    whole = evaluate(LEARNERS[learner](), stream())
    killed_at(11, tmp_path, learner)
    killed_at(7, tmp_path, learner)
    resumed = evaluate(LEARNERS[learner](), stream(), out=tmp_path)
    assert same(resumed, whole)
    assert measured(Report.read(tmp_path / "report.json")) == measured(resumed)


@pytest.mark.parametrize("learner", LEARNERS)
def test_whatever_the_learner_every_moment_is_good_to_be_interrupted(tmp_path, learner):
    whole = evaluate(LEARNERS[learner](), stream())
    for step in (0, 5, 10, 21, 23):
        out = tmp_path / str(step)
        cut_at(step, out, LEARNERS[learner])
        resumed = evaluate(LEARNERS[learner](), stream(), out=out)
        assert same(resumed, whole)


def test_what_is_complete_is_not_taught_again(tmp_path):
    first = evaluate(LEARNERS["descent"](), stream(), out=tmp_path)
    told = []
    again = evaluate(LEARNERS["descent"](), stream(), out=tmp_path, progress=lambda *call: told.append(call))
    assert again == first
    assert again.seconds == first.seconds
    assert told == [(24, 24, "done")]


def test_an_unfinished_file_beside_the_checkpoint_does_no_harm(tmp_path):
    cut_at(12, tmp_path)
    (tmp_path / f"{FILE}.engram-tmp").write_bytes(b"half of a")
    assert measured(evaluate(LEARNERS["descent"](), stream(), out=tmp_path)) == measured(
        evaluate(LEARNERS["descent"](), stream()))


def test_without_resume_it_starts_from_the_beginning(tmp_path):
    cut_at(12, tmp_path)
    told = []
    evaluate(LEARNERS["descent"](), stream(), out=tmp_path, resume=False, progress=lambda *call: told.append(call[0]))
    assert told[0] == 1


def test_a_learner_that_needs_more_than_its_state_is_rebuilt_by_the_caller(tmp_path):
    whole = evaluate(SoftmaxByDescent(12, rate=0.1), stream())
    cut_at(12, tmp_path, lambda: SoftmaxByDescent(12, rate=0.1))
    resumed = evaluate(SoftmaxByDescent(12, rate=0.1), stream(), out=tmp_path,
                       rebuild=lambda state: SoftmaxByDescent.from_state(state, rate=0.1))
    assert same(resumed, whole)


def test_another_learner_or_stream_is_not_continued(tmp_path):
    cut_at(12, tmp_path)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(InputError, match="another seed"):
        evaluate(SoftmaxByDescent(11), stream(), out=tmp_path)
    with pytest.raises(InputError, match="another stream"):
        evaluate(LEARNERS["descent"](), stream()[:3], out=tmp_path)
    with pytest.raises(InputError, match="another stream"):
        evaluate(LEARNERS["descent"](), stream().map(lambda x: 2 * x), out=tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_network_of_ones_own_is_to_be_built_from_a_seed(tmp_path):
    torch = pytest.importorskip("torch")
    from engram.networks.strategies.naive import Naive

    width = stream().input_shape[0]
    for make, says in ((lambda: torch.nn.Linear(width, 4), r"\. Seed torch before you build a network of your own"),
                       (lambda: {"name": "perceptron", "inputs": [width]}, r"another folder\. Evaluate")):
        out = tmp_path / says[-4:]
        evaluate(Naive(make(), shape=[width]), stream(), out=out)
        with pytest.raises(InputError, match=says):
            evaluate(Naive(make(), shape=[width], seed=1, epochs=2), stream(), out=out)


def test_a_damaged_checkpoint_is_noticed_wherever_it_is_damaged(tmp_path):
    cut_at(12, tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        (tmp_path / FILE).write_bytes(flipped)
        with pytest.raises(DamagedError, match="--fresh"):
            evaluate(LEARNERS["descent"](), stream(), out=tmp_path)
    (tmp_path / FILE).write_bytes(whole[:-1])
    with pytest.raises(DamagedError, match="--fresh"):
        evaluate(LEARNERS["descent"](), stream(), out=tmp_path)


def test_a_damaged_report_is_noticed(tmp_path):
    evaluate(LEARNERS["fast"](), stream(), out=tmp_path)
    path = tmp_path / "report.json"
    whole = json.loads(path.read_text())
    for broken in ({**whole, "format": 2}, {name: whole[name] for name in whole if name != "totals"}):
        path.write_text(json.dumps(broken))
        with pytest.raises(DamagedError, match="again"):
            Report.read(path)
    path.write_text("{")
    with pytest.raises(DamagedError, match="again"):
        Report.read(path)
