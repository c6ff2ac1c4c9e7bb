"""The audit over HTTP: what is suspicious, by whom it was taught, and one request that corrects it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served_things import Demo

from engram.server import schemas
from engram.server.tokens import add_token


def lesson(wrong: bool = True) -> dict[str, Any]:
    """Twelve ants and twelve bees; the fourth bee is called an ant."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(2, 20)), 12, axis=0) + 0.6 * rng.normal(size=(24, 20))
    labels = ["ant"] * 12 + ["bee"] * 12
    labels[15] = "ant" if wrong else "bee"
    return {"vectors": vectors.round(3).tolist(), "labels": labels}


def found(demo: Demo, **more: Any) -> schemas.Audit:
    answer = demo.get("/audit", **more)
    assert answer.status_code == 200, answer.text
    return schemas.Audit.model_validate(answer.json())


def test_the_wrong_label_is_first_and_is_corrected_by_its_id(demo: Demo) -> None:
    ids = demo.post("/examples", json=lesson()).json()["ids"]
    before = found(demo)
    worst = before.suspects[0]
    assert (worst.label, worst.other, worst.example and worst.example.id) == ("ant", "bee", ids[15])
    assert (before.examined, before.disputed) == (24, 1)
    assert {need.label for need in before.needs} == {"ant", "bee"}
    assert demo.post(f"/examples/{ids[15]}:relabel", json={"label": worst.other}).status_code == 200
    assert found(demo).disputed == 0


def test_it_is_asked_for_once_while_nothing_changes(demo: Demo) -> None:
    demo.post("/examples", json=lesson())
    tag = demo.get("/audit").headers["etag"]
    assert demo.get("/audit", headers={"If-None-Match": tag}).status_code == 304
    demo.post("/examples", json=lesson(wrong=False))
    again = found(demo, headers={"If-None-Match": tag})
    assert any(group.conflict for group in again.duplicates)
    assert len(found(demo, params={"limit": 3}).suspects) == 3


def test_an_empty_brain_has_nothing_to_find(demo: Demo) -> None:
    empty = found(demo)
    assert (empty.examined, empty.suspects, empty.duplicates, empty.needs) == (0, [], [], [])


@pytest.fixture
def shared(serve: Callable[..., Any], tmp_path: Path) -> tuple[Demo, dict[str, dict[str, str]]]:
    """A brain that ada and ben teach, each with a token; and one that may export."""
    file = tmp_path / "tokens.json"
    keys = {name: add_token(file, name, scope) for name, scope in
            (("ada", "teach"), ("ben", "teach"), ("eve", "export"), ("asks", "ask"))}
    headers = {name: {"Authorization": f"Bearer {key}"} for name, key in keys.items()}
    return Demo(serve(token_file=file), "demo"), headers


def test_one_who_teaches_sees_their_own_examples_only(shared: tuple[Demo, dict[str, dict[str, str]]]) -> None:
    demo, who = shared
    whole = lesson()
    for name, part in (("ada", slice(None, 14)), ("ben", slice(14, None))):
        sent = {key: values[part] for key, values in whole.items()}
        assert demo.post("/examples", json=sent, headers=who[name]).status_code == 201
    demo.post("/examples", json={"vectors": whole["vectors"][:1], "labels": ["ant"]}, headers=who["ben"])
    ada, ben, eve = (found(demo, headers=who[name]) for name in ("ada", "ben", "eve"))
    assert {one.example.teacher for one in ada.suspects if one.example} == {"ada"}
    assert {one.example.teacher for one in ben.suspects if one.example} == {"ben"}
    assert len(ada.suspects) + len(ben.suspects) == len(eve.suspects) == 25
    assert (ben.suspects[0].label, ben.suspects[0].other) == ("ant", "bee")
    assert ada.disputed == ben.disputed == eve.disputed
    assert sum(one is None for one in ada.duplicates[0].examples) == 1
    assert demo.get("/audit", headers=who["asks"]).status_code == 403
