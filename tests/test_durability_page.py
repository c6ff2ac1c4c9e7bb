"""Every promise on the durability page names the tests that hold it, and they are there."""

from __future__ import annotations

import re

from promises import ROOT, WAYS, found_by, place_of, rows

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


def test_every_promise_can_be_broken_in_a_way_that_the_code_still_has() -> None:
    for promise in rows(PAGE):
        assert [way for way in WAYS if promise.startswith(way.promise)], promise
    for way in WAYS:
        assert [promise for promise in rows(PAGE) if promise.startswith(way.promise)], way.promise
        assert place_of(ROOT, way).read_text(encoding="utf-8").count(way.old) == 1, (way.file, way.old)


def test_a_broken_promise_is_found_by_the_test_that_its_row_names() -> None:
    promise = "… nor in the inbox"
    (way,) = [way for way in WAYS if way.promise == promise]
    (tests,) = [tests for row, tests in rows(PAGE).items() if row.startswith(promise)]
    assert found_by(tests, way) == set(tests)
