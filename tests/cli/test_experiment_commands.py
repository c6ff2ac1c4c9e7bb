"""`engram experiment`: run, collect, check."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engram.cli import app
from engram.lab import experiments
from engram.lab.experiments.result import Figure


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """One experiment, `toy`, that measures 90 plus its seed; 91 is its floor."""
    module: Any = ModuleType("toy_experiment", "A toy.\n")

    @dataclass(frozen=True)
    class Config:
        """Settings.

        Attributes:
            start: accuracy of the
                first seed.
            withhold, other: a digit.
        """

        start: float = 90.0
        withhold: int = 3
        other: tuple[int, ...] = (1, 2)

    def plot(result: Any) -> Any:
        from matplotlib.figure import Figure as Drawing

        return Drawing()

    module.Config, module.plot, module.PUBLISHED = Config, plot, {}
    module.run = lambda config, seed, progress: {"accuracy": config.start + seed}
    module.FIGURES = {"toy.accuracy": Figure("accuracy", "%", at_least=91.0, published=88.0, source="elsewhere")}
    monkeypatch.setitem(sys.modules, "toy_experiment", module)
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"toy": ("toy_experiment", "a toy")})
    monkeypatch.setattr("engram.lab.experiments.BENCHMARK_FIGURES", {})


def test_list_names_every_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["experiment", "list", "--json"]) == 0
    assert {line["name"] for line in json.loads(capsys.readouterr().out)} == set(experiments.EXPERIMENTS)


@pytest.mark.usefixtures("toy")
def test_a_run_leaves_a_result_a_plot_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["experiment", "run", "toy", "--seeds", "3", "--out", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["figures"]["toy.accuracy"]["mean"] == 91.0
    assert json.loads((tmp_path / "toy.json").read_text()) == result
    assert (tmp_path / "toy.svg").exists()
    assert app.run(["experiment", "figures", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["toy.accuracy"]["published"] == 88.0


@pytest.mark.usefixtures("toy")
def test_check_fails_on_a_figure_below_its_floor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seeds, code in (("1", 1), ("3", 0)):
        app.run(["experiment", "run", "toy", "--seeds", seeds, "--out", str(tmp_path), "--json"])
        app.run(["experiment", "figures", "--out", str(tmp_path), "--json"])
        capsys.readouterr()
        assert app.run(["experiment", "check", "--out", str(tmp_path)]) == code
        assert ("toy.accuracy: 90, at least 91" in capsys.readouterr().out) == bool(code)


@pytest.mark.usefixtures("toy")
def test_a_changed_setting_feeds_no_published_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["experiment", "run", "toy", "--seeds", "1", "--out", str(tmp_path), "--json"]
    assert app.run([*line, "--set", "start=95", "--withhold", "7"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["config"] == {"start": 95.0, "withhold": 7, "other": [1, 2]}
    assert result["figures"] == {}
    assert app.run([*line[:-1], "--set", "start=95"]) == 0
    shown = capsys.readouterr().out
    assert "Changed settings produce values, but no figures" in shown
    assert str(tmp_path / "toy-start=95.0.json") in shown


@pytest.mark.usefixtures("toy")
def test_settings_are_listed_with_their_defaults_and_meanings(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["experiment", "settings", "toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"name": "start", "default": 90.0, "meaning": "accuracy of the first seed."},
        {"name": "withhold", "default": 3, "meaning": "a digit."},
        {"name": "other", "default": [1, 2], "meaning": "a digit."},
    ]
    assert app.run(["experiment", "settings", "toy"]) == 0
    assert "1,2" in capsys.readouterr().out
    assert app.run(["experiment", "run", "toy", "--set", "sart=1"]) == 1
    assert "engram experiment settings NAME" in capsys.readouterr().err


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_every_setting_of_every_experiment_is_explained(name: str) -> None:
    assert [setting.name for setting in experiments.settings_of(name) if not setting.meaning] == []


@pytest.mark.usefixtures("toy")
def test_the_text_answer_shows_figures_beside_those_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["experiment", "run", "toy", "--seeds", "2", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "toy.accuracy" in shown
    assert "90.5" in shown
    assert "88" in shown
    assert str(tmp_path / "toy.json") in shown


@pytest.mark.usefixtures("toy")
def test_an_interruption_is_told_with_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(config: Any, seed: int, progress: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["toy_experiment"], "run", interrupted)
    line = ["experiment", "run", "toy", "--out", str(tmp_path)]
    assert app.run(line) == 130
    assert capsys.readouterr().err == "engram: interrupted; the same command resumes it\n"
    assert app.run([*line, "--fresh", "--json"]) == 130
    told = json.loads(capsys.readouterr().err)
    assert told == {"error": "Interrupted", "code": 130,
                    "message": "interrupted; the same command without --fresh resumes it"}


@pytest.mark.parametrize("wrong", [["--set", "start"], ["--seeds", "0"]])
def test_what_cannot_be_read_is_wrong_usage(wrong: list[str]) -> None:
    assert app.run(["experiment", "run", "ldnn-mnist", *wrong]) == 2
