"""What is missing on a core-only install is named, with a command that installs it beside the Engram that runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engram import extras
from engram.cli import app
from engram.learner import InputError

ROOT = Path(__file__).parents[1]
MISSING = sorted({module for modules in extras.EXTRAS.values() for module in modules})


def test_the_table_is_that_of_the_project() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra, modules in extras.EXTRAS.items():
        wanted = " ".join(declared[extra] + (declared["train"] if "engram[train]" in declared[extra] else []))
        assert set(modules) <= {module for module in modules if extras.PACKAGES.get(module, module) in wanted}, extra


def test_no_command_ends_in_a_traceback_where_only_the_core_is_installed(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"no")
    lines = [
        ["evaluate", "digits", "fast"], ["evaluate", "digits", "naive"], ["experiment", "run", "ldnn-meld"],
        ["experiment", "check"], ["experiment", "figures"], ["experiment", "settings", "ldnn-meld"], ["demo"],
        ["serve"], ["backbone", "pull", "resnet18"], ["backbone", "pretrain", "."],
        ["backbone", "import", "weights.pth"],
    ]  # fmt: skip
    code = (
        f"import sys\nfor name in {MISSING!r}: sys.modules[name] = None\n"
        f"from engram.cli.app import run\nsys.exit(sum(run(line) != 1 for line in {lines!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert len(told) == len(lines)
    assert all(re.search(r"needs .* \(the extras? .*\): pip install ", line) for line in told), done.stderr


def test_the_command_named_for_a_clone_installs_the_clone() -> None:
    words = shlex.split(extras.command("train", "export"))
    assert words == ["pip", "install", "-c", str(ROOT / "constraints.txt"), f"{ROOT}[train,export]"]


@pytest.mark.parametrize(("record", "requirement"), [
    (None, "engram[demo]"),
    ({"url": "file:///wheels/engram-1.whl", "archive_info": {}}, "engram[demo] @ file:///wheels/engram-1.whl"),
    ({"url": "https://a.example/e", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
     "engram[demo] @ git+https://a.example/e@abc"),
])  # fmt: skip
def test_an_installed_engram_is_extended_from_where_it_came(
    record: Any, requirement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if record is None else json.dumps(record)

    monkeypatch.setattr(extras, "__file__", str(tmp_path / "site-packages" / "engram" / "extras.py"))
    monkeypatch.setattr(extras, "distribution", lambda name: Installed())
    assert shlex.split(extras.command("demo")) == ["pip", "install", requirement]


def test_a_command_that_meets_what_is_missing_later_tells_it_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking() -> None:
        raise ModuleNotFoundError("No module named 'onnx.helper'", name="onnx.helper")

    monkeypatch.setattr("engram.features.backbones.catalogue.listing", lacking)
    assert app.run(["backbone", "list"]) == 1
    assert "This needs onnx (the extra export): pip install" in capsys.readouterr().err


def test_an_import_that_fails_for_another_reason_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("no such name", name="engram.nosuch")

    monkeypatch.setattr("engram.features.backbones.catalogue.listing", broken)
    with pytest.raises(ImportError, match="no such name"):
        app.run(["backbone", "list"])
    assert extras.refusal(ModuleNotFoundError("no", name="sklearn.datasets")) is not None


def test_in_python_the_refusal_is_one_of_engrams_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    from engram.lab.streams import data_set

    with pytest.raises(InputError, match=r"scikit-learn.* \(the extra demo\)"):
        data_set("digits")
