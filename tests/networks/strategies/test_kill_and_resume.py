"""Killed with SIGKILL and started again, an evaluation of a strategy ends as if nothing had happened."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
if not hasattr(signal, "SIGKILL"):
    pytest.skip("no SIGKILL on this system", allow_module_level=True)

from engram.lab.evaluation import evaluate
from engram.lab.streams import Stream, data_set, flattened, task_incremental
from engram.learner import State
from engram.networks.strategies.elastic_weight_consolidation import ElasticWeightConsolidation
from engram.networks.strategies.experience_replay import ExperienceReplay
from engram.networks.strategies.learning_without_forgetting import LearningWithoutForgetting

METHODS = {method.__name__: method for method in
           (ExperienceReplay, ElasticWeightConsolidation, LearningWithoutForgetting)}

KILLED_WHILE = {"ExperienceReplay": "learning", "ElasticWeightConsolidation": "asking",
                "LearningWithoutForgetting": "learning"}
ASKED = 3  # steps of the stream after which it is killed

# One program imports what is needed; a process of its own for each method is killed.
CHILD = """
import os, signal, sys
sys.path.insert(0, {place!r})
from test_kill_and_resume import ASKED, KILLED_WHILE, evaluate, made, stream
for name, what in KILLED_WHILE.items():
    child = os.fork()
    if not child:
        seen = []
        def progress(done, steps, doing):
            seen.append(doing)
            if seen.count("asking") >= 5 * ASKED and doing.startswith(what):
                os.kill(os.getpid(), signal.SIGKILL)
        evaluate(made(name), stream(), out=os.path.join({folder!r}, name), progress=progress)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def made(name: str):
    network = {"name": "perceptron", "inputs": [64], "hidden": [24]}
    return METHODS[name](network, epochs=2, batch=32, learning_rate=0.01, active="experience", seed=3)


def stream() -> Stream:
    return task_incremental(data_set("digits")).map(flattened)


def finished(name: str, folder: str | None = None) -> tuple[object, State]:
    report = evaluate(made(name), stream(), out=folder)
    return report.right, report.trained.state()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of evaluations, one for each method, that were killed in the midst."""
    folder = tmp_path_factory.mktemp("killed")
    child = CHILD.format(place=str(Path(__file__).parent), folder=str(folder))
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(KILLED_WHILE), done.stderr
    return folder


@pytest.mark.parametrize("name", KILLED_WHILE)
def test_killed_and_resumed_it_ends_the_same(name, killed):
    folder = killed / name
    assert (folder / "checkpoint.safetensors").exists()
    assert not (folder / "report.json").exists()
    (right, state), (expected, whole) = finished(name, str(folder)), finished(name)
    assert right == expected
    assert state.keys() == whole.keys()
    assert all(np.array_equal(array, whole[part]) for part, array in state.items())
