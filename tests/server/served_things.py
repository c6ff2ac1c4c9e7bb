"""What the tests of the server teach, and the server as a program of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from starlette.testclient import TestClient

RATE = 16_000
RIGHT, UP = [0.9, 0.1], [0.1, 0.9]
LESSON = {"vectors": [RIGHT, UP, [0.8, 0.2], [0.0, 0.9]], "labels": ["right", "up", "right", "up"]}


@dataclass
class Demo:
    """A brain on a server, asked through a client; paths are those below the brain."""

    client: TestClient
    name: str

    @property
    def path(self) -> str:
        return f"/v1/brains/{self.name}"

    @property
    def folder(self) -> Path:
        app: Any = self.client.app
        return app.api.state.context.shelf[self.name].path

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(self.path + path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.client.post(self.path + path, **more)

    def delete(self, path: str, **more: Any) -> httpx.Response:
        return self.client.delete(self.path + path, **more)

    def raw(self, path: str, *rows: list[float], **query: str) -> httpx.Response:
        """Send vectors as they are in memory."""
        content = np.array(rows, "<f4").tobytes()
        return self.post(path, params=query, content=content, headers={"Content-Type": "application/octet-stream"})

    def info(self) -> Any:
        """What it knows; without what asking changes."""
        return self.get("/info").json() | {"unknown_rate": None}


def wav(hertz: float, seed: int = 0, seconds: float = 0.3) -> bytes:
    """A WAV file of a tone that swells and fades."""
    time = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(seed)
    samples = np.sin(2 * np.pi * hertz * rng.uniform(0.97, 1.03) * time) * np.hanning(len(time))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes((20000 * samples).astype("<i2").tobytes())
    return file.getvalue()


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (64, 48), kind: str = "PNG", seed: int = 0) -> bytes:
    """The file of a picture."""
    noise = np.random.default_rng(seed).normal(0, 8, (size[1], size[0], 3))
    file = io.BytesIO()
    Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(file, kind)
    return file.getvalue()


class Program:
    """`engram serve` as a program of its own."""

    def __init__(self, *arguments: str, folder: Path) -> None:
        self.log = (folder / "log.jsonl").open("a")
        command = [sys.executable, "-c", "from engram.cli import main; main()", "serve", "--port", "0", "--json"]
        self.process = subprocess.Popen(
            [*command, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        said = ""
        while not said.rstrip().endswith("}\n}") and (line := self.process.stdout.readline()):
            said += line
        self.address: str = json.loads(said)["address"].rstrip("/") if said else ""
        self.http = httpx.Client(base_url=self.address, timeout=30, verify=False) if said else None

    def wait_until_ready(self) -> httpx.Client:
        assert self.http is not None
        until = time.monotonic() + 30
        while self.http.get("/v2/health/ready").status_code != 200 and time.monotonic() < until:
            time.sleep(0.02)
        return self.http

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Ends it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(30)
        if self.http is not None:
            self.http.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        return code
