"""What hostile clients send, as cases: pictures and forms that lie, and zips that are traps."""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hostile_wire import (
    MELD,
    PICTURES,
    TEACH,
    Answer,
    Case,
    Entry,
    bmp,
    form,
    gif,
    http,
    jpeg,
    png,
    posting,
    webp,
    zeros,
    zipped,
)
from served_things import picture


def pictures() -> Iterator[Case]:
    """Bombs, lies, halves, and files of several kinds at once."""
    black = zlib.compress(bytes(10_001 * 10_000), 9)
    text_bomb = zlib.compress(bytes(80_000_000), 9)
    files: dict[str, bytes] = {
        "a bomb of 10^8 pixels": png(10_000, 10_000, black),
        "a claim of 10^10 pixels": png(100_000, 100_000),
        "a claim of 2^62 pixels": png(2**31 - 1, 2**31 - 1),
        "no pixels": png(0, 0),
        "negative size": png(2**32 - 1, 1),
        "a GIF of 65535 x 65535": gif(65535, 65535),
        "a GIF whose frame is larger than itself": gif(1, 1, (65535, 65535)),
        "a WebP of 16384 x 16384": webp(16384, 16384),
        "a JPEG of 65500 x 65500": jpeg(65500, 65500),
        "a BMP of 100000 x 100000": bmp(100_000, 100_000),
        "a BMP of negative size": bmp(-100_000, 2**31 - 1),
        "wrong check sums": png(8, 8, zlib.compress(bytes(72)), broken=True),
        "text that unpacks to 80 MB": png(8, 8, zlib.compress(bytes(72)), (b"zTXt", b"a\0\0" + text_bomb)),
        "a picture without data": png(8, 8),
        "data that are no data": png(64, 64, b"\xff" * 99),
        "too little data": png(64, 64, zlib.compress(bytes(99))),
        "nothing": b"",
        "one byte": b"\x89",
        "HTML": b"<!doctype html><script>alert(1)</script>",
        "an SVG that reads files": b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
        "a PDF": b"%PDF-1.7\n1 0 obj<<>>endobj",
        "a zip": zipped(Entry("a.png", picture((1, 2, 3)))),
        "HTML before a PNG": b"<script>alert(1)</script>" + picture((1, 2, 3)),
        "a zip before a PNG": zipped(Entry("a", b"a")) + picture((1, 2, 3)),
        "noise": random.Random(0).randbytes(5000),
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "a FITS": b"SIMPLE  =                    T" + b" " * 2850,
    }
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP"):
        whole = picture((200, 30, 30), kind=kind)
        for share in (0.1, 0.5, 0.9):
            files[f"{share:.0%} of a {kind}"] = whole[: int(share * len(whole))]
    for name, file in files.items():
        yield Case(f"picture to learn: {name}", http("POST", f"{PICTURES}/examples?label=red", file, "image/png"))
        yield Case(f"picture to tell: {name}", http("POST", f"{PICTURES}/predict", file, "image/png"))
    encoded = base64.b64encode(files["a bomb of 10^8 pixels"]).decode()
    for images in ([encoded], ["no base64"], [encoded[:-3]], [""], ["data:image/png;base64," + encoded]):
        yield Case(
            f"pictures in JSON: {images[0][:16]}", posting(f"{PICTURES}/examples", {"images": images, "label": "a"})
        )
    yield Case("pictures to a brain of vectors", http("POST", f"{TEACH}?label=a", picture((1, 2, 3)), "image/png"))


def forms() -> Iterator[Case]:
    """Uploads that are malformed, too many, or named like paths."""
    fine = picture((200, 30, 30))
    large = png(8000, 4000, zlib.compress(bytes(8001 * 4000), 9))
    label = ("label", None, b"red")
    bodies: dict[str, tuple[bytes, str]] = {
        "a bomb": form([("images", "a.png", png(10_000, 10_000)), label]),
        "many that are large together": form([*[("images", "a.png", large)] * 3, label]),
        "257 files": form([*[("images", "a.png", fine[:50])] * 257, label]),
        "10000 fields": form([("images", "a.png", fine), *[label] * 10_000]),
        "a field of 1 MB": form([("images", "a.png", fine), ("label", None, b"a" * 2**20)]),
        "no file": form([label]),
        "a file of another name": form([("../../x", "a.png", fine), label]),
        "a file that is a path and no picture": form([("images", "../../../etc/passwd", b"root"), label]),
        "no label": form([("images", "a.png", fine)]),
        "two labels for one file": form([("images", "a.png", fine), label, label]),
        "no boundary": (form([("images", "a.png", fine), label])[0], "multipart/form-data"),
        "another boundary": (form([("images", "a.png", fine), label])[0], "multipart/form-data; boundary=x"),
        "a boundary of 10 kB": form([("images", "a.png", fine[:50]), label], "x" * 10_000),
        "no end": (form([("images", "a.png", fine), label])[0][:-12], "multipart/form-data; boundary=edge"),
        "nothing": (b"", "multipart/form-data; boundary=edge"),
        "a header without end": (
            b"--edge\r\nContent-Disposition: " + b"a" * 10**6,
            "multipart/form-data; boundary=edge",
        ),
        "10^5 headers": (
            b"--edge\r\n" + b"A: b\r\n" * 10**5 + b"\r\nx\r\n--edge--\r\n",
            "multipart/form-data; boundary=edge",
        ),
    }
    for name, (body, kind) in bodies.items():
        yield Case(f"form: {name}", http("POST", f"{PICTURES}/examples", body, kind))


