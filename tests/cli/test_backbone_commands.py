"""`engram backbone`: a network's file becomes a backbone, is measured, listed and inspected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from engram.cli import app
from engram.extras import installed


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """An .onnx file whose features are the mean red, green and blue of an 8x8 picture."""
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, 8, 8])
    colours = helper.make_tensor_value_info("colours", TensorProto.FLOAT, ["N", 3])
    nodes = [
        helper.make_node("GlobalAveragePool", ["picture"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["colours"]),
    ]
    graph = helper.make_graph(nodes, "colours", [picture], [colours])
    path = tmp_path / "colours.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two folders of four pictures each."""
    rng = np.random.default_rng(0)
    for kind, colour in {"red": (200, 30, 30), "blue": (30, 30, 200)}.items():
        for i in range(4):
            pixels = np.clip(rng.normal(colour, 20, (12, 12, 3)), 0, 255).astype(np.uint8)
            path = tmp_path / "pictures" / kind / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return tmp_path / "pictures"


def answer(capsys: pytest.CaptureFixture[str], *line: object) -> Any:
    assert app.run([*map(str, line), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_an_imported_network_is_listed_and_inspected(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = answer(capsys, "backbone", "import", network, "--size", "8x8", "--name", "mine")
    assert (made["name"], made["width"], made["covariance"]) == ("mine", 3, False)
    listed = {line["name"]: line for line in answer(capsys, "backbone", "list")}
    assert listed["mine"]["fingerprint"] == made["fingerprint"]
    assert answer(capsys, "backbone", "inspect", "mine")["config"]["preprocessing"]["size"] == [8, 8]


def test_make_measures_the_covariance_within_the_folders(
    network: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = answer(capsys, "backbone", "import", network, "--size", "8x8", "--name", "mine")
    made = answer(capsys, "backbone", "make", "mine", pictures, "--name", "measured")
    assert made["covariance"]
    assert made["fingerprint"] != bare["fingerprint"]


def test_pixel_options_change_what_the_network_sees(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ("backbone", "import", network, "--size", "8x8")
    one = answer(capsys, *line, "--name", "one")
    other = answer(capsys, *line, "--name", "other", "--mean", "124,116,104", "--scale", "0.017,0.018,0.017")
    assert one["fingerprint"] != other["fingerprint"]


@pytest.mark.parametrize("wrong", [("--size", "8"), ("--size", "8x8", "--mean", "grey")])
def test_an_option_that_cannot_be_read_is_wrong_usage(
    network: Path, wrong: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["backbone", "import", str(network), *wrong]) == 2
    assert wrong[-2] in capsys.readouterr().err


def test_a_name_that_is_taken_is_refused_unless_overwritten(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["backbone", "import", str(network), "--size", "8x8", "--name", "mine"]
    assert app.run(line) == 0
    assert app.run(line) == 1
    assert "overwrite" in capsys.readouterr().err
    assert app.run([*line, "--overwrite"]) == 0


def test_people_are_told_what_to_do_next(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app.run(["backbone", "import", str(network), "--size", "8x8", "--name", "mine"])
    assert "engram backbone make mine PICTURES" in capsys.readouterr().out
    app.run(["backbone", "list"])
    assert "mine" in capsys.readouterr().out
    app.run(["backbone", "inspect", "mine"])
    assert "fingerprint" in capsys.readouterr().out


def test_an_unknown_backbone_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["backbone", "inspect", "nosuch"]) == 1
    assert "No backbone 'nosuch'" in capsys.readouterr().err


def test_the_list_says_what_stands_in_where_no_backbone_is_given(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["backbone", "list"]) == 0
    stands_in = "efficientnet-lite0" if installed("photos") else "photos"
    assert f"A new brain for pictures uses `{stands_in}`" in capsys.readouterr().out
