"""A download is whole and right, or not there; an interrupted one goes on. Against a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from engram.features.backbones.download import download
from engram.learner import DamagedError, InputError

CONTENT = np.random.default_rng(0).bytes(900_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Hub(ThreadingHTTPServer):
    """Answers as the hub does: the address of a file redirects to where its bytes are."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.content = CONTENT
        self.headers: dict[str, str] = {"X-Linked-Etag": f'"{SHA}"', "X-Linked-Size": str(len(CONTENT))}
        self.location = "/bytes"
        self.break_after: int | None = None
        self.ranges = True
        self.asked: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        hub = self.server
        hub.asked.append((self.command, self.path, self.headers.get("Range")))
        if self.path == "/repo/resolve/main/file":
            self.send_response(302)
            self.send_header("Location", hub.location)
            for name, value in hub.headers.items():
                self.send_header(name, value)
            self.end_headers()
        elif self.path == "/bytes":
            self.bytes(body)
        elif self.path == "/circle":
            self.send_response(307)
            self.send_header("Location", "/circle")
            self.end_headers()
        else:
            self.send_error(404)

    def bytes(self, body: bool) -> None:
        hub, start = self.server, 0
        wanted = self.headers.get("Range")
        if wanted and hub.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(hub.content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(hub.content) - 1}/{len(hub.content)}")
        else:
            self.send_response(200)
        rest = hub.content[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if body:
            self.wfile.write(rest if hub.break_after is None else rest[: hub.break_after])


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def fetch(hub: Hub, path: Path, sha256: str | None = SHA, limit: int = 10_000_000, **options: object) -> str:
    return download(f"{hub.url}/repo/resolve/main/file", path, sha256=sha256, limit=limit, timeout=5, **options)


def test_a_redirected_file_arrives_whole(hub: Hub, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    assert fetch(hub, tmp_path / "file", progress=lambda *step: told.append(step)) == SHA
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_without_a_checksum_of_ours_the_published_one_is_held_to(hub: Hub, tmp_path: Path) -> None:
    assert fetch(hub, tmp_path / "file", sha256=None) == SHA
    hub.content = CONTENT[:-1] + b"?"
    with pytest.raises(DamagedError, match="another SHA-256"):
        fetch(hub, tmp_path / "again", sha256=None)


@pytest.mark.parametrize("etag", [None, '"5d41402abc4b2a76b9719d911017c592"', "nonsense"])
def test_without_any_sha256_nothing_is_fetched(hub: Hub, tmp_path: Path, etag: str | None) -> None:
    del hub.headers["X-Linked-Etag"]
    if etag:
        hub.headers["X-Linked-Etag"] = etag
    with pytest.raises(InputError, match="publishes no SHA-256"):
        fetch(hub, tmp_path / "file", sha256=None)
    assert not any(method == "GET" for method, _, _ in hub.asked)


def test_altered_content_is_refused_and_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.content = b"?" + CONTENT[1:]
    with pytest.raises(DamagedError, match="another SHA-256"):
        fetch(hub, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_ends_early_is_taken_up_where_it_ended(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = 300_000
    with pytest.raises(InputError, match="ended after 300,000 bytes: the same command goes on"):
        fetch(hub, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    with pytest.raises(InputError, match="600,000"):
        fetch(hub, tmp_path / "file")
    hub.break_after = None
    fetch(hub, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [place for method, _, place in hub.asked if method == "GET"] == [None, "bytes=300000-", "bytes=600000-"]


def test_a_server_that_cannot_resume_sends_it_all_again(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = 1000
    with pytest.raises(InputError):
        fetch(hub, tmp_path / "file")
    hub.break_after, hub.ranges = None, False
    fetch(hub, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_rest_of_something_else_is_noticed_and_the_next_try_is_right(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"?" * 5000)
    with pytest.raises(DamagedError):
        fetch(hub, tmp_path / "file")
    fetch(hub, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_rest_that_is_longer_than_the_file_is_thrown_away(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    fetch(hub, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_rest_that_is_whole_already_is_only_checked(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    fetch(hub, tmp_path / "file")
    assert not any(method == "GET" for method, _, _ in hub.asked)


def test_a_file_that_is_declared_too_large_is_never_asked_for(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="900,000 bytes, more than the 800,000"):
        fetch(hub, tmp_path / "file", limit=800_000)
    assert not any(method == "GET" for method, _, _ in hub.asked)


def test_a_file_that_turns_out_too_large_is_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.headers["X-Linked-Size"] = "100"
    with pytest.raises(InputError, match="more than the 500,000 bytes"):
        fetch(hub, tmp_path / "file", limit=500_000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/file", "file:///etc/hosts"])
def test_other_protocols_are_not_followed(hub: Hub, tmp_path: Path, target: str) -> None:
    hub.location = target
    with pytest.raises(InputError, match="not safe to follow"):
        fetch(hub, tmp_path / "file")


def test_redirections_in_a_circle_end(hub: Hub, tmp_path: Path) -> None:
    hub.location = "/circle"
    with pytest.raises(InputError, match="redirects more than 5 times"):
        fetch(hub, tmp_path / "file")


def test_a_file_that_is_not_there_is_said_to_be_so(hub: Hub, tmp_path: Path) -> None:
    hub.location = "/nowhere"
    with pytest.raises(InputError, match=r"answers 404 \(there is no such file\)"):
        fetch(hub, tmp_path / "file")


def test_without_a_network_the_way_out_is_named(tmp_path: Path) -> None:
    server = Hub()
    url = server.url
    server.server_close()
    with pytest.raises(InputError, match=r"No connection to 127\.0\.0\.1.*engram backbone import"):
        download(f"{url}/repo/resolve/main/file", tmp_path / "file", sha256=SHA, limit=10**7, timeout=5)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        with pytest.raises(InputError, match="No connection"):
            download(url, tmp_path / "file", sha256=SHA, limit=10**7, timeout=0.2)
