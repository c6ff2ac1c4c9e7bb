"""The faults that `tests/mutants.py` plants still fit the code, and one of them is found."""

from __future__ import annotations

import pytest
from mutants import ROOMS, Room, killed
from promises import ROOT


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_every_fault_can_be_planted(room: Room) -> None:
    assert len(set(room.mutants)) == len(room.mutants)
    for file, old, new in room.mutants:
        assert (ROOT / "src" / "engram" / file).read_text(encoding="utf-8").count(old) == 1, (file, old)
        assert old != new
    for test in room.tests:
        assert (ROOT / test.partition("::")[0]).is_file(), test


def test_a_fault_is_found_by_the_tests_of_its_room() -> None:
    (room,) = [room for room in ROOMS if room.name == "metrics"]
    assert killed(room, room.mutants[0])
