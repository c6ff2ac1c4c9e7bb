"""The terminal answers at once."""

from __future__ import annotations

import os
import subprocess
import sys

HELP = [sys.executable, "-c", "from engram.cli import main; main()", "--help"]


def test_help_answers_in_under_300_milliseconds() -> None:
    """Of processor time, the best of five: what one waits on a machine that is not busy with something else."""
    best = float("inf")
    for _ in range(5):
        before = os.times()
        shown = subprocess.run(HELP, capture_output=True, text=True, check=True).stdout
        after = os.times()
        best = min(best, after.children_user + after.children_system - before.children_user - before.children_system)
    assert "Usage: engram" in shown
    assert best < 0.3


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from engram.cli.app import run; run(['--help']); run(['experiment', 'run', '--help'])\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    heavy = {"numpy", "PIL", "onnxruntime", "safetensors", "apsw", "torch", "sklearn", "scipy", "matplotlib", "rich"}
    assert heavy & set(loaded.split()) == set()


def test_importing_engram_loads_nothing_heavy() -> None:
    code = "import sys, engram; print('numpy' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "False"
