"""`engram predict --heat`: pictures with a map of what is not like good ones."""

from pathlib import Path

import pytest
from PIL import Image
from terminal import Terminal

from engram.lab.experiments.parts.surfaces import drawn


def test_predict_writes_the_pictures_with_their_heat_maps(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stained = drawn("mesh", (5, 101), "stain").picture
    for folder, pictures in (("mesh", [drawn("mesh", (5, i)).picture for i in range(4)]), ("new", [stained, stained])):
        Path(folder).mkdir()
        for i, picture in enumerate(pictures):
            Image.fromarray(picture).save(f"{folder}/{i}.png")
    engram = Terminal(capsys)
    taught = engram.says("teach", "m.brain", "mesh", "--backbone", "good-parts")
    assert "all its pictures count as good ones" in taught
    answers = engram.answers("predict", "m.brain", "new", "--heat", "hot")["answers"]
    assert [answer["heat"] for answer in answers] == ["hot/0.png", "hot/1.png"]
    assert Image.open("hot/0.png").size == (128, 128)
    assert "1 picture with heat maps: one.png" in engram.says("predict", "m.brain", "new/0.png", "--heat", "one.png")
    assert Image.open("one.png").size == (128, 128)
    Path("new/mesh").mkdir()
    Path("new/0.png").rename("new/mesh/0.png")
    Path("new/scratched").mkdir()
    Path("new/1.png").rename("new/scratched/1.png")
    told = engram.says("predict", "m.brain", "new")
    assert "Refused as unknown, by folder: 1 of 1 in mesh, 1 of 1 in scratched." in told
    assert "agree" not in told
    told = engram.says("unknowns", "m.brain")
    assert "Leave faults here" in told
    assert "engram name m.brain 1 mesh" in told
    assert "none of the products" in engram.refuses("name", "m.brain", "1", "broken")
    engram.says("teach", "whole.brain", "mesh", "--backbone", "descriptor")
    assert "--backbone good-parts" in engram.refuses("predict", "whole.brain", "mesh", "--heat", "cold")
    assert not Path("cold").exists()
