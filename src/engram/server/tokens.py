"""A file of tokens: names with scopes and brains, of whose secrets only the SHA-256 is kept.

A token is 256 random bits, so that nothing can be gained by trying all of them: a plain hash is enough, and a slow one
would only slow down every request (NIST SP 800-63B, section 5.1.4.2, on look-up secrets).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engram.files import sync_folder, write_atomically
from engram.learner import InputError
from engram.server.scopes import SCOPES, Caller, Scope

EARLIER: Mapping[str, Scope] = {"read": "ask", "teach": "correct", "admin": "admin"}
"""What the scopes of files without `scopes`, written by earlier versions, allow today: never more than then."""

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_LOOK_AGAIN = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the file holds it.

    Attributes:
        name: whose it is; the teacher in the history.
        scopes: what it may do.
        brains: the brains it is bound to; None for every brain.
        sha256: of the token itself, in hexadecimal.
    """

    name: str
    scopes: tuple[Scope, ...]
    brains: tuple[str, ...] | None
    sha256: str


class Tokens:
    """The tokens in a file; a change of the file is noticed within a second.

    A file that cannot be read any more lets nobody in.

    Args:
        file: the file.
        told: called with what is wrong with the file whenever that changes; with None once it can be read again.

    Attributes:
        problem: why the file could not be read when it was looked at last; None where it could.

    Raises:
        InputError: the file is none of tokens, to begin with.
    """

    def __init__(self, file: Path, told: Callable[[str | None], None] = lambda problem: None) -> None:
        self.file = file
        self.problem: str | None = None
        self._told = told
        self._stamp = self._stamped()
        self._tokens = read_tokens(file)
        self._looked = time.monotonic()

    def caller(self, secret: str) -> Caller | None:
        """Whose token this is; None if nobody's. Every token is compared, in constant time."""
        self._look_again()
        digest = hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.sha256, digest):
                found = Caller(token.name, token.scopes, token.brains)
        return found

    def _look_again(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_AGAIN:
            return
        self._looked = now
        stamp = self._stamped()
        if stamp == self._stamp and stamp is not None:
            return
        try:
            tokens, problem = read_tokens(self.file), None
        except InputError as error:
            tokens, problem = [], str(error)
        self._tokens, self._stamp = tokens, stamp
        if problem != self.problem:
            self.problem = problem
            self._told(problem)

    def _stamped(self) -> tuple[int, ...] | None:
        try:
            found = self.file.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino, found.st_size, found.st_mode)


def read_tokens(file: Path) -> list[Token]:
    """The tokens in a file.

    Raises:
        InputError: no such file, not one of tokens, or others than its owner may change it.
    """
    try:
        if os.name == "posix" and file.stat().st_mode & 0o022:
            raise InputError(f"{file} can be changed by other users: run chmod 600 {file}.")
        return [_token(file, entry) for entry in json.loads(file.read_text(encoding="utf-8"))["tokens"]]
    except OSError as error:
        raise InputError(f"Cannot read the tokens in {file}: {error.strerror}.") from error
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{file} is not a token file: engram token add FILE NAME creates one.") from error


def _token(file: Path, entry: Mapping[str, Any]) -> Token:
    """One entry of the file. Raises InputError for a scope or a hash that is none."""
    name, given, brains = str(entry["name"]), entry.get("scopes"), entry.get("brains")
    scopes = [EARLIER.get(entry["scope"], entry["scope"])] if given is None else given
    if not isinstance(scopes, list) or not scopes or any(scope not in SCOPES for scope in scopes):
        raise InputError(f"{file}: the scopes of {name!r} must be a list of some of {', '.join(SCOPES)}.")
    if not re.fullmatch("[0-9a-f]{64}", str(entry["sha256"])):
        raise InputError(f"{file}: {name!r} has no SHA-256: delete the entry, and add the token anew.")
    if brains is not None and not (isinstance(brains, list) and all(isinstance(brain, str) for brain in brains)):
        raise InputError(f"{file}: the brains of {name!r} must be a list of names, or null for every brain.")
    return Token(name, tuple(scopes), None if brains is None else tuple(brains), str(entry["sha256"]))


def add_token(file: Path, name: str, *scopes: str, brains: Iterable[str] | None = None) -> str:
    """Make a token; it is shown this once and cannot be had again.

    Args:
        name: whose it is.
        scopes: what it may do; at least one.
        brains: the brains it is bound to; None for every brain.

    Raises:
        InputError: the name is taken or cannot be used, or there is no such scope.
    """
    if "read" in scopes:
        raise InputError("The scope 'read' was replaced: 'ask' predicts; 'export' also sees and downloads everything.")
    chosen = [scope for scope in SCOPES if scope in scopes]
    if not chosen or set(scopes) - set(chosen):
        wrong = ", ".join(repr(scope) for scope in scopes if scope not in SCOPES) or "given"
        raise InputError(f"Unknown scope {wrong}. Choose one or more of {', '.join(SCOPES)}.")
    if not _NAME.fullmatch(name):
        raise InputError("A token's name must have 1 to 64 characters and no control characters.")
    bound = None if brains is None else tuple(dict.fromkeys(brains))
    tokens = read_tokens(file) if file.exists() else []
    if any(token.name == name for token in tokens):
        raise InputError(f"{file} has a token {name!r} already: remove it first.")
    secret = "engram_" + secrets.token_urlsafe(32)
    _write(file, [*tokens, Token(name, tuple(chosen), bound, hashlib.sha256(secret.encode()).hexdigest())])
    return secret


def remove_token(file: Path, name: str) -> None:
    """Take a token back. Raises InputError where there is none of that name."""
    tokens = read_tokens(file)
    left = [token for token in tokens if token.name != name]
    if len(left) == len(tokens):
        raise InputError(f"{file} has no token {name!r}; there are {', '.join(t.name for t in tokens) or 'none'}.")
    _write(file, left)


def _write(file: Path, tokens: Sequence[Token]) -> None:
    content = json.dumps({"tokens": [asdict(token) for token in tokens]}, indent=1, ensure_ascii=False) + "\n"
    write_atomically(file, content.encode())
    sync_folder(file.resolve().parent)  # a revoked token stays revoked through a power cut
