"""`engram backbone`: pre-trained on one's own pictures, imported from weights, pulled from the hub, evaluated."""
# ruff: noqa: E402

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from safetensors.torch import save_file

from engram.cli import app
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.preprocessing import IMAGENET
from engram.features.pretraining import hub
from engram.features.pretraining.families import make_network

pytestmark = pytest.mark.long

COLOURS = {"fern": (30, 150, 60), "iris": (90, 60, 190), "poppy": (220, 40, 30), "rose": (230, 120, 160)}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENGRAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "home"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four folders of twelve pictures: squares of a colour on grey."""
    for i, (kind, colour) in enumerate(COLOURS.items()):
        rng = np.random.default_rng(i)
        for number in range(12):
            pixels = rng.normal(128, 15, (40, 40, 3))
            top, left = rng.integers(0, 16, 2)
            pixels[top : top + 24, left : left + 24] = rng.normal(colour, 15, (24, 24, 3))
            path = tmp_path / "pictures" / kind / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return tmp_path / "pictures"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    save_file(make_network("resnet18", 5, seed=0, multiplier=0.125).state_dict(), path)
    return path


def answer(capsys: pytest.CaptureFixture[str], *line: object) -> Any:
    assert app.run([*map(str, line), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


SMALL = ("--family", "resnet18", "--multiplier", "0.125", "--size", "32", "--batch", "16", "--steps", "12")


@pytest.mark.parametrize("recipe", ["combination", "rotation"])
def test_pretraining_leaves_a_measured_backbone(
    recipe: str, pictures: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = answer(capsys, "backbone", "pretrain", pictures, "--recipe", recipe, "--name", "mine", *SMALL)
    assert (made["name"], made["width"], made["covariance"]) == ("mine", 64, True)
    bundle = Bundle.open(home / "backbones" / "mine")
    assert bundle.fingerprint == made["fingerprint"]
    assert bundle.mean.any()
    assert not list((home.parent / "cache").rglob("*.checkpoint"))


def test_a_network_learns_to_see_as_its_teacher_does(
    pictures: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ("backbone", "pretrain", pictures, "--recipe", "distillation", "--name", "student", *SMALL)
    assert app.run([*map(str, line)]) == 1
    assert "takes a teacher" in capsys.readouterr().err
    made = answer(capsys, *line, "--teacher", "photos")
    bundle = Bundle.open(home / "backbones" / "student")
    assert (bundle.fingerprint, made["covariance"]) == (made["fingerprint"], True)
    assert bundle.backbone.preprocessing.mean == (120.0,)  # as the student saw them in training


def test_the_same_seed_pretrains_the_same_backbone(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("backbone", "pretrain", pictures, *SMALL, "--name")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    first, second = (answer(capsys, *line, name) for name in ("first", "second"))
    other = answer(capsys, *line, "other", "--seed", "1")
    torch.set_num_threads(threads)
    assert first["fingerprint"] == second["fingerprint"] != other["fingerprint"]


def test_ctrl_c_loses_nothing(pictures: Path, home: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-c", "from engram.cli import main; main()", "backbone", "pretrain", str(pictures),
            *SMALL[:-1], "250", "--name", "mine"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(line, env=env, stderr=subprocess.PIPE, text=True)
    checkpoints = tmp_path / "cache" / "trained"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("*.checkpoint")) and time.monotonic() < deadline:
        assert first.poll() is None
        time.sleep(0.02)
    time.sleep(0.1)  # some steps past the last checkpoint that is written anyway
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "the same command resumes it" in said
    assert not (home / "backbones" / "mine").exists()
    from safetensors.torch import load_file

    (checkpoint,) = checkpoints.glob("*.checkpoint")
    stopped = int(load_file(checkpoint)["step"])
    assert stopped % 100 != 0 or stopped > 100
    second = subprocess.run(line, env=env, check=False, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert (home / "backbones" / "mine").exists()
    assert not checkpoint.exists()


def test_a_recipe_with_labels_refuses_pictures_without(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["backbone", "pretrain", str(pictures / "fern"), "--recipe", "cosine-margin", *SMALL]) == 1
    assert "needs a folder for each class; without labels there are: rotation, swav, cpc" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(("--recipe", "simclr"), "Unknown recipe 'simclr'"), (("--family", "vgg"), "Unknown family 'vgg'"),
     (("--device", "abacus"), "Device 'abacus'"), (("--steps", "0"), "One step or more"),
     (("--family", "squeezenet1_1"), "cannot be made with"), (("--size", "100000"), "16 to 1024")],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_decoded(
    wrong: tuple[str, str], said: str, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["backbone", "pretrain", str(pictures), *SMALL, *wrong]) == 1
    assert said in capsys.readouterr().err


def test_weights_become_a_backbone_that_can_be_measured(
    weights: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = answer(capsys, "backbone", "import", weights, "--size", "40x40", "--name", "mine")
    assert (bare["width"], bare["covariance"]) == (64, False)
    assert answer(capsys, "backbone", "make", "mine", pictures, "--overwrite")["covariance"]


def test_options_that_say_nothing_about_a_file_are_wrong_usage(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["backbone", "import", str(weights), "--cut", "layer3"]) == 2
    assert app.run(["backbone", "import", "network.onnx", "--family", "resnet18"]) == 2
    assert app.run(["backbone", "import", str(weights), "--family", "resnet34"]) == 1
    assert "Nearest is resnet34" in capsys.readouterr().err


def test_evaluation_tells_a_good_backbone_from_a_blind_one(
    pictures: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(capsys, "backbone", "import", weights, "--size", "40x40", "--name", "seeing")
    answer(capsys, "backbone", "make", "seeing", pictures, "--overwrite")
    found = answer(capsys, "backbone", "evaluate", "seeing", pictures, "--splits", "5")
    assert [row["shots"] for row in found["results"]] == [1, 5]
    assert (found["left_away"], found["classes"], found["pictures"]) == ([14], 4, 48)
    five = found["results"][1]
    assert five["accuracy"]["low"] <= five["accuracy"]["mean"] <= five["accuracy"]["high"]
    assert five["accuracy"]["mean"] > 0.8  # even random convolutions see colours
    assert five["auroc"]["mean"] > 0.6
    assert app.run(["backbone", "evaluate", "seeing", str(pictures), "--splits", "2"]) == 0
    shown = capsys.readouterr().out
    assert "seeing: 4 classes, 48 pictures, 2 splits" in shown
    assert "Too few pictures for 14 shots." in shown


def test_evaluation_refuses_what_it_cannot_split(
    pictures: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app.run(["backbone", "import", str(weights), "--size", "40x40", "--name", "mine"])
    capsys.readouterr()
    assert app.run(["backbone", "evaluate", "mine", str(pictures), "--shots", "1,many"]) == 2
    assert app.run(["backbone", "evaluate", "mine", str(pictures / "fern")]) == 1
    assert "no folder per class" in capsys.readouterr().err
    assert app.run(["backbone", "evaluate", "mine", str(pictures), "--shots", "12"]) == 1
    assert "take fewer shots" in capsys.readouterr().err


class HubAnswers(SimpleHTTPRequestHandler):
    """A folder as the hub serves it: addresses of files redirect to their bytes and say their SHA-256."""

    def log_message(self, *_: object) -> None:
        pass

    def send_head(self) -> Any:
        if "/resolve/" not in self.path:
            return super().send_head()
        name = self.path.rsplit("/", 1)[1]
        content = (Path(self.directory) / name).read_bytes()
        self.send_response(302)
        self.send_header("Location", f"/{name}")
        self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.end_headers()
        return None


@pytest.fixture
def served(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hub on this machine, with a small network under a name of the table."""
    small = hub.Published("someone/small", "main", weights.name, None, "resnet18", IMAGENET, "CC0")
    monkeypatch.setitem(hub.WELL_KNOWN, "small", small)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(HubAnswers, directory=str(weights.parent)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def test_a_pulled_network_is_the_same_as_its_weights_imported(
    served: Any, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pulled = answer(capsys, "backbone", "pull", "small")
    assert pulled == {**answer(capsys, "backbone", "import", weights, "--name", "other"), "name": "small"}
    assert not list((tmp_path / "cache" / "downloads").iterdir())


def test_a_checksum_of_the_table_is_held_to_whatever_the_server_says(
    served: Any, monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(hub.WELL_KNOWN, "small", hub.WELL_KNOWN["small"]._replace(sha256="0" * 64))
    assert app.run(["backbone", "pull", "small"]) == 1
    assert "another SHA-256" in capsys.readouterr().err
    assert not (home / "backbones" / "small").exists()


def test_an_unknown_name_and_no_network_are_refusals_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["backbone", "pull", "vgg"]) == 1
    assert "No network 'vgg'. There are: resnet18" in capsys.readouterr().err
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert app.run(["backbone", "pull", "resnet18"]) == 1
    assert "No connection to 127.0.0.1:9" in capsys.readouterr().err


def test_the_table_names_only_files_that_cannot_run_code() -> None:
    for name, network in hub.WELL_KNOWN.items():
        assert network.file.endswith((".safetensors", ".onnx")), name
        assert (network.family is None) == network.file.endswith(".onnx"), name
        assert network.sha256 is None or len(bytes.fromhex(network.sha256)) == 32, name
        assert network.terms, name