def packed(folder: Path) -> bytes:
    """A brain's folder as a zip."""
    return zipped(*[Entry(name, content) for name, content in _files(folder).items()])


def _files(folder: Path) -> dict[str, bytes]:
    found = {str(file.relative_to(folder)): file for file in sorted(folder.rglob("*")) if file.is_file()}
    aside = ("lock", ".mark", "-wal", "-shm")
    return {name: file.read_bytes() for name, file in found.items() if not name.endswith(aside)}


def _as_it_was(answer: Answer) -> bool:
    """A bit that means nothing, or of what is told elsewhere: the brain is known, and nothing may be new in it."""
    return answer.status == 200 and b'"changed":0' in answer.content


def _bombs(whole: list[Entry]) -> dict[str, bytes]:
    """Small zips that unpack to a gigabyte or more."""
    manifest_bomb = zeros("manifest.json", 1024)
    return {
        "3 GB in three files": zipped(*[replace(manifest_bomb, name=f"slot-{i}") for i in range(3)]),
        "a manifest of 1 GB": zipped(manifest_bomb),
        "a manifest of 1 GB that claims 10 bytes": zipped(replace(manifest_bomb, size=10)),
        "a log of 1 GB": zipped(
            *[e for e in whole if e.name != "log.sqlite"], replace(manifest_bomb, name="log.sqlite")
        ),
    }


def zips(folder: Path, *, heavy: bool = True) -> Iterator[Case]:
    """Brains to be melded that are none; `folder` is one that is, and was melded before. `heavy`: those of a GB too."""
    real = _files(folder)
    whole = [Entry(name, content) for name, content in real.items()]

    def but(name: str, content: bytes) -> bytes:
        return zipped(*[Entry(name, content) if entry.name == name else entry for entry in whole])

    made: dict[str, bytes] = {}
    if heavy:
        made |= _bombs(whole)
    manifest = json.loads(real["manifest.json"])
    made |= {
        "a path upwards": zipped(*whole, Entry("../../evil", b"x")),
        "an absolute path": zipped(*whole, Entry("/etc/evil", b"x")),
        "a path within a name": zipped(*whole, Entry("slot-../../evil", b"x")),
        "a Windows path": zipped(*whole, Entry("..\\evil", b"x")),
        "a drive": zipped(*whole, Entry("C:\\evil", b"x")),
        "a link": zipped(*whole, Entry("slot-a", b"/etc/passwd", mode=0o120777)),
        "a device": zipped(*whole, Entry("slot-a", b"", mode=0o020666)),
        "NUL in a name": zipped(*whole, Entry("slot-\0/../x", b"x")),
        "twice the same name": zipped(*whole, *whole),
        "an unknown method": zipped(*whole, Entry("slot-a", b"x", method=99)),
        "encrypted": zipped(*whole, Entry("slot-a", b"x", flags=1)),
        "10001 files": zipped(*[Entry(f"slot-{i}") for i in range(10_001)]),
        "a name of 60 kB": zipped(Entry("a" * 60_000)),
        "nothing in it": zipped(),
        "half": zipped(*whole)[: len(zipped(*whole)) // 2],
        "no zip": b"PK" + bytes(99),
        "nothing": b"",
        "a file more": zipped(*whole, Entry("evil.py", b"import os")),
        "no manifest": zipped(
            *whole[:-1] if whole[-1].name == "manifest.json" else [e for e in whole if e.name != "manifest.json"]
        ),
        "no log": zipped(*[e for e in whole if e.name != "log.sqlite"]),
        "a deep folder": zipped(Entry("a/" * 500 + "x", b"x")),
        "a picture before a zip": picture((1, 2, 3)) + zipped(Entry("a", b"b")),
        "a list as manifest": but("manifest.json", b"[]"),
        "deep JSON as manifest": but("manifest.json", b"[" * 10**6),
        "noise as log": but("log.sqlite", random.Random(1).randbytes(9999)),
        "half a log": but("log.sqlite", real["log.sqlite"][: len(real["log.sqlite"]) // 2]),
        "an empty log": but("log.sqlite", b""),
        "a manifest that points out": but(
            "manifest.json",
            json.dumps(manifest | {"files": {"../../etc/passwd": {"sha256": "0" * 64, "bytes": 9}}}).encode(),
        ),
        "a manifest of a later version": but("manifest.json", json.dumps(manifest | {"version": 10**9}).encode()),
        "a manifest with huge sizes": but(
            "manifest.json",
            json.dumps(
                manifest | {"files": {name: {"sha256": "0" * 64, "bytes": 2**62} for name in manifest["files"]}}
            ).encode(),
        ),
    }
    rng = random.Random(2)
    for name, content in real.items():
        for _ in range(3):
            place = rng.randrange(len(content))
            turned = bytes([content[place] ^ 1 << rng.randrange(8)])
            made[f"a bit of {name} turned at {place}"] = but(name, content[:place] + turned + content[place + 1 :])
    for name, content in made.items():
        same = _as_it_was if "turned" in name else None
        yield Case(f"zip: {name}", http("POST", MELD, content, "application/zip"), patience=120, harmless=same)
    body, kind = form([("brain", "a.zip", zipped(Entry("manifest.json", b"{}")))])
    yield Case("zip in a form", http("POST", MELD, body, kind))
    body, kind = form([("brain", None, b"no file")])
    yield Case("no file in a form", http("POST", MELD, body, kind))
    for name in ("../x", "nosuch", "", "a" * 65):
        yield Case(f"meld {name[:9]!r}", posting(MELD, {"brain": name}))
