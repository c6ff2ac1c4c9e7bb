"""A server's shelf is a folder: what was made over HTTP is there again after a restart."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served_things import LESSON, Demo, Program

from engram.brain import Brain
from engram.server.shelf import with_shelf


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_brain_made_over_http_is_there_after_a_restart(
    program: Callable[..., Program], tmp_path: Path, how: signal.Signals
) -> None:
    Brain.create(tmp_path / "first").close()
    before = program("first")
    http = before.wait_until_ready()
    assert http.post("/v1/brains", json={"name": "made", "memory_budget": 2**20}).status_code == 201
    assert http.post("/v1/brains/made/examples", json=LESSON).status_code == 201
    before.stop(how)
    http = program("first").wait_until_ready()
    assert {one["name"]: one["examples"] for one in http.get("/v1/brains").json()["brains"]} == {"first": 0, "made": 4}
    assert http.get("/v1/brains/made/info").json()["memory_budget"] == 2**20
    assert http.post("/v1/brains", json={"name": "made"}).status_code == 409


def test_the_shelf_can_be_named_and_neighbours_are_not_served(
    program: Callable[..., Program], tmp_path: Path
) -> None:
    for name in ("first", "private", "shelf/one.brain", "shelf/two"):
        Brain.create(tmp_path / name).close()
    (tmp_path / "shelf" / "notes").mkdir()
    http = program("first", "--shelf", "shelf").wait_until_ready()
    assert {one["name"] for one in http.get("/v1/brains").json()["brains"]} == {"first", "one", "two"}
    assert http.post("/v1/brains", json={"name": "new"}).status_code == 201
    assert (tmp_path / "shelf" / "new" / "manifest.json").exists()


def test_a_brain_that_cannot_be_made_does_not_hold_its_name(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = Demo(serve(), "demo")
    folder = demo.folder.parent
    create, before = Brain.create, sorted(folder.iterdir())

    def fails(path: Path, *_: Any, **__: Any) -> Any:
        create(path).close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Brain, "create", fails)
    assert demo.client.post("/v1/brains", json={"name": "made"}).status_code == 507
    monkeypatch.setattr(Brain, "create", create)
    assert sorted(folder.iterdir()) == before
    assert demo.client.post("/v1/brains", json={"name": "made"}).status_code == 201


def test_what_was_named_comes_before_the_shelf(tmp_path: Path) -> None:
    for name in ("one", "two.brain", "a name", ".three-0a0b0c0d"):
        Brain.create(tmp_path / "shelf" / name).close()
    other = tmp_path / "other"
    assert with_shelf({"one": other}, tmp_path / "shelf") == {"one": other, "two": tmp_path / "shelf" / "two.brain"}
    moved = {"uno": tmp_path / "shelf" / "one"}
    assert with_shelf(moved, tmp_path / "shelf") == {**moved, "two": tmp_path / "shelf" / "two.brain"}
    assert with_shelf({}, tmp_path / "nosuch") == {}


def test_the_brains_of_the_shelf_are_told_at_the_start(program: Callable[..., Program], tmp_path: Path) -> None:
    for name in ("first", "brains/second"):
        Brain.create(tmp_path / name).close()
    one = program("first")
    one.wait_until_ready()
    one.stop()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert next(line for line in lines if line["event"] == "listening")["brains"] == ["first", "second"]
