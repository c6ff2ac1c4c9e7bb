"""One file over HTTP: resumed where it stopped, held to its size and SHA-256, there whole or not at all."""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from engram.files import create, make_folder, put_in_place
from engram.learner import DamagedError, InputError
from engram.progress import Progress

CHUNK = 1 << 18
HOPS = 5
TIMEOUT = 30.0
"""Seconds without a single byte after which a server counts as gone."""

SHA256 = re.compile(r"[0-9a-f]{64}")
LINKED_ETAG, LINKED_SIZE = "X-Linked-Etag", "X-Linked-Size"
"""Headers by which a large-file host says, before it redirects, what the file's SHA-256 and size are."""


class Source(NamedTuple):
    """Where the bytes finally are, and what the first server promised of them."""

    url: str
    sha256: str | None
    size: int | None


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None,
    limit: int,
    timeout: float = TIMEOUT,
    progress: Progress | None = None,
) -> str:
    """Fetch a file to `path` and return its SHA-256. What came before an interruption stays in `path` + ".part".

    Args:
        url: http or https; from https it is never redirected to http.
        path: where it goes.
        sha256: what the content must have; None takes what the server publishes in X-Linked-Etag.
        limit: bytes; a larger file is refused.
        timeout: seconds without a byte.
        progress: see Progress.

    Raises:
        InputError: no connection, no such file, too large, no checksum published, or the connection ended early:
            the same call goes on where it stopped.
        DamagedError: the content has another checksum; nothing of it is kept.
    """
    source = _found(url, timeout)
    wanted = sha256 or source.sha256
    if wanted is None:
        raise InputError(f"{_host(url)} publishes no SHA-256 of {path.name}: it was not fetched.")
    if source.size is not None and source.size > limit:
        raise InputError(f"{path.name} has {source.size:,} bytes, more than the {limit:,} that are allowed.")
    make_folder(path.parent)
    part = path.with_name(path.name + ".part")
    _fetch(source, part, limit, timeout, progress)
    measured = _sha256(part)
    if measured != wanted:
        part.unlink()
        raise DamagedError(f"{path.name} from {_host(url)} has another SHA-256 than {wanted}: nothing of it was kept.")
    put_in_place(part, path)
    return measured


class _Stay(urllib.request.HTTPRedirectHandler):
    """Leaves a redirection to us: its own headers say what the file is."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def _found(url: str, timeout: float) -> Source:
    """Follow redirections by HEAD, and remember what each server on the way says of the file."""
    sha256, size = None, None
    for _ in range(HOPS):
        status, headers = _headers(url, timeout)
        etag = (headers.get(LINKED_ETAG) or "").removeprefix("W/").strip('"').lower()
        sha256 = sha256 or (etag if SHA256.fullmatch(etag) else None)
        size = size if size is not None else _number(headers.get(LINKED_SIZE))
        if not 300 <= status < 400:
            return Source(url, sha256, size if size is not None else _number(headers.get("Content-Length")))
        target = urljoin(url, headers.get("Location") or "")
        if urlsplit(target).scheme not in ("http", "https") or (url.startswith("https:") and target[:6] != "https:"):
            raise InputError(f"{_host(url)} redirects to {target}, which is not safe to follow.")
        url = target
    raise InputError(f"{_host(url)} redirects more than {HOPS} times.")


def _headers(url: str, timeout: float) -> tuple[int, Message]:
    try:
        with _open(url, timeout, {}, "HEAD") as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        if 300 <= error.code < 400:
            return error.code, error.headers
        raise _refused(url, error) from error


def _fetch(source: Source, part: Path, limit: int, timeout: float, progress: Progress | None) -> None:
    """Append to `part` until it is whole."""
    have = part.stat().st_size if part.exists() else 0
    if source.size is not None and have >= source.size:
        if have == source.size:
            return
        part.unlink()
        have = 0
    asked = {"Range": f"bytes={have}-"} if have else {}
    try:
        with _open(source.url, timeout, asked) as answer:
            goes_on = have and answer.status == 206 and _start(answer.headers) == have
            have = have if goes_on else 0
            total = _total(answer.headers, have, source.size)
            create(part)
            with part.open("ab" if goes_on else "wb") as file:
                have = _copy(answer, file, have, total, limit, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is there is not the beginning of what the server has
            part.unlink(missing_ok=True)
        raise _refused(source.url, error) from error
    except (TimeoutError, HTTPException, ConnectionError) as error:
        raise _ended(part) from error
    if total is not None and have < total:
        raise _ended(part)


def _copy(answer: Any, file: IO[bytes], have: int, total: int | None, limit: int, progress: Progress | None) -> int:
    while chunk := answer.read(CHUNK):
        have += len(chunk)
        if have > limit:
            file.truncate(0)
            raise InputError(f"The file has more than the {limit:,} bytes that are allowed.")
        file.write(chunk)
        if progress is not None:
            progress(have, total)
    return have


def _open(url: str, timeout: float, headers: dict[str, str], method: str = "GET") -> Any:
    request = urllib.request.Request(url, headers={"User-Agent": "engram", **headers}, method=method)
    try:
        return _OPENER.open(request, timeout=timeout)
    except urllib.error.HTTPError:
        raise
    except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"No connection to {_host(url)} ({reason}): check the network, or fetch the file elsewhere and "
            "use `engram backbone import`."
        ) from error


def _refused(url: str, error: urllib.error.HTTPError) -> InputError:
    meaning = {401: "it asks for a login", 403: "it forbids it", 404: "there is no such file", 416: "begin again"}
    return InputError(f"{_host(url)} answers {error.code} ({meaning.get(error.code, error.reason)}) for {url}.")


def _ended(part: Path) -> InputError:
    have = part.stat().st_size if part.exists() else 0
    return InputError(f"The connection ended after {have:,} bytes: the same command goes on from there.")


def _start(headers: Message) -> int | None:
    """Where a partial answer begins."""
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range") or "")
    return int(found[1]) if found else None


def _total(headers: Message, have: int, size: int | None) -> int | None:
    length = _number(headers.get("Content-Length"))
    return size if length is None else have + length


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
