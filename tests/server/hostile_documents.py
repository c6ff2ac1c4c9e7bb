"""What hostile clients send, as cases: vectors, texts, tensors, names and numbers that do not fit."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from hostile_wire import ASK, INFER, RAW, TEACH, VECTORS, Case, http, posting
from served_things import RIGHT

NAMES = (
    "../x",
    "..%2f..%2fetc",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "a%2f..",
    "a%00b",
    "a" * 65,
    "a" * 10_000,
    "con:",
    "-a",
    ".hidden",
    "brain%0d%0aX:%20y",
    "brain;",
    "%F0%9F%98%80",
    "brain%20",
    "..%5cx",
    "%c0%ae%c0%ae",
    "brain%",
    "%ff%fe",
    "brain.",
    "~root",
    "$HOME",
    "brain%2f",
    "%252e%252e",
    "*",
    "brain'--",
)


def documents() -> Iterator[Case]:
    """JSON that is no JSON, or does not fit."""
    deep = 100_000
    vectors: dict[str, str] = {
        "NaN": "[[NaN, 1]]",
        "Infinity": "[[Infinity, 1]]",
        "-Infinity": "[[-Infinity, 1]]",
        "1e400": "[[1e400, 1]]",
        "-1e400": "[[-1e400, 1]]",
        "1e308": "[[1e308, -1e308]]",
        "null": "[[null, 1]]",
        "text": '[["1", "2"]]',
        "booleans": "[[true, false]]",
        "ragged": "[[1, 2], [1]]",
        "too wide": "[[1, 2, 3]]",
        "too narrow": "[[1]]",
        "empty": "[]",
        "an empty one": "[[]]",
        "not nested": "[1, 2]",
        "nested too deep": "[[[1, 2]]]",
        "an object": '{"0": [1, 2]}',
        "10^6 digits": f"[[{'9' * 10**6}, 1]]",
        "0x10": "[[0x10, 1]]",
        "+1": "[[+1, 1]]",
        "65537 values": f"[[{'1,' * 65_536}1]]",
        "65537 vectors": f"[{'[1,2],' * 65_536}[1,2]]",
        "comment": "[[1, 2 /*3*/]]",
        "deep arrays": "[" * deep + "]" * deep,
        "deep objects": '{"a":' * deep + "1" + "}" * deep,
        "1e": "[[1e, 2]]",
    }
    for name, value in vectors.items():
        yield Case(f"vectors to learn: {name}", posting(TEACH, f'{{"vectors": {value}, "label": "a"}}'))
        yield Case(f"vectors to tell: {name}", posting(ASK, f'{{"vectors": {value}}}'))
    one = '{"vectors": [[1, 0]], '
    labels: dict[str, str] = {
        "too long": json.dumps("a" * 257),
        "10^6 long": json.dumps("a" * 10**6),
        "empty": '""',
        "a list": '["a"]',
        "true": "true",
        "an object": "{}",
        "2^63": str(2**63),
        "10^6 digits": "9" * 10**6,
        "1.5": "1.5",
        "NaN": "NaN",
        "null": "null",
        "half a pair": r'"\ud800"',
        "an integer among texts": "7",
    }
    for name, value in labels.items():
        yield Case(f"label: {name}", posting(TEACH, f'{one}"label": {value}}}'))
        yield Case(f"new name: {name}", posting(f"{VECTORS}:rename", f'{{"old": "right", "new": {value}}}'))
    others = {
        "labels and label": '"label": "a", "labels": ["a"]}',
        "too many labels": '"labels": ["a", "b"]}',
        "no label": '"again": true}',
        "unknown field": '"label": "a", "lable": "b"}',
        "too many sources": '"label": "a", "sources": ["a", "b"]}',
        "a teacher of 257": f'"label": "a", "teacher": "{"a" * 257}"}}',
        "again: 2": '"label": "a", "again": 2}',
        "texts too": '"label": "a", "texts": ["a"]}',
        "a path as prototype": '"__proto__": {"a": 1}, "label": "a"}',
        "no end": '"label": "a"',
        "more behind": '"label": "a"} {"x": 1}',
    }
    for name, rest in others.items():
        yield Case(f"lesson: {name}", posting(TEACH, one + rest))
    fine = (one + '"label": "a"}').encode()
    bodies = {
        "no UTF-8": fine.replace(b'"a"', b'"\xff\xfe"'),
        "overlong UTF-8": fine.replace(b'"a"', b'"\xc0\xaf"'),
        "UTF-16": fine.decode().encode("utf-16"),
        "a byte order mark": b"\xef\xbb\xbf" + fine,
        "NUL": b"\0" + fine,
        "half a surrogate": fine.replace(b'"a"', b'"\xed\xa0\x80"'),
        "nothing": b"",
        "an array": b"[" + fine + b"]",
        "text": b'"text"',
        "null": b"null",
        "a control character": fine.replace(b'"a"', b'"\x01"'),
        "not JSON": b"{'a': 1}",
    }
    for name, body in bodies.items():
        yield Case(f"body: {name}", posting(TEACH, body))
    kinds = (
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "text/json",
        "application/json-patch+json",
        "application/x-python-pickle",
        "",
        "image",
        "application/jsonx",
        "a" * 5000,
    )
    for kind in kinds:
        yield Case(f"content type: {kind[:40]}", http("POST", TEACH, fine, kind))
    yield Case("no content type", http("POST", TEACH, fine))
    yield Case("a pickle", http("POST", TEACH, b"cos\nsystem\n(S'true'\ntR.", "application/json"))
    packed = zlib.compress(fine)
    for coding in ("gzip", "deflate", "br"):
        yield Case(
            f"coded: {coding}", http("POST", TEACH, packed, "application/json", headers={"Content-Encoding": coding})
        )
    for key in ("a b", "é", "a" * 256, "\t", "\x7f"):
        yield Case(f"Idempotency-Key {key[:9]!r}", posting(TEACH, fine, headers={"Idempotency-Key": key}))
    for tag in ('"x"', "5", '"' + "9" * 30 + '"', '"-1"', '"99999999"', "W/", '""'):
        yield Case(f"If-Match {tag[:9]}", posting(TEACH, fine, headers={"If-Match": tag}))


def tensors() -> Iterator[Case]:
    """Raw floats and tensors whose lengths lie."""
    nan, infinite = struct.pack("<2f", float("nan"), 1), struct.pack("<2f", float("-inf"), 1)
    for name, raw in {
        "NaN": nan,
        "infinite": infinite,
        "odd": b"123",
        "7 bytes": b"1234567",
        "nothing": b"",
        "too many": bytes(2**20)[:-4],
    }.items():
        yield Case(f"raw to learn: {name}", http("POST", f"{TEACH}?label=a", raw, RAW))
        yield Case(f"raw to tell: {name}", http("POST", ASK, raw, RAW))
    for width in ("0", "-1", "1e3", "9" * 30, "9" * 5000, "65537", "x", "%00", "²"):
        yield Case(f"raw of width {width[:9]}", http("POST", f"{ASK}?width={width}", bytes(24), RAW))
    tensor = {"name": "x", "shape": [2], "datatype": "FP32", "data": RIGHT}
    wrong: dict[str, dict[str, Any]] = {
        "another shape": {"shape": [3]},
        "shape 2^31 x 2^31": {"shape": [2**31, 2**31]},
        "negative shape": {"shape": [-1]},
        "shape of 4": {"shape": [1, 1, 1, 2]},
        "no shape": {"shape": []},
        "huge shape": {"shape": [10**40]},
        "another datatype": {"datatype": "OBJECT"},
        "text": {"data": ["a", "b"]},
        "ragged": {"data": [[1], [1, 2]]},
        "deep": {"data": json.loads("[" * 100 + "1" + "]" * 100)},
        "infinite": {"data": [1e39, 1e300]},
        "objects": {"data": [{}, {}]},
        "a size that lies": {"data": None, "parameters": {"binary_data_size": 8}},
        "a negative size": {"data": None, "parameters": {"binary_data_size": -8}},
        "data and a size": {"parameters": {"binary_data_size": 0}},
        "a size that is text": {"data": None, "parameters": {"binary_data_size": "8"}},
        "digits": {"data": [int("9" * 4000), 1]},
        "nulls": {"data": [None, None]},
    }
    for name, change in wrong.items():
        yield Case(f"tensor: {name}", posting(INFER, {"inputs": [tensor | change]}))
    yield Case("tensor: two", posting(INFER, {"inputs": [tensor, tensor]}))
    yield Case("tensor: none", posting(INFER, {"inputs": []}))
    yield Case(
        "tensor: an output that is none", posting(INFER, {"inputs": [tensor], "outputs": [{"name": "__class__"}]})
    )
    body = json.dumps({"inputs": [tensor]}).encode()
    for length in (
        "-1",
        "0",
        "1",
        str(len(body) - 1),
        str(len(body) + 1),
        "9" * 25,
        "1e2",
        "0x10",
        "",
        "x",
        " 5",
        "+5",
    ):
        yield Case(
            f"Inference-Header-Content-Length: {length[:9]!r}",
            http("POST", INFER, body, RAW, headers={"Inference-Header-Content-Length": length}),
        )
    text = json.dumps(
        {"inputs": [tensor | {"datatype": "BYTES", "shape": [1], "data": None, "parameters": {"binary_data_size": 6}}]}
    ).encode()
    for tail in (b"\xff\xff\xff\xffab", b"\x02\0\0\0a\0", b"\0\0\0\0\0\0", b"abcdef"):
        yield Case(
            f"tensor of bytes: {tail!r}",
            http("POST", INFER, text + tail, RAW, headers={"Inference-Header-Content-Length": str(len(text))}),
        )


def names() -> Iterator[Case]:
    """Names that are paths, numbers that are none."""
    for name in NAMES:
        yield Case(f"brain {name[:24]}", http("GET", f"/v1/brains/{name}/info"))
        yield Case(
            f"brain to teach {name[:24]}", posting(f"/v1/brains/{name}/examples", {"vectors": [RIGHT], "label": "a"})
        )
    plain = (
        "../x",
        "..",
        "a/b",
        "a\\b",
        "a\0b",
        "a" * 65,
        "a" * 10**6,
        ".",
        "",
        "-a",
        "ä",
        "brain\n",
        "brain ",
        "CON:",
        "a.b",
        "$(id)",
        7,
        None,
        ["a"],
        "brain",
    )
    for given in plain:
        yield Case(f"new brain {str(given)[:24]!r}", posting("/v1/brains", {"name": given}))
    for backbone in (
        "../../etc/passwd",
        "/etc/passwd",
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "a" * 257,
        "\0",
        "nosuch",
    ):
        yield Case(f"backbone {backbone[:24]!r}", posting("/v1/brains", {"name": "new", "backbone": backbone}))
    for more in (
        {"gate": -1},
        {"gate": "NaN"},
        {"memory_budget": 0},
        {"memory_budget": 10**30},
        {"path": "/etc/x"},
        {"device": "x"},
    ):
        yield Case(f"brain made with {more}", posting("/v1/brains", {"name": "new"} | more))
    for path in (
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/js/../../app.py",
        "/js/..%2f..%2fapp.py",
        "/js/%00",
        "//etc/passwd",
        "/js/%2e%2e/%2e%2e/%2e%2e/tokens.py",
        "/.git/config",
        "/v1/../../etc/passwd",
        "/js/....//....//app.py",
        "/" + "a" * 30_000,
    ):
        yield Case(f"file {path[:30]}", http("GET", path), may_close=len(path) > 9999)
    for number in ("0", "-1", "9" * 30, "9" * 5000, "1e3", "%D9%A3", "1%00", "1/../2", "0x1", "1.5", "999999"):
        yield Case(f"example {number[:9]}", http("DELETE", f"{TEACH}/{number}"))
        yield Case(f"picture of {number[:9]}", http("GET", f"{TEACH}/{number}/thumbnail"))
    for query in (
        "info?at=-1",
        "info?at=0",
        "info?at=" + "9" * 30,
        "info?at=x",
        "history?before=0",
        "history?limit=0",
        "history?limit=1001",
        "examples?limit=-1",
        "examples?after=x",
        "export?format=../../x",
        "export?format=pickle",
        "examples?label=" + "a" * 257,
    ):
        yield Case(f"query {query[:24]}", http("GET", f"{VECTORS}/{query}"))
    for query in ("source=" + "a" * 1025, "teacher=" + "a" * 257, "label=" + "a" * 257, "again=maybe", "width=0"):
        lesson = {"vectors": [RIGHT], "labels": ["a"]}
        yield Case(f"lesson with {query[:24]}", posting(f"{TEACH}?{query}", lesson))
    for to in (
        -1,
        10**30,
        "yesterday",
        "0000-00-00T00:00:00Z",
        "9" * 1000,
        1.5,
        None,
        True,
        "2026-11-21",
        "1900-01-01T00:00:00Z",
    ):
        yield Case(f"back to {str(to)[:12]}", posting(f"{VECTORS}:rollback", {"to": to}))
