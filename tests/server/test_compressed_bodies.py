"""Compressed bodies are read wherever bodies are, and none grows beyond its limit."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served_things import LESSON, Demo

from engram.server.front_door import _PORTION, Unpacked
from engram.server.problems import Refusal


def in_a_loop_of_its_own(work: Any) -> Any:
    """Run a coroutine in another thread: a browser that tests share keeps a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


BODY = json.dumps(LESSON).encode()
PACKED = gzip.compress(BODY)


def send(demo: Demo, body: bytes, encoding: str = "gzip", path: str = "/examples") -> Any:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    return demo.post(path, content=body, headers=headers)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("GZIP", gzip.compress),
                                                ("deflate", zlib.compress), ("identity", bytes)])
def test_lessons_and_questions_may_be_compressed(demo: Demo, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    assert send(demo, pack(BODY), encoding).status_code == 201
    asked = pack(json.dumps({"vectors": LESSON["vectors"]}).encode())
    answers = send(demo, asked, encoding, "/predict").json()["answers"]
    assert [one["label"] for one in answers] == LESSON["labels"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "x"])
def test_other_codings_are_refused_by_name(demo: Demo, encoding: str) -> None:
    answer = send(demo, BODY, encoding)
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("body", [
    b"", BODY, PACKED[:-1], PACKED[:20], PACKED + b"x", PACKED + PACKED, zlib.compress(BODY), PACKED[:-8] + bytes(8),
], ids=["nothing", "not packed", "cut", "cut short", "more behind", "twice", "deflate", "wrong sum"])
def test_what_is_not_compressed_so_is_refused(demo: Demo, body: bytes) -> None:
    answer = send(demo, body)
    assert answer.status_code == 400, answer.text
    assert demo.info()["examples"] == 0


def test_a_body_that_grows_without_end_is_given_up_at_the_limit(serve: Callable[..., Any]) -> None:
    demo = Demo(serve(body_limit=1_000_000), "demo")
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    try:
        answer = send(demo, bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert "1,000,000" in answer.json()["detail"]
    assert peak < 8_000_000


@settings(max_examples=50, deadline=None)
@given(
    size=st.one_of(st.integers(0, 100), st.integers(-2, 2).map(lambda more: _PORTION + more),
                   st.integers(-2, 2).map(lambda more: 2 * _PORTION + more)),
    random=st.booleans(), cuts=st.lists(st.integers(0, 3000), max_size=5), level=st.integers(0, 9),
)
def test_a_body_comes_out_as_it_went_in(size: int, random: bool, cuts: list[int], level: int) -> None:
    body = np.random.default_rng(0).bytes(size) if random else bytes(size)
    assert in_a_loop_of_its_own(unpack(gzip.compress(body, level), cuts, 3 * _PORTION)) == body
    if body:
        with pytest.raises(Refusal):
            in_a_loop_of_its_own(unpack(gzip.compress(body, level), cuts, len(body) - 1))


async def unpack(packed: bytes, cuts: list[int], limit: int) -> bytes:
    places = [0, *sorted(cuts), len(packed)]
    parts = [packed[a:b] for a, b in pairwise(places)]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False
    left = iter(messages)

    async def receive() -> Any:
        return next(left)

    unpacked, whole = Unpacked(receive, b"gzip", limit), b""
    while True:
        message = await unpacked()
        whole += message["body"]
        if not message["more_body"]:
            return whole
