"""What holds for every command: its options are explained, it speaks JSON, it fails in one way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from typing import Any, get_type_hints

import pytest

from engram.cli import app, output
from engram.learner import InputError


def commands(table: app.Commands = app.COMMANDS, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, target in table.items():
        if isinstance(target, str):
            module, _, function = target.partition(":")
            yield f"{prefix}{name}", getattr(import_module(module), function)
        else:
            yield from commands(target, f"{prefix}{name} ")


every_command = pytest.mark.parametrize(("name", "command"), list(commands()))


@every_command
def test_it_can_answer_in_json(name: str, command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run([*name.split(), "--help"]) == 0
    assert "--json" in capsys.readouterr().out


@every_command
def test_its_arguments_and_options_are_explained(name: str, command: Any) -> None:
    assert command.__doc__
    hints = get_type_hints(command, include_extras=True)
    for parameter in signature(command).parameters:
        described = [part for part in getattr(hints[parameter], "__metadata__", ()) if getattr(part, "help", "")]
        assert described, f"{name}: {parameter} has no help text"


def test_a_refusal_says_why_and_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["experiment", "run", "nosuch"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "Unknown experiment 'nosuch'. Choose from: ldnn-mnist" in err


def test_under_json_a_refusal_is_one_document_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["experiment", "run", "nosuch", "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["error"] == "ExperimentError"
    assert json.loads(err)["code"] == 1


@pytest.mark.parametrize("line", [["nosuch"], ["experiment", "run"], ["experiment", "list", "--nosuch"]])
def test_wrong_usage_exits_with_2_and_shows_the_usage(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(line) == 2
    assert "Usage: engram" in capsys.readouterr().err


def test_an_interruption_is_told_and_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(out: output.Json = False) -> None:
        """Stand in for a command that somebody stops."""
        raise KeyboardInterrupt

    monkeypatch.setattr("engram.cli.experiment.list_experiments", interrupted)
    assert app.run(["experiment", "list"]) == 130
    assert capsys.readouterr() == ("", "engram: interrupted\n")


def test_a_missing_file_is_a_refusal_that_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.failed(FileNotFoundError(2, "No such file or directory", "cats"), as_json=False) == 1
    assert capsys.readouterr().err == "engram: cats: No such file or directory\n"


def test_a_mistake_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        output.failed(ZeroDivisionError(), as_json=True)
    assert output.failed(InputError("no"), as_json=True) == 1


def test_progress_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress("work") as report:
        report(1, 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("words", [[], ["backbone"]])
def test_no_arguments_shows_the_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(words) == 0
    bare = capsys.readouterr()
    assert app.run([*words, "--help"]) == 0
    assert bare == (capsys.readouterr().out, "")


def test_the_shell_completes_commands() -> None:
    asked = {"_ENGRAM_COMPLETE": "complete_bash", "COMP_WORDS": "engram backbone i", "COMP_CWORD": "2"}
    command = [sys.executable, "-c", "from engram.cli import main; main()"]
    shown = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["import", "inspect"]


def groups(table: app.Commands = app.COMMANDS, prefix: str = "") -> Iterator[str]:
    yield prefix
    for name, target in table.items():
        if not isinstance(target, str):
            yield from groups(target, f"{prefix}{name} ")


@pytest.mark.parametrize("group", list(groups()))
def test_the_first_sentence_of_every_command_fits_the_help_column(
    group: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert app.run([*group.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line.endswith("...") and "[ARGS]" not in line] == []
