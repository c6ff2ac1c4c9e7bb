"""Who is let in: by the name the server is called, by whose page asks, by token, by size and by turn."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from served_things import LESSON, Demo

from engram.learner import InputError
from engram.server.app import create_app
from engram.server.front_door import body_limit
from engram.server.settings import Settings
from engram.server.tokens import add_token

TEACH, ASK = "/examples", "/predict"


FOREIGN = ["evil.example", "evil.example:8420", "127.0.0.1.evil.example", "10.0.0.1", "", "[::2]"]


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_name_for_this_server_is_refused(taught: Demo, host: str) -> None:
    for answer in (taught.get("/info", headers={"Host": host}), taught.client.get("/", headers={"Host": host})):
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("host", ["localhost", "localhost:8420", "127.0.0.1:1", "[::1]:8420", "LOCALHOST"])
def test_this_machine_has_several_names(taught: Demo, host: str) -> None:
    assert taught.get("/info", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://127.0.0.1@evil.example"},
        {"Origin": "file://127.0.0.1"},
        {"Origin": "http://[127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_changes_nothing(taught: Demo, headers: dict[str, str]) -> None:
    before = taught.info()
    for answer in (
        taught.post(TEACH, json=LESSON, headers=headers),
        taught.delete("/classes/right", headers=headers),
        taught.post(":undo", headers=headers),
        taught.client.post("/v1/brains", json={"name": "planted"}, headers=headers),
    ):
        assert answer.status_code == 403
    assert taught.info() == before
    assert taught.client.get("/v1/brains/planted/info").status_code == 404


def test_the_servers_own_page_may_teach(taught: Demo) -> None:
    headers = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    assert taught.post(TEACH, json=LESSON, headers=headers).status_code == 201


def test_no_other_site_is_told_that_it_may_read(taught: Demo) -> None:
    answer = taught.get("/info", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_every_answer_protects_whoever_reads_it(taught: Demo) -> None:
    for answer in (taught.get("/info"), taught.client.get("/nothing"), taught.client.get("/")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_other_addresses_than_loopback_take_tokens(host: str) -> None:
    with pytest.raises(InputError, match="token"):
        create_app({}, Settings(host=host))


def test_a_picture_may_be_as_large_for_heat_and_locate_as_for_predict() -> None:
    limits = {body_limit(f"/v1/brains/b/{ask}", b"image/png", Settings()) for ask in ("predict", "heat", "locate")}
    assert limits == {Settings().body_limit}


def test_what_is_too_large_is_refused_before_it_is_read(serve) -> None:  # type: ignore[no-untyped-def]
    demo = Demo(serve(body_limit=1000), "demo")
    parts = 0

    def endless() -> Iterator[bytes]:
        nonlocal parts
        for parts in range(1, 10_000):  # noqa: B007
            yield b"x" * 100

    answer = demo.post(TEACH, content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert demo.post(TEACH, content=b"x" * 1001, headers={"Content-Type": "application/json"}).status_code == 413


def test_pictures_of_too_many_pixels_are_refused_unread(serve) -> None:  # type: ignore[no-untyped-def]
    from PIL import Image

    demo = Demo(serve(pixel_limit=10_000, pixels_at_once=20_000), "demo")
    file = io.BytesIO()
    Image.new("L", (101, 100)).save(file, "PNG")
    small = io.BytesIO()
    Image.new("L", (90, 100)).save(small, "PNG")
    large = [("images", ("a.png", file.getvalue(), "image/png"))]
    assert demo.post(TEACH, files=large, data={"label": "a"}).status_code == 413
    many = [("images", (f"{i}.png", small.getvalue(), "image/png")) for i in range(3)]
    assert demo.post(TEACH, files=many, data={"label": "a"}).status_code == 413
    assert demo.info()["examples"] == 0


def test_who_asks_too_often_is_told_when_to_come_back(serve) -> None:  # type: ignore[no-untyped-def]
    demo = Demo(serve(rate=0.5), "demo")
    answers = [demo.get("/info") for _ in range(5)]
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_requests_are_logged_without_what_was_taught_or_the_token(serve, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    log, file = io.StringIO(), tmp_path / "tokens.json"
    secret = add_token(file, "ada", "admin")
    demo = Demo(serve(token_file=file, log=log), "demo")
    body = {"vectors": [[0.123456, 0.654321]], "label": "secret-label"}
    answer = demo.post(TEACH, json=body, headers={"Authorization": f"Bearer {secret}"})
    demo.client.__exit__(None, None, None)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    mine = next(line for line in lines if line.get("id") == answer.headers["x-request-id"])
    assert (mine["route"], mine["status"], mine["teacher"]) == ("/v1/brains/{b}/examples", 201, "ada")
    for hidden in (secret, "123456", "secret-label"):
        assert hidden not in log.getvalue()
