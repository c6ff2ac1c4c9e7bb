"""Every promise on the durability page names the tests that hold it, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "durability.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_each_promise_names_a_test_that_is_there() -> None:
    promises = [line for line in PAGE.splitlines() if line.startswith("| ") and "tests/" in line]
    assert len(promises) >= 15
    for promise in promises:
        found = NAMED.findall(promise)
        assert found, promise
        for file, name in found:
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{name}"


def test_every_line_of_the_table_of_promises_has_its_test() -> None:
    table = PAGE.partition("| promise | held by |")[2].partition("## Measured")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert [row for row in rows if not NAMED.search(row)] == []
