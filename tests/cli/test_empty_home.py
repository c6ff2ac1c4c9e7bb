"""No command leaves anything in the home folder but what docs/operations.md lists, and ONNX Runtime reports nothing."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engram.cli.app import COMMANDS, Commands

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("commands_in_an_empty_home.py")

BRAINS = """
teach vectors.brain vectors.csv; teach pictures.brain photos; predict pictures.brain photos
predict vectors.brain asked.csv; unknowns vectors.brain; name vectors.brain 1 d; rename vectors.brain a c
teach-boxes things.brain boxes.csv; locate things.brain photos/a/0.png --overlay found
consolidate vectors.brain; alpha vectors.brain 0.05; audit vectors.brain; why vectors.brain asked.csv
info pictures.brain; examples vectors.brain; relabel vectors.brain 5 --label b
history vectors.brain; undo vectors.brain; rollback vectors.brain --to 6; diff vectors.brain 6
copy vectors.brain copy.brain; export vectors.brain events.jsonl; import again.brain events.jsonl
verify pictures.brain; repair vectors.brain; forget vectors.brain --label b; meld whole.brain vectors.brain
prove vectors.brain --log --out certificate; teach sounds.brain sounds; listen sounds.brain sounds/a/0.wav
token add tokens.json ada; token list tokens.json; token remove tokens.json ada
"""
OTHERS = """
backbone list; backbone inspect photos; backbone make photos photos --name mine
backbone evaluate photos photos --shots 1; backbone import network.onnx --name other --size 8x8 --grey
evaluate digits nearest_class_mean; experiment list; experiment settings ldnn-mnist; experiment figures --out results
experiment check --out results
"""
ELSEWHERE = {
    "serve": "test_a_server_leaves_nothing",
    "demo": "takes many seconds; all that it leaves is matplotlib's list of fonts",
    "backbone pretrain": "writes through the same cache; takes minutes",
    "backbone pull": "fetches from the network; it writes through the same cache",
    "experiment run": "writes through the same cache; takes minutes",
}
"""What is tried in a test of its own, or why it is not."""

DOCUMENTED = re.compile(r"\.local/share/engram/backbones/|\.cache/engram/|\.cache/matplotlib/")


def lines(text: str) -> list[list[str]]:
    return [line.split() for part in text.splitlines() for line in part.split(";") if line.strip()]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """As on a new machine: an empty home, and nothing said about telemetry or folders."""
    (tmp_path / "home").mkdir()
    said = ("ORT_", "ENGRAM_", "XDG_", "MPL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(said)}
    return kept | {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT / "src")}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a little of everything to teach."""
    folder = tmp_path / "work"
    generator = np.random.default_rng(0)
    for label in "ab":
        (folder / "photos" / label).mkdir(parents=True)
        for i in range(4):
            pixels = generator.integers(0, 255, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / label / f"{i}.png")
    rows = [f"{x:.2f},{y:.2f},{'ab'[i % 2]}" for i, (x, y) in enumerate(generator.normal(size=(8, 2)))]
    (folder / "vectors.csv").write_text("\n".join(["x,y,label", *rows]) + "\n")
    (folder / "asked.csv").write_text("x,y\n-7,-7\n")
    (folder / "boxes.csv").write_text("picture,label,left,top,right,bottom\nphotos/a/0.png,spot,0,0,8,8\n")
    for label, hertz in (("a", 400), ("b", 900)):
        (folder / "sounds" / label).mkdir(parents=True)
        with wave.open(str(folder / "sounds" / label / "0.wav"), "wb") as out:
            out.setparams((1, 2, 8000, 0, "NONE", ""))
            out.writeframes((9999 * np.sin(np.arange(6000) * hertz * np.pi / 4000)).astype("<i2").tobytes())
    (folder / "results").mkdir()
    digits = ROOT / "src" / "engram" / "features" / "backbones" / "data" / "digits" / "network.onnx"
    (folder / "network.onnx").write_bytes(digits.read_bytes())
    return folder


def left_by(work: Path, environment: dict[str, str], *wanted: list[str]) -> dict[str, tuple[int, list[str]]]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), environment["HOME"]], input=json.dumps(wanted), cwd=work, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[int, list[str]]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("text", [BRAINS, OTHERS], ids=["brains", "others"])
def test_no_command_leaves_anything_that_is_not_documented(
    text: str, work: Path, environment: dict[str, str]
) -> None:
    found = left_by(work, environment, *lines(text))
    assert len(found) == len(lines(text))
    left = {line: [name for name in told[1] if not DOCUMENTED.match(name)] for line, told in found.items()}
    assert {line: names for line, names in left.items() if names} == {}
    refused = [line for line, told in found.items() if told[0]]
    assert refused in ([], ["experiment check --out results"])  # there are none


def test_a_server_leaves_nothing(work: Path, environment: dict[str, str]) -> None:
    left_by(work, environment, ["teach", "pictures.brain", "photos"])
    command = [sys.executable, "-m", "engram", "serve", "pictures.brain", "--port", "0", "--json"]
    server = subprocess.Popen(command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdout is not None
    try:
        told = b"".join(iter(server.stdout.readline, b"}\n")) + b"}"
        picture = (work / "photos" / "a" / "0.png").read_bytes()
        address = json.loads(told)["address"].rstrip("/") + "/v1/brains/pictures/predict"
        request = urllib.request.Request(address, picture, {"Content-Type": "image/png"})
        for _ in range(5000):
            try:
                with urllib.request.urlopen(request) as answer:
                    assert answer.status == 200
                break
            except urllib.error.HTTPError as error:
                if error.code != 503:  # it is being opened
                    raise
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        server.stdout.close()
    assert list(Path(environment["HOME"]).rglob("*")) == []


def leaves(commands: Commands = COMMANDS, above: str = "") -> list[str]:
    found = []
    for name, target in commands.items():
        found += [above + name] if isinstance(target, str) else leaves(target, f"{above}{name} ")
    return found


def test_every_command_is_tried() -> None:
    tried = [" ".join(line) for line in lines(BRAINS + OTHERS)]
    left_out = [name for name in leaves() if not any(line.startswith(name + " ") or line == name for line in tried)]
    assert sorted(left_out) == sorted(ELSEWHERE)


def test_onnx_runtime_is_imported_in_one_place_and_its_telemetry_is_off(environment: dict[str, str]) -> None:
    importing = [
        path.relative_to(ROOT / "src" / "engram").as_posix()
        for path in (ROOT / "src" / "engram").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name.startswith("onnxruntime") for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("onnxruntime"))
    ]
    assert importing == ["features/backbones/onnx.py"]
    code = "import os, engram; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
