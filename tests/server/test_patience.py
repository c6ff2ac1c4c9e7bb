"""Nobody holds a connection for long by saying nothing, or next to nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_protocol import slow
from hostile_wire import CLOSED, SILENT, Answer, Case, send

from engram.brain import Brain

_SERVER = """
import sys
from pathlib import Path
from engram.server.serving import serve
from engram.server.settings import Settings
serve({"brain": Path("brain")}, Settings(port=0, patience=1.0), started=lambda address: print(address, flush=True))
"""


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[int]:
    """The port of a server that waits for one second."""
    Brain.create(tmp_path / "brain").close()
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    yield int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
    process.terminate()
    process.wait(20)
    process.stdout.close()


def test_nobody_holds_a_connection_by_saying_nothing(impatient: int) -> None:
    found: dict[str, Answer] = {}

    def wait(case: Case) -> None:
        found[case.name] = send(impatient, case)

    cases = list(slow())
    threads = [threading.Thread(target=wait, args=(case,)) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert SILENT not in {answer.status for answer in found.values()}
    assert {name: answer.status for name, answer in found.items() if answer.status not in (408, CLOSED)} == {}
    assert len(found) == len(cases) >= 10
