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

CHILD = """
import os, signal, sys
sys.path.insert(0, {place!r})
from test_kill_and_resume import evaluate, made, stream
seen = []
def progress(done, steps, what):
    seen.append(what)
    if seen.count("asking") >= 5 * {asked} and what.startswith({what!r}):
        os.kill(os.getpid(), signal.SIGKILL)
evaluate(made({name!r}), stream(), out={folder!r}, progress=progress)
"""


def made(name: str):
    network = {"name": "perceptron", "inputs": [64], "hidden": [24]}
    return METHODS[name](network, epochs=2, batch=32, learning_rate=0.01, active="experience", seed=3)


def stream() -> Stream:
    return task_incremental(data_set("digits")).map(flattened)


def finished(name: str, folder: str | None = None) -> tuple[object, State]:
    report = evaluate(made(name), stream(), out=folder)
    return report.right, report.trained.state()


@pytest.mark.parametrize(("name", "asked", "what"), [
    ("ExperienceReplay", 3, "learning"), ("ElasticWeightConsolidation", 3, "asking"),
    ("LearningWithoutForgetting", 3, "learning"),
])
def test_killed_and_resumed_it_ends_the_same(name, asked, what, tmp_path):
    folder = tmp_path / "out"
    child = CHILD.format(place=str(Path(__file__).parent), asked=asked, what=what, name=name, folder=str(folder))
    died = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (folder / "checkpoint.safetensors").exists()
    assert not (folder / "report.json").exists()
    (right, state), (expected, whole) = finished(name, str(folder)), finished(name)
    assert right == expected
    assert state.keys() == whole.keys()
    assert all(np.array_equal(array, whole[part]) for part, array in state.items())
