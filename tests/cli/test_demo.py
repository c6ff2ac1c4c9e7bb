"""`engram demo` in a terminal, in a pipe, for machines, without its extras, and interrupted."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from rich.console import Console

from engram.cli import app
from engram.demo import digits_events as told
from engram.demo import digits_story
from engram.demo.screen import Screen, braille_chart, half_blocks

pytest.importorskip("sklearn", reason="the demonstration's digits are scikit-learn's")
pytest.importorskip("matplotlib", reason="the demonstration draws with matplotlib")


class Run(NamedTuple):
    """What one run of the whole command did."""

    code: int
    out: str
    events: list[told.Event]
    folder: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder, out, events = tmp_path_factory.mktemp("demo") / "new" / "folder", io.StringIO(), []
    tell = digits_story.story

    def overheard(*arguments: Any) -> Iterator[told.Event]:
        for event in tell(*arguments):
            events.append(event)
            yield event

    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setattr(digits_story, "story", overheard)
        code = app.run(["demo", "--out", str(folder)])
    return Run(code, out.getvalue(), events, folder)


def replay(events: list[told.Event], **options: Any) -> str:
    out = io.StringIO()
    with Screen(Console(file=out, width=90, highlight=False, **options)) as screen:
        for event in events:
            screen.show(event)
    return out.getvalue()


def test_one_document_on_stdout_for_machines_and_a_report_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(digits_story, "story", lambda out, seed: iter(run.events))
    assert app.run(["demo", "--json", "--out", str(tmp_path / "here")]) == 0
    out, err = capsys.readouterr()
    whole = json.loads(out)
    assert err == ""
    assert whole["format"] == "engram-demo"
    assert Path(whole["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_whole_command_in_a_pipe_is_plain_text_and_ends_with_where_the_report_is(run: Run) -> None:
    assert run.code == 0
    assert "\x1b" not in run.out
    assert "▀" not in run.out
    assert "Nothing I know" in run.out
    assert run.out.splitlines()[-1].endswith(str(run.folder / "report.html"))
    assert {path.name for path in run.folder.iterdir()} == {
        "report.html", "meld", "forgotten", "forgotten-images.npy",
    }


def test_a_terminal_shows_pictures_and_colours_and_the_same_figures(run: Run) -> None:
    events = run.events
    live = replay(events, force_terminal=True, color_system="truecolor", legacy_windows=False)
    streamed = next(event for event in events if isinstance(event, told.Streamed))
    assert "▀" in live
    assert "\x1b[38;2;" in live
    assert f"{streamed.fast:.1%}" in live
    assert f"{streamed.softmax:.1%}" in live
    assert live.count("\x1b[?25l") == live.count("\x1b[?25h") == 1  # the cursor comes back


def test_what_failed_is_shown_as_failed() -> None:
    bad = told.Verified("meld", "here", "python verify", ((True, "unaltered"), (False, "the sums agree")), 1)
    text = replay([bad])
    assert "✗ proven without Engram: 1 of 2 checks hold" in text
    assert "the sums agree" in text


def test_without_scikit_learn_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert app.run(["demo", "--out", str(tmp_path / "none")]) == 1
    assert "The demo needs scikit-learn (the extra demo): pip install" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("terminal", [True, False])
def test_an_interruption_leaves_the_terminal_in_order_and_exits_with_130(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    run: Run,
) -> None:
    def interrupted(out: Path, seed: int) -> Iterator[told.Event]:
        yield from run.events[:60]
        raise KeyboardInterrupt

    monkeypatch.setattr(digits_story, "story", interrupted)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert app.run(["demo", "--out", str(tmp_path)]) == 130
    out, err = capsys.readouterr()
    assert "One digit after another" in out
    assert "Traceback" not in err
    assert out.count("\x1b[?25l") == out.count("\x1b[?25h")
    assert not (tmp_path / "report.html").exists()


def test_a_picture_is_two_pixels_a_character_and_shades_stand_for_grey_where_there_is_no_colour() -> None:
    image = np.zeros((8, 8), np.float32)
    image[:, 4:] = 16
    assert [line.plain for line in half_blocks([image, image], colours=False)] == ["    ████      ████"] * 4
    assert [line.plain for line in half_blocks([image], colours=True, scale=2)] == ["▀" * 16] * 8


def test_a_chart_climbs_from_the_lower_left_to_the_upper_right() -> None:
    lines = [line.plain for line in braille_chart([([0.0, 1.0], [0.0, 1.0], "")], 8, 4)]
    assert [len(line) for line in lines] == [8] * 4
    first = [next(i for i, character in enumerate(line) if character != " ") for line in lines]
    assert first == sorted(first, reverse=True)
    assert lines[-1][0] != " "
    assert lines[0][-1] != " "
