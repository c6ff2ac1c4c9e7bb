"""The animation of a growing network is a small, whole picture that tells the truth about its film."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"
FILM: dict[str, Any] = {
    "frames": [
        {"live": 900, "rests": False, "labels": [1, 2], "new": [1, 2], "data": 20, "error": 50.0},
        {"live": 90, "rests": True, "labels": [1, 2], "new": [1, 2], "data": 20, "error": 1.0},
        {"live": 400, "rests": False, "labels": [1, 2, 0], "new": [0], "data": 30, "error": 9.0},
        {"live": 120, "rests": True, "labels": [1, 2, 0], "new": [0], "data": 30, "error": 2.0},
    ],
    "neurons": [[[n] * 4, [n] * 6, [n] * 5, [n] * 3] for n in (9, 1, 4, 2)],
    "lines": [[0, 0, 1, 0b1111], [0, 3, 5, 0b1100], [1, 2, 2, 0b0001], [2, 4, 2, 0b0100]],
}


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import growing_network
    finally:
        sys.path.remove(str(ROOT / "docs"))
    return growing_network


@pytest.fixture(scope="module")
def picture(drawing: ModuleType) -> ElementTree.Element:
    return ElementTree.fromstring(drawing.growing_network(FILM))


def lives(picture: ElementTree.Element, kind: str) -> set[tuple[str, str]]:
    """(class, frames) of all paths of a kind."""
    found = [path.get("class", "").split() for path in picture.iter(f"{SVG}path")]
    return {(words[0], words[1]) for words in found if re.match(kind, words[0]) and len(words) > 1}


def test_every_line_is_there_while_its_connection_is_alive_and_amber_until_the_network_rests(picture):
    assert lives(picture, "l") == {("l0", "k0_4"), ("la0", "k2_3"), ("l0", "k3_4"), ("l1", "k0_1"), ("la2", "k2_3")}


def test_whoever_wants_no_motion_sees_the_last_frame(picture):
    for element in picture.iter():
        words = element.get("class", "").split()
        life = next((word for word in words if re.fullmatch(r"[kt]\d+_\d+", word)), None)
        assert ("z" in words) == (life is not None and life.endswith("_4"))
    style = picture.findtext(f"{SVG}style") or ""
    still, motion = style.split("@media (prefers-reduced-motion:no-preference){")
    assert "animation" not in still
    assert motion.count("@keyframes") == motion.count("animation:") > 5


def test_the_captions_say_what_happens(picture):
    said = [text.text for text in picture.iter(f"{SVG}text") if text.get("class") == "says"]
    assert said[0] == "1 and 2 arrive; every connection is alive"
    assert said[2].startswith("0 arrives; connections wake")
    assert said[3].startswith("at rest")
    counts = [text.text for text in picture.iter(f"{SVG}text") if text.get("class") == "count"]
    assert counts[:3] == ["900", "50.0%", "20%"]


def test_it_needs_nothing_beside_it(drawing):
    text = drawing.growing_network(FILM)
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "href" not in text
    assert "url(" not in text


def test_the_one_in_the_docs_is_small():
    path = ROOT / "docs" / "growing-network.svg"
    if not path.exists():
        pytest.skip("growprune-connectivity has not been measured yet")
    assert path.stat().st_size < 300_000
