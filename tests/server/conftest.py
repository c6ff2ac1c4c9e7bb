"""A server in this process, and one as a program of its own."""

from __future__ import annotations

import io
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server is an extra")

from served_things import LESSON, Demo, Program
from starlette.testclient import TestClient

from engram.brain import Brain
from engram.server.app import create_app
from engram.server.request_log import RequestLog
from engram.server.settings import Settings

Serve = Callable[..., TestClient]
_NUMBERS = count()

@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server in this process; gives a client of it. `log=` takes a stream, `brains=` names of new brains."""
    with ExitStack() as stack:

        def start(brains: tuple[str, ...] = ("demo",), log: io.StringIO | None = None, **settings: Any) -> TestClient:
            folders = {name: tmp_path / name for name in brains}
            for path in folders.values():
                if not path.exists():
                    Brain.create(path).close()
            log = io.StringIO() if log is None else log
            app = create_app(folders, Settings(folder=tmp_path, **settings), RequestLog(log))
            client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
            stack.enter_context(client)
            until = time.monotonic() + 20
            while client.get("/v2/health/ready").status_code != 200 and time.monotonic() < until:
                time.sleep(0.01)
            return client

        yield start


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of one server that most tests share."""
    home = tmp_path_factory.mktemp("home")
    app = create_app({}, Settings(folder=home, rate=0), RequestLog(io.StringIO()))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def demo(web: TestClient) -> Demo:
    """A new brain on it."""
    name = f"demo{next(_NUMBERS)}"
    assert web.post("/v1/brains", json={"name": name}).status_code == 201
    return Demo(web, name)


@pytest.fixture
def taught(demo: Demo) -> Demo:
    """A brain that knows right and up."""
    assert demo.post("/examples", json=LESSON).status_code == 201
    return demo


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts `engram serve`; whatever is still running at the end is ended."""
    started: list[Program] = []

    def start(*arguments: str) -> Program:
        started.append(Program(*arguments, folder=tmp_path))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop(signal.SIGKILL)
