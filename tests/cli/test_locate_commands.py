"""Boxes at the terminal: what is in them is taught, and found in other pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from terminal import Terminal

from engram import Brain, meld
from engram.inputs.boxes import Box, overlap, read_boxes
from engram.lab.experiments.parts.surfaces import drawn
from engram.learner import InputError

BOXES = {"weave": (30, 40, 126, 136), "mesh": (190, 90, 286, 186)}


def scene(seed: int, boxes: dict[str, tuple[int, int, int, int]]) -> Image.Image:
    """Patches of fabrics on wood."""
    wood = Image.fromarray(drawn("grain", (seed, 9)).picture).resize((320, 240))
    for kind, (left, top, right, bottom) in boxes.items():
        patch = Image.fromarray(drawn(kind, (seed, 1)).picture).resize((right - left, bottom - top))
        wood.paste(patch, (left, top))
    return wood


@pytest.fixture
def engram(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    Path("new").mkdir()
    entries = []
    for seed in range(4):
        scene(seed, BOXES).save(f"scene-{seed}.png")
        entries += [{"picture": f"scene-{seed}.png", "label": label, "box": box} for label, box in BOXES.items()]
    Path("boxes.json").write_text(json.dumps(entries))
    scene(40, {"mesh": (60, 70, 150, 160)}).save("new/one.png")
    return Terminal(capsys)


def test_things_taught_by_boxes_are_found_in_another_picture_where_they_are(engram: Terminal) -> None:
    assert "Taught 8 boxes in 4 pictures" in engram.says("teach-boxes", "b", "boxes.json", "--backbone", "photos")
    assert engram.answers("teach-boxes", "b", "boxes.json")["taught"] == 0
    (line,) = engram.answers("locate", "b", "new", "--overlay", "seen")["pictures"]
    best = line["found"][0]
    assert best["label"] == "mesh"
    assert overlap(Box(*best["box"]), Box(60, 70, 150, 160)) > 0.5
    assert np.mean(best["mask"]) > 0.3
    assert Image.open("seen/one.png").size == (320, 240)
    assert "0 found in 1 picture." in engram.says("locate", "b", "new/one.png", "--least", "1.9")
    assert [one["source"].split("#")[1] for one in engram.answers("examples", "b")][:2] == ["30,40,126,136",
                                                                                           "190,90,286,186"]


def test_boxes_are_examples_like_others_to_the_bit() -> None:
    whole, parts = Brain("photos"), [Brain("photos"), Brain("photos")]
    for seed in range(3):
        picture = np.asarray(scene(seed, BOXES))
        for brain in (whole, parts[seed % 2]):
            brain.learn_boxes(picture, BOXES.values(), list(BOXES))
    assert meld(*parts).digest() == whole.digest()
    before = whole.digest()
    whole.learn_boxes(picture, [(0, 0, 50, 50)], "corner")
    whole.forget([picture[:50, :50]], "corner")
    assert whole.digest() == before
    with pytest.raises(InputError, match="holds nothing"):
        whole.learn_boxes(picture, [(400, 0, 450, 50)], "corner")
    with pytest.raises(InputError, match="does not find things"):
        Brain("descriptor").locate(picture)
    assert whole.digest() == before


@pytest.mark.parametrize(("text", "told"), [
    ("{}", "holds no list"), ("[3]", "is no object"), ("[", "cannot be read"),
    ('[{"picture": "scene-0.png", "label": "x", "box": [1, 2, 3]}]', "not four numbers"),
    ('[{"picture": "scene-0.png", "label": "x", "box": [9, 2, 3, 4]}]', "right lies beyond left"),
    ('[{"picture": "none.png", "label": "x", "box": [1, 2, 3, 4]}]', "no such file"),
    ('[{"picture": "scene-0.png", "box": [1, 2, 3, 4]}]', "lacks a picture or a label"),
])
def test_a_file_of_boxes_that_cannot_be_used_says_which_entry_and_why(
    engram: Terminal, text: str, told: str
) -> None:
    Path("bad.json").write_text(text)
    assert told in engram.refuses("teach-boxes", "b", "bad.json")
    assert not Path("b").exists()


def test_a_table_of_boxes_says_the_same_as_json(engram: Terminal) -> None:
    lines = ["picture,label,left,top,right,bottom"]
    lines += [f"scene-{seed}.png,{label},{','.join(map(str, box))}"
              for seed in range(4) for label, box in BOXES.items()]
    Path("boxes.csv").write_text("\n".join(lines))
    assert read_boxes(Path("boxes.csv")) == read_boxes(Path("boxes.json"))
