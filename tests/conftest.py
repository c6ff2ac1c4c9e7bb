"""What all tests share: quiet, single-threaded arithmetic, and no trace in the user's own folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# One thread: several test processes share the cores, and results must not depend on how many there are.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Engram's folder for the tests alone: nothing is read from, or left in, the user's."""
    home = tmp_path_factory.mktemp("engram-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGRAM_HOME", str(home))
        yield home
