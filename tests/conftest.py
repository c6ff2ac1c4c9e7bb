"""What all tests share: quiet, single-threaded arithmetic, and no trace in the user's own folders."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

settings.register_profile("engram", deadline=None)  # a busy machine is slow, not wrong
settings.register_profile(  # for `mutants.py`: whether a test fails, not by how small an example
    "unshrunk", deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
settings.load_profile("engram")

# One thread: several test processes share the cores, and results must not depend on how many there are.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# Compiled once, not by each of the programs that tests start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for the tests that import ONNX Runtime before Engram


@pytest.fixture(autouse=True, scope="session")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Engram's folder for the tests alone: nothing is read from, or left in, the user's."""
    home = tmp_path_factory.mktemp("engram-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENGRAM_HOME", str(home))
        yield home


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--wide", action="store_true", help="also run the tests marked `wide`, which take minutes")


def pytest_configure(config: pytest.Config) -> None:
    """Several processes (`-n 2 --dist loadfile`) take files in the order below, not those with most tests first."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)  # last, they would keep one process alone busy
    if not config.getoption("--wide"):
        skipped = pytest.mark.skip(reason="takes minutes: pytest --wide")
        for item in items:
            if item.get_closest_marker("wide"):
                item.add_marker(skipped)


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_is_heard() -> Iterator[None]:
    """Ctrl-C interrupts the tests, and the programs that they start, even where whoever runs them ignores it: a shell
    does so for a job in the background, and some services for all that they run.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
