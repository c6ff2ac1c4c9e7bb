"""Labels, teachers and names of files are written by others: a terminal shows them, and never obeys them."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from terminal import Terminal

from engram import Brain
from engram.cli import app, output
from engram.learner import LabelError
from engram.server.request_log import Forwarded, RequestLog

HOSTILE = "cat\x1b]0;owned\x07\x1b[2J\nForged\x9b31m\u202e[red]\x7f\u2028"
COMMANDS = [
    ["info", "b"], ["history", "b"], ["examples", "b"], ["unknowns", "b"], ["diff", "b", "5"],
    ["predict", "b", "asked.npy", "--top", "2"], ["undo", "b"], ["rename", "b", HOSTILE, "new" + HOSTILE],
    ["rename", "b", "no" + HOSTILE, "a"],
    ["forget", "b", "--label", HOSTILE], ["forget", "b", "--teacher", HOSTILE],
    ["forget", "b", "--label", "x" + HOSTILE],
    ["name", "b", "1", HOSTILE], ["teach", "b", "asked.npy", "--label", HOSTILE], ["teach", "b", HOSTILE],
    ["relabel", "b", "4", "--label", HOSTILE], ["prove", "b", "--forgotten", "--label", "x" + HOSTILE],
    ["backbone", "inspect", HOSTILE], ["rollback", "b", "--to", HOSTILE], ["serve", HOSTILE + "/b", "--follow"],
    ["evaluate", HOSTILE, "fast"], ["experiment", "run", HOSTILE], ["no" + HOSTILE], ["verify", "b"],
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a brain in it that a stranger taught."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    near = [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0]]
    with Brain.create("b") as brain:
        rows = np.repeat(near, 8, axis=0) + rng.normal(size=(16, 3)) / 8
        brain.learn_examples(rows, [HOSTILE] * 8 + ["dog–"] * 8, teacher=HOSTILE, sources=[HOSTILE] * 16)
        brain.predict([[0.0, 0.0, 7.0]], remember=True, sources=[HOSTILE])
        assert len(brain.unknowns) == 1
    np.save("asked.npy", np.array(near))
    return tmp_path


def obeyed(text: str) -> set[str]:
    """The characters in a text that a terminal would obey, or that turn its direction; a line may end."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: re.sub(r"\W", "", "".join(line))[:20])
def test_no_command_lets_a_terminal_obey_what_others_wrote(
    line: list[str], as_json: bool, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app.run([*line, *(["--json"] if as_json else [])])
    out, err = capsys.readouterr()
    assert out + err
    assert obeyed(out + err) == set()
    assert not [text for text in (out + err).splitlines() if text.startswith("Forged")]


def test_under_json_the_label_is_still_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["info", "b", "--json"]) == 0
    assert [one["label"] for one in json.loads(capsys.readouterr().out)["labels"]] == [HOSTILE, "dog–"]


def test_brackets_are_no_markup_in_tables_titles_and_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output.table(["[red]a[/red]"], [["[bold]b[/bold]" + 40 * "."]], title="[link=x]t[/link][/nosuch]")
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("[red]a[/red]", "[bold]b[/bold]", "[link=x]t[/link][/nosuch]"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with output.progress("[/nosuch]\x1b[2J") as report:
        report(1, 2, "[/other]\x1b]0;x\x07")
    assert "\x1b]0" not in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "cp932", "utf-8"])
@pytest.mark.parametrize("as_json", [False, True])
def test_every_terminal_can_show_it(
    encoding: str, as_json: bool, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in COMMANDS[:6]:
        written = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", written)
            code = app.run([*line, *(["--json"] if as_json else [])])
        assert code == 0, line
        shown = written.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        assert not as_json or json.loads(shown) is not None


def test_the_servers_log_cannot_be_obeyed_either() -> None:
    written = io.StringIO()
    log = RequestLog(written)
    Forwarded(log).emit(logging.LogRecord("uvicorn", logging.INFO, "", 0, "%s", (HOSTILE,), None))
    log.close()
    assert json.loads(written.getvalue())["message"] == HOSTILE
    assert obeyed(written.getvalue()) == set()


def test_an_answer_that_is_printed_is_safe_too() -> None:
    brain = Brain()
    brain.learn([[1.0, 0.0], [0.0, 1.0]], [HOSTILE, "b"])
    assert obeyed(str(brain.predict([1.0, 0.0])[0])) == set()


@pytest.mark.skipif(sys.platform == "win32", reason="names of files are Unicode there")
def test_names_that_are_not_utf8_are_taught_and_forgotten_by_their_bytes(engram: Terminal, tmp_path: Path) -> None:
    for label, shade in ((b"caf\xe9", 60), (b"tea", 200)):
        folder = os.fsencode(tmp_path) + b"/photos/" + label
        os.makedirs(folder)
        Image.new("RGB", (40, 40), (shade, shade, 0)).save(os.fsdecode(folder + b"/\xff.png"))
    engram.says("teach", "b", tmp_path / "photos")
    assert [one["label"] for one in engram.answers("info", "b")["labels"]] == [r"caf\xe9", "tea"]
    assert r"photos/caf\xe9/\xff.png" in engram.says("examples", "b")
    engram.says("predict", "b", os.fsdecode(os.fsencode(tmp_path) + b"/photos/caf\xe9"), "--no-remember")
    assert engram.answers("forget", "b", "--label", os.fsdecode(b"caf\xe9"))["labels"] == ["tea"]


@pytest.mark.parametrize("label", ["caf\udce9", "\ud83d", "a\udfffb"])
def test_labels_that_are_no_text_are_refused_when_taught(label: str) -> None:
    brain = Brain()
    brain.learn([[1.0, 0.0]], "a")
    with pytest.raises(LabelError, match="not Unicode text") as refused:
        brain.learn([[0.0, 1.0]], label)
    str(refused.value).encode()
    with pytest.raises(LabelError, match="not Unicode text"):
        brain.rename("a", label)
    assert brain.labels == ("a",)


@pytest.fixture
def engram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(capsys)
