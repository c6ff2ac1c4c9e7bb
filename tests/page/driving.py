"""Driving: the server as a process, brains as the tests look at them, and a person before the page."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

from film import PLACE, THINGS, picture, shoot

PROGRAM = [sys.executable, "-c", "from engram.cli import main; main()"]


class Server:
    """A process of `engram serve` in a folder of its own; it can be stopped and started again at the same address."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options, self.port = folder, options, 0
        folder.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        command = [*PROGRAM, "serve", "--json", "--no-access-log", "--port", str(self.port), *self.options]
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        lines = list(takewhile(lambda line: line not in ("", "}\n"), iter(self.process.stdout.readline, None)))
        assert lines, "engram serve did not start"
        self.address = json.loads("".join(lines) + "}")["address"]
        self.port = int(self.address.rstrip("/").rpartition(":")[2])
        until(self.ready)

    def ready(self) -> bool:
        """Whether every brain has been opened."""
        try:
            with urllib.request.urlopen(f"{self.address}v2/health/ready", timeout=30) as response:
                return bool(response.status == 200)
        except urllib.error.HTTPError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | (headers or {})
        request = urllib.request.Request(f"{self.address}v1/{path}", data, sent, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read())


class Brain:
    """A brain on the server as the tests look at it: what it holds, not what the page says."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name

    def get(self, path: str) -> Any:
        return self.server.ask("GET", f"brains/{self.name}/{path}")

    @property
    def counts(self) -> dict[Any, int]:
        return {one["label"]: one["count"] for one in self.get("classes")["classes"]}

    def teach(self, *things: str, count: int = 6, label: str | None = None) -> None:
        """`count` pictures of each thing."""
        images = [(thing, 0.37 * i) for thing in things for i in range(count)]
        labels = [label or thing for thing, _ in images]
        self.post("examples", images=[base64(jpeg(*one)) for one in images], labels=labels)

    def ask_about(self, thing: str, count: int = 1) -> None:
        """Show it pictures and let it remember what it does not know."""
        self.post("predict", images=[base64(jpeg(thing, 0.37 * i)) for i in range(count)], remember=True)

    def post(self, path: str, **body: Any) -> Any:
        return self.server.ask("POST", f"brains/{self.name}/{path}", body)


def jpeg(thing: str, moment: float = 0.0) -> bytes:
    out = io.BytesIO()
    picture(thing, moment).save(out, "JPEG", quality=90)
    return out.getvalue()


def written(folder: Path, thing: str, count: int, since: float = 0.1) -> list[Path]:
    """Picture files as they lie on a desktop; from another moment on, other pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{thing}-{i}.jpg" for i in range(count)]
    for i, file in enumerate(files):
        file.write_bytes(jpeg(thing, since + 0.17 * i))
    return files


def base64(content: bytes) -> str:
    return b64encode(content).decode()


def until(holds: Callable[[], Any], within: float = 60.0) -> Any:
    """Wait until something holds; what it gave."""
    end = time.monotonic() + within
    while not (got := holds()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return got


class Visitor:
    """A person before the page, with things to hold before the camera."""

    def __init__(self, page: Any, server: Server, film: Path) -> None:
        self.page, self.server, self.film = page, server, film
        page.set_default_timeout(60_000)

    def visit(self, brain: Brain, view: str = "teach") -> Any:
        self.page.goto(f"{self.server.address}#/{brain.name}/{view}")
        self.page.locator("#brain-name", has_text=brain.name).wait_for()
        return self.page

    def camera_on(self) -> None:
        self.page.click("#camera-on")
        self.page.locator("#video").wait_for()

    def show(self, thing: str) -> None:
        """Hold something before the camera."""
        shoot(self.film, thing)
        until(lambda: self.before_camera() == thing)

    def before_camera(self) -> str | None:
        """Which thing the camera shows now, by its colour."""
        seen = self.page.evaluate(
            """([x, y]) => {
              const video = document.getElementById("video");
              if (!video.videoWidth) return null;
              const canvas = document.createElement("canvas");
              [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
              const pen = canvas.getContext("2d");
              pen.drawImage(video, 0, 0);
              return [...pen.getImageData(x * canvas.width, y * canvas.height, 1, 1).data].slice(0, 3); }""", PLACE)
        if seen is None:
            return None
        return min(THINGS, key=lambda thing: sum(abs(a - b) for a, b in zip(THINGS[thing], seen, strict=True)))

    def drop(self, paths: list[Path], on: str) -> None:
        """Drop files or folders from the desktop on an element."""
        box = self.page.locator(on).bounding_box()
        session = self.page.context.new_cdp_session(self.page)
        where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, **where, "data": data})
        session.detach()
