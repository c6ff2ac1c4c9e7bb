"""A head, a strategy, a backbone and a data set are added by one file and one row each: everything that lists or makes
them reads the table."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

FILES = {
    "last_seen.py": '''
import numpy as np
from engram.heads.head import Head, grown

class LastSeen(Head):
    def _learn(self, vectors, classes):
        self.latest = grown(getattr(self, "latest", np.zeros((0, vectors.shape[1]))), len(self._book))
        self.latest[classes] = vectors

    def _scores(self, vectors):
        return -((vectors[:, None] - self.latest) ** 2).sum(axis=2)

    def _arrays(self):
        return {"latest": self.latest} if self._book else {}

    def _restore(self, state):
        if self._book:
            self.latest = state["latest"].copy()
''',
    "sign_descent.py": '''
from engram.networks.strategies.strategy import Strategy

class SignDescent(Strategy):
    """Of each gradient only the sign counts."""

    def project(self, inputs, targets):
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.sign_()
''',
    "histogram.py": '''
import numpy as np
from engram.features.backbones.backbone import fingerprint_of
from engram.inputs.images import decode

class Histogram:
    kind, takes, network_file = "histogram", "pictures", None
    name, width = "histogram", 16

    def __init__(self):
        self.fingerprint = fingerprint_of(self.kind, self.config(), None)

    def features(self, inputs, progress=None):
        bins = [np.histogram(decode(one), bins=16, range=(0, 256))[0] for one in inputs]
        return np.asarray([counts / counts.sum() for counts in bins], np.float32)

    def config(self):
        return {}

    def network(self):
        return None

    @classmethod
    def restore(cls, name, config, network):
        made = cls()
        made.name = name
        return made
''',
    "corners.py": '''
import numpy as np
from engram.lab.data_sets.data_set import from_arrays

def load():
    rng = np.random.default_rng(0)
    return from_arrays(rng.normal(size=(80, 4)) + 6 * np.repeat(np.eye(4), 20, 0), np.repeat(list("abcd"), 20),
                       name="corners")
''',
}

ROWS = """
from engram.extension import Extension
from engram.features.backbones import BACKBONES, Kind
from engram.heads import HEADS
from engram.lab.data_sets import DATA_SETS
from engram.networks.strategies import STRATEGIES

HEADS["last-seen"] = Extension(path="last_seen:LastSeen", takes=("vectors",), summary="the latest", short=("ls",))
STRATEGIES["sign_descent"] = Extension(
    path="sign_descent:SignDescent", takes=("arrays",), needs=("train",), summary="signs",
    settings={"network": {"name": "perceptron", "hidden": [20]}})
BACKBONES["histogram"] = Kind(path="histogram:Histogram", takes=("pictures",), summary="brightness", ready=True)
DATA_SETS["corners"] = Extension(path="corners:load", takes=("vectors",), summary="four corners")
"""


LINES = (
    ["evaluate", "--help"],
    ["backbone", "list", "--json"],
    ["teach", "mind", "pictures", "--backbone", "histogram", "--json"],
    ["predict", "mind", "pictures/light", "--json"],
    ["evaluate", "corners", "ls", "sign-descent:epochs=5,batch=8", "--arrival", "task", "--json"],
)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the terminal prints for each line, in a program that has a file and a row for each."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("added")
    for name, source in FILES.items():
        (folder / name).write_text(source)
    (folder / "rows.py").write_text(ROWS)
    rng = np.random.default_rng(0)
    for label, low in (("dark", 0), ("light", 150)):
        (folder / "pictures" / label).mkdir(parents=True)
        for place in range(4):
            pixels = rng.integers(low, low + 100, (8, 8), np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / label / f"{place}.png")
    code = (
        "import sys, rows\nfrom engram.cli.app import run\n"
        f"for line in {LINES!r}:\n"
        "    code = run(line)\n    assert not code, (line, code)\n    print(chr(0), flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split("\0")[:-1]


def test_help_names_what_was_added(answers: list[str]) -> None:
    told = "".join(answers[0].split())
    assert [name for name in ("last-seen", "sign_descent", "corners") if name not in told] == []


def test_an_added_head_and_an_added_strategy_are_evaluated_on_an_added_data_set(answers: list[str]) -> None:
    found = json.loads(answers[4])
    assert found["stream"]["settings"]["data"] == "corners"
    accuracy = {name: entry["figures"]["accuracy"]["mean"] for name, entry in found["learners"].items()}
    assert list(accuracy) == ["last-seen", "sign_descent-epochs=5-batch=8"]
    assert min(accuracy.values()) > 0.8


def test_an_added_backbone_carries_a_brain_that_lasts(answers: list[str]) -> None:
    listed, taught, asked = map(json.loads, answers[1:4])
    assert {"name": "histogram", "origin": "built in", "folder": None, "kind": "histogram", "takes": "pictures"} in (
        listed)
    assert taught["labels"] == ["dark", "light"]
    assert {answer["label"] for answer in asked["answers"]} == {"light"}
