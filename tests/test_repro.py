"""Faults that were found from outside stay away: the scripts that show them hold, and what runs them tells so."""

from __future__ import annotations

from pathlib import Path

import pytest
import repro

pytestmark = pytest.mark.long

FOLDER = repro.folder()


@pytest.mark.skipif(FOLDER is None, reason="no folder `repro` beside the one that ENGRAM_DATA names")
@pytest.mark.parametrize("script", repro.scripts(FOLDER) if FOLDER else [], ids=lambda script: script.stem)
def test_a_fault_found_from_outside_is_gone(script: Path) -> None:
    found = repro.outcome(script)
    assert found.holds, found.said


SCRIPTS = {
    "holds": "print('something')\nprint('HOLDS')\n",
    "fails": "print('HOLDS')\nprint('FAILS: a reason')\n",
    "raises": "print('HOLDS')\nraise SystemExit('no')\n",
    "says_nothing": "",
}


def test_every_script_is_run_and_those_that_do_not_hold_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in SCRIPTS.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert repro.main([str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert [line.split()[:2] for line in shown.splitlines() if not line.startswith(" ")] == [
        ["FAILS", "fails.py"], ["HOLDS", "holds.py"], ["FAILS", "raises.py"], ["FAILS", "says_nothing.py"]]
    assert "FAILS: a reason" in shown
    assert repro.main([str(tmp_path), "holds"]) == 0
    assert repro.main([str(tmp_path), "absent"]) == 2


def test_a_script_that_does_not_end_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "waits.py").write_text("import threading\nthreading.Event().wait()\n")
    monkeypatch.setattr(repro, "PATIENCE", 0.5)
    assert not repro.outcome(tmp_path / "waits.py").holds


def test_the_folder_is_the_one_beside_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path / "data"))
    assert repro.folder() is None
    (tmp_path / "repro").mkdir()
    assert repro.folder() == tmp_path / "repro"
    monkeypatch.delenv("ENGRAM_DATA")
    assert repro.folder() is None
