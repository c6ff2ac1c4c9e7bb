"""Which files are pictures: every ending that is decoded, what is left out and told, bytes and open files."""

from __future__ import annotations

import io
import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engram import Brain
from engram.brain.bundles import default_bundle
from engram.cli import app
from engram.inputs.examples import gather
from engram.inputs.folders import PassedOver
from engram.inputs.images import SUFFIXES, decode, formats, scan, survey
from engram.learner import InputError

RED = Image.new("RGB", (40, 30), (200, 30, 30))
WRITTEN_AS = {".jfif": "JPEG", ".jpe": "JPEG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".jp2": "JPEG2000",
              ".pgm": "PPM", ".heic": "HEIF", ".heif": "HEIF"}  # fmt: skip


@pytest.mark.parametrize("ending", sorted(SUFFIXES))
def test_files_of_every_ending_are_found_and_decoded(ending: str, tmp_path: Path) -> None:
    kind = WRITTEN_AS.get(ending, ending[1:].upper())
    if kind not in formats():
        pytest.skip(f"{kind} is not decoded on this computer")
    path = tmp_path / f"a{ending.upper()}"
    RED.save(path, kind)
    (found,), labels = scan(tmp_path)
    assert labels is None
    assert np.abs(decode(found).astype(int).reshape(-1, 3).mean(axis=0) - (200, 30, 30)).max() < 8


@pytest.mark.skipif(find_spec("pillow_heif") is not None, reason="pillow-heif is installed")
def test_a_heic_picture_names_the_package_it_needs(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(InputError, match=r"needs the package pillow-heif, which the extra \[photos\] brings"):
        decode(tmp_path / "a.heic")


def test_bytes_and_open_files_are_pictures(tmp_path: Path) -> None:
    RED.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    expected = decode(tmp_path / "a.png")
    for source in (content, bytearray(content), io.BytesIO(content), (tmp_path / "a.png").open("rb")):
        assert np.array_equal(decode(source), expected)
    with (tmp_path / "a.png").open("rb") as one:
        assert gather([one, io.BytesIO(content)], "pictures").items == [content, content]
    brain = Brain()
    with (tmp_path / "a.png").open("rb") as one:
        brain.learn(one, "red")
    with (tmp_path / "a.png").open("rb") as again:
        assert brain.predict(again).best == brain.predict([content]).best == ["red"]


def test_an_open_text_and_a_closed_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("words")
    with (tmp_path / "a.txt").open() as text, pytest.raises(InputError, match='mode "rb"'):
        decode(text)
    with pytest.raises(InputError, match="cannot be read"):
        decode(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, one of them nested, and what systems, archives and people leave beside the pictures."""
    root = tmp_path / "shown"
    for i, name in enumerate(("fern/2020/a.png", "fern/b.JPE", "iris/deep/er/c.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(
            root / name, "JPEG" if name.endswith("JPE") else "PNG")
    for name in (".git/x.png", "__MACOSX/fern/._a.png", "fern/.hidden.png", "fern/Thumbs.db", "fern/desktop.ini",
                 "iris/__MACOSX/d.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"no picture")
    (root / "fern/notes.txt").write_text("about ferns")
    (root / "readme").write_text("about all")
    return root


def test_classes_are_the_folders_below_and_what_is_left_out_is_told(folder: Path) -> None:
    found = survey(folder)
    assert [path.relative_to(folder).as_posix() for path in found.paths] == [
        "fern/b.JPE", "fern/2020/a.png", "iris/deep/er/c.png"]
    assert found.labels == ["fern", "fern", "iris"]
    assert sorted(found.passed_over) == [PassedOver(folder / "fern/notes.txt", "a text, no picture"),
                                         PassedOver(folder / "readme", "no picture by its ending")]
    assert gather(folder, "pictures").labels == ["fern", "fern", "iris"]


def test_notes_beside_pictures_make_no_folder_of_texts(folder: Path, tmp_path: Path) -> None:
    (folder / "about.txt").write_text("one\ntwo\n")
    assert default_bundle(folder).takes == "pictures"
    (tmp_path / "words" / ".hidden").mkdir(parents=True)
    (tmp_path / "words" / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "words" / ".hidden" / "x.png").write_bytes(b"")
    assert default_bundle(tmp_path / "words").takes == "text"


def test_a_pipe_named_like_a_picture_is_left_out(folder: Path) -> None:
    os.mkfifo(folder / "iris/pipe.png")
    assert PassedOver(folder / "iris/pipe.png", "no regular file") in survey(folder).passed_over


def test_teaching_leaves_out_what_cannot_be_read_and_lists_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "iris/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    line = ["teach", str(tmp_path / "x.brain"), str(folder), "--backbone", "descriptor"]
    assert app.run([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["taught"] == 3
    assert sorted(Path(one["file"]).name for one in told["left_out"]) == ["broken.png", "notes.txt", "readme"]
    assert app.run(line) == 0
    shown = capsys.readouterr().out
    assert "3 left out (1 other file, 1 text, 1 picture):" in shown
    assert "broken.png" in shown
    assert "3 skipped: taught before." in shown
    assert app.run(["teach", str(tmp_path / "y.brain"), *line[2:], "--strict"]) == 1
    assert "broken.png" in capsys.readouterr().err
    assert not (tmp_path / "y.brain").exists()


def test_where_nothing_can_be_read_no_brain_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shown" / "fern").mkdir(parents=True)
    (tmp_path / "shown" / "fern" / "a.png").write_bytes(b"nothing")
    assert app.run(["teach", str(tmp_path / "x.brain"), str(tmp_path / "shown")]) == 1
    assert "None of 1 pictures can be read: a.png" in capsys.readouterr().err
    assert not (tmp_path / "x.brain").exists()
