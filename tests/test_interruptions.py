"""Ctrl-C interrupts the tests and what they start, even where whoever runs the tests ignores it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

IGNORING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
SHOWN = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"


def test_ctrl_c_is_heard_here_and_in_programs_started_here() -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert subprocess.run([sys.executable, "-c", SHOWN], capture_output=True, text=True, check=True).stdout == "True\n"


def test_ctrl_c_is_heard_although_whoever_runs_the_tests_ignores_it() -> None:
    one = f"{__file__}::{test_ctrl_c_is_heard_here_and_in_programs_started_here.__name__}"
    command = [sys.executable, "-c", IGNORING, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", one]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
