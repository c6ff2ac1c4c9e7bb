"""The page in real headless Chromium, against a real `engram serve` with durable brains, before a fake camera."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from driving import Brain, Server, Visitor
from film import shoot
from tape import record

# The first draws no windows, so it takes two thirds of the time.
BROWSERS = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
CHROMIUM = next((found for found in map(shutil.which, BROWSERS) if found), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shoot(tmp_path_factory.mktemp("film") / "thing.y4m", "mug")


@pytest.fixture(scope="session")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake microphone hears from the next time on that it is turned on."""
    return record(tmp_path_factory.mktemp("tape") / "sound.wav", "low")


@pytest.fixture(scope="session")
def chromium(film: Path, tape: Path) -> Iterator[Any]:
    driver = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed.")
    if CHROMIUM is None:
        pytest.skip("There is no Chromium on this machine.")
    with driver.sync_playwright() as playwright:
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={film}", f"--use-file-for-fake-audio-capture={tape}"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("fastapi", reason="The server's packages are not installed.")
    server = Server(tmp_path_factory.mktemp("served") / "home")
    yield server
    server.stop()


@pytest.fixture
def brain(server: Server) -> Brain:
    """A new brain for pictures, that knows nothing."""
    name = f"b-{uuid4().hex[:8]}"
    server.ask("POST", "brains", {"name": name, "backbone": "descriptor"})
    return Brain(server, name)


@pytest.fixture
def taught(brain: Brain) -> Brain:
    """A brain that knows a mug and a sunflower."""
    brain.teach("mug", "sunflower")
    return brain


@pytest.fixture
def open_page(chromium: Any, server: Server, film: Path) -> Iterator[Callable[..., Visitor]]:
    """Opens the page as a new visitor would; whatever it complains about in the console fails the test."""
    contexts, complaints = [], []

    def opened(at: Server = server, **how: Any) -> Visitor:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 860}, **how})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Security Policy" in said.text else None)
        return Visitor(page, at, film)

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def visitor(open_page: Callable[..., Visitor]) -> Visitor:
    return open_page()
