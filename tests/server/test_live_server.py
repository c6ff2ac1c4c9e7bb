"""The server as a program: it starts, ends, is followed, takes up replaced brains; what it acknowledged remains."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from served_things import LESSON, RIGHT, UP, Program

from engram.brain import Brain
from engram.cli import app

Start = Callable[..., Program]


def until(true: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def test_without_a_brain_one_is_made_and_it_lasts(program: Start, tmp_path: Path) -> None:
    first = program()
    http = first.wait_until_ready()
    taught = http.post("/v1/brains/brain/examples", json=LESSON).json()
    assert first.stop() == 0
    with Brain.open(tmp_path / "brain", readonly=True) as brain:
        assert brain.counts() == {"right": 2, "up": 2}
    again = program().wait_until_ready()
    assert again.get("/v1/brains/brain/info").json()["seq"] == taught["seq"]


def test_what_is_being_taught_when_it_is_told_to_stop_is_finished(program: Start, tmp_path: Path) -> None:
    server = program()
    http = server.wait_until_ready()
    http.post("/v1/brains/brain/examples", json=LESSON)
    acknowledged: list[int] = []

    def teach(number: int) -> None:
        with httpx.Client(base_url=server.address, timeout=30) as client:
            for i in range(1000):
                row = [0.5 + number / 100, i / 1000]
                try:
                    answer = client.post("/v1/brains/brain/examples", json={"vectors": [row], "label": "right"})
                except httpx.TransportError:
                    return
                if answer.status_code != 201:
                    return
                acknowledged.extend(answer.json()["ids"])

    threads = [Thread(target=teach, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(acknowledged) > 20)
    assert server.stop(signal.SIGTERM) == 0
    for thread in threads:
        thread.join()
    with Brain.open(tmp_path / "brain", readonly=True) as brain:
        held = {one.id for one in brain.examples(limit=100_000)}
    assert len(acknowledged) > 20
    assert set(acknowledged) <= held


def test_what_was_acknowledged_survives_a_kill(program: Start, tmp_path: Path) -> None:
    server = program()
    http = server.wait_until_ready()
    ids = [http.post("/v1/brains/brain/examples", json=LESSON).json()["ids"] for _ in range(3)]
    server.stop(signal.SIGKILL)
    with Brain.open(tmp_path / "brain", readonly=True) as brain:
        assert [one.id for one in brain.examples()] == [number for some in ids for number in some]


def test_a_page_that_listens_is_told_of_every_change_and_of_the_end(program: Start) -> None:
    server = program()
    http = server.wait_until_ready()
    told: list[dict[str, Any]] = []

    def listen() -> None:
        with httpx.stream("GET", f"{server.address}/v1/brains/brain/events", timeout=30) as stream:
            told.extend(json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))

    listener = Thread(target=listen)
    listener.start()
    assert until(lambda: told)
    seq = http.post("/v1/brains/brain/examples", json=LESSON).json()["seq"]
    assert until(lambda: told[-1]["seq"] == seq)
    assert (told[-1]["examples"], told[-1]["classes"]) == (4, 2)
    assert server.stop() == 0
    listener.join(10)
    assert not listener.is_alive()


def test_a_follower_sees_what_another_teaches_and_changes_nothing(program: Start) -> None:
    teacher = program()
    http = teacher.wait_until_ready()
    http.post("/v1/brains/brain/examples", json=LESSON)
    follower = program("brain", "--follow").wait_until_ready()
    seq = http.post("/v1/brains/brain/examples", json={"vectors": [[0.4, 0.4]], "label": "both"}).json()["seq"]
    assert until(lambda: follower.get("/v1/brains/brain/info").json()["seq"] == seq)
    asked = follower.post("/v1/brains/brain/predict", json={"vectors": [[0.4, 0.4]]}).json()
    assert asked["answers"][0]["ranked"][0]["label"] == "both"
    http.delete("/v1/brains/brain/classes/both")
    assert until(lambda: follower.get("/v1/brains/brain/info").json()["examples"] == 4)
    for refused in (follower.post("/v1/brains/brain/examples", json=LESSON),
                    follower.delete("/v1/brains/brain/classes/up"), follower.post("/v1/brains/brain:undo"),
                    follower.post("/v1/brains", json={"name": "other"})):
        assert refused.status_code == 403
    assert follower.get("/v1/brains").json()["brains"][0]["follower"]


def test_a_second_server_that_would_write_is_refused_the_change(program: Start) -> None:
    first = program().wait_until_ready()
    first.post("/v1/brains/brain/examples", json=LESSON)
    second = program("brain").wait_until_ready()
    refused = second.post("/v1/brains/brain/examples", json=LESSON)
    assert refused.status_code == 409
    assert "process" in refused.json()["detail"]
    assert second.post("/v1/brains/brain/predict", json={"vectors": [RIGHT]}).status_code == 200


def test_a_folder_that_is_replaced_is_taken_up_while_everyone_is_answered(program: Start, tmp_path: Path) -> None:
    with Brain.create(tmp_path / "next") as made:
        made.learn([RIGHT, UP, [0.5, 0.5]], ["a", "b", "c"])
    server = program()
    http = server.wait_until_ready()
    http.post("/v1/brains/brain/examples", json=LESSON)
    statuses: set[int] = set()
    swapped = False

    def ask() -> None:
        with httpx.Client(base_url=server.address, timeout=30) as client:
            while not swapped:
                statuses.add(client.post("/v1/brains/brain/predict", json={"vectors": [RIGHT]}).status_code)

    asker = Thread(target=ask)
    asker.start()
    os.rename(tmp_path / "brain", tmp_path / "old")
    os.rename(tmp_path / "next", tmp_path / "brain")
    try:
        assert until(lambda: http.get("/v1/brains/brain/info").json()["examples"] == 3)
    finally:
        swapped = True
        asker.join()
    assert statuses == {200}
    assert http.post("/v1/brains/brain/examples", json={"vectors": [RIGHT], "label": "a"}).status_code == 201
    assert http.post("/v1/brains/brain:swap").json()["examples"] == 4
    assert http.post("/v1/brains/brain/examples", json={"vectors": [RIGHT], "label": "a"}).status_code == 201


def test_it_is_ready_only_when_every_brain_is_open(program: Start, tmp_path: Path) -> None:
    Brain.create(tmp_path / "good").close()
    with Brain.create(tmp_path / "bad") as bad:
        bad.learn([RIGHT], "a")
    (tmp_path / "bad" / "log.sqlite").write_bytes(b"nothing of the kind")
    http = program("good", "bad").http
    assert http is not None
    states = until(lambda: {one["name"]: one["state"] for one in http.get("/v1/brains").json()["brains"]} == {
        "good": "ready", "bad": "failed"})
    assert states
    assert http.get("/v2/health/ready").status_code == 503
    refused = http.post("/v1/brains/bad/predict", json={"vectors": [RIGHT]})
    assert (refused.status_code, "could not be opened" in refused.json()["detail"]) == (503, True)
    assert http.get("/v2/models/good/ready").status_code == 200


def test_heads_without_end_and_what_is_not_http_are_refused(program: Start) -> None:
    server = program()
    server.wait_until_ready()
    for sent, status in ((b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000, b"431"), (b"nonsense\r\n\r\n", b"400"),
                         (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, b"431")):
        with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), timeout=20) as connection:
            try:
                connection.sendall(sent)
                answer = connection.recv(65536)
            except ConnectionError:  # closed while it was still being sent to
                continue
            assert answer[9:12] == status
            assert b"application/problem+json" in answer


def test_metrics_count_what_was_taught_and_asked(program: Start) -> None:
    http = program().wait_until_ready()
    http.post("/v1/brains/brain/examples", json=LESSON)
    http.post("/v1/brains/brain/predict", json={"vectors": [RIGHT, [-0.5, -0.7]]})
    lines = dict(line.rsplit(" ", 1) for line in http.get("/metrics").text.splitlines() if line[0] != "#")
    for name, value in (("examples", 4), ("classes", 2), ("taught_total", 4), ("answers_total", 2),
                        ("unknown_answers_total", 1), ("unknown_rate", 0.5), ("ready", 1)):
        assert float(lines[f'engram_{name}{{brain="brain"}}']) == value
    assert float(lines['engram_commit_seconds_count{brain="brain"}']) >= 1
    assert float(lines['engram_request_seconds_count{method="POST",route="/v1/brains/{b}/examples"}']) == 1


def test_https_is_served_with_a_certificate(program: Start, tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
         "-days", "1", "-subj", "/CN=localhost"], cwd=tmp_path, capture_output=True, check=False,
    )
    if made.returncode:
        pytest.skip("openssl is not here to make a certificate")
    server = program("--tls-cert", "cert.pem", "--tls-key", "key.pem")
    http = server.wait_until_ready()
    assert server.address.startswith("https://")
    assert "strict-transport-security" in http.get("/v1/brains").headers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "token"),
        (["--tls-cert", "cert.pem"], "both --tls-cert and --tls-key"),
        (["nosuch"], "No brain at nosuch"),
        (["a/x", "b/x"], "Two brains are called 'x'"),
        (["some.name"], "NAME=some.name"),
        (["--follow"], "No brain at brain"),
    ],
)
def test_what_cannot_be_served_is_refused_at_the_start(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run(["serve", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_without_its_extra_it_says_how_to_install_it(tmp_path: Path) -> None:
    code = ("import sys; sys.modules['fastapi'] = None; sys.modules['uvicorn'] = None\n"
            "from engram.cli import app; sys.exit(app.run(['serve']))")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "(the extra server)" in done.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_tokens_are_made_listed_and_taken_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "tokens.json")
    assert app.run(["token", "add", file, "ada", "--scope", "ask", "--brain", "demo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["token"].startswith("engram_")
    assert app.run(["token", "list", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "ada", "scopes": ["ask"], "brains": ["demo"]}]
    assert app.run(["token", "remove", file, "ada"]) == 0
    assert app.run(["token", "remove", file, "ada"]) == 1
    assert app.run(["token", "add", file, "bob", "--scope", "everything"]) == 1
