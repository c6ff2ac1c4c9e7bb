"""Runs command lines as a person does, but in the tests' own process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engram.cli import app


class Terminal:
    """Runs command lines in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def says(self, *line: object) -> str:
        """What a command prints that succeeds."""
        code = app.run([str(part) for part in line])
        out, err = self._capsys.readouterr()
        assert code == 0, err
        return out

    def answers(self, *line: object) -> Any:
        """The JSON document of a command that succeeds."""
        return json.loads(self.says(*line, "--json"))

    def refuses(self, *line: object, code: int = 1) -> str:
        """What a command says on stderr that is refused."""
        assert app.run([str(part) for part in line]) == code
        out, err = self._capsys.readouterr()
        assert out == ""
        return err
