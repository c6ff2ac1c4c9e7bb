"""Who may do what: named tokens with a scope, of which only the SHA-256 is kept.

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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from engram.learner import InputError

Scope = Literal["read", "teach", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each may do what those before it may."""

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_LOOK_AGAIN = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the file holds it.

    Attributes:
        name: whose it is; the teacher in the history.
        scope: what it may do.
        sha256: of the token itself, in hexadecimal.
    """

    name: str
    scope: Scope
    sha256: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends a request: the name of the token, None where none are needed; and what it may do."""

    name: str | None
    scope: Scope

    def may(self, scope: Scope) -> bool:
        """
        >>> Caller("ada", "teach").may("read"), Caller("ada", "teach").may("admin")
        (True, False)
        """
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


EVERYONE = Caller(None, "admin")


class Tokens:
    """The tokens in a file; a change of the file is noticed within a second."""

    def __init__(self, file: Path) -> None:
        self.file = file
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
                found = Caller(token.name, token.scope)
        return found

    def _look_again(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_AGAIN:
            return
        self._looked = now
        stamp = self._stamped()
        if stamp != self._stamp:
            self._tokens, self._stamp = (read_tokens(self.file) if stamp else []), stamp

    def _stamped(self) -> tuple[int, int, int] | None:
        try:
            found = self.file.stat()
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size)


def read_tokens(file: Path) -> list[Token]:
    """The tokens in a file.

    Raises:
        InputError: no such file, not one of tokens, or others than its owner may change it.
    """
    try:
        if os.name == "posix" and file.stat().st_mode & 0o022:
            raise InputError(f"Others may change {file}: chmod 600 it.")
        entries = json.loads(file.read_text(encoding="utf-8"))["tokens"]
        tokens = [Token(str(entry["name"]), entry["scope"], str(entry["sha256"])) for entry in entries]
        if not all(token.scope in SCOPES and re.fullmatch("[0-9a-f]{64}", token.sha256) for token in tokens):
            raise InputError(f"{file} holds a token without a proper scope or SHA-256.")
    except OSError as error:
        raise InputError(f"Cannot read the tokens in {file}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file} is not a file of tokens: engram token add FILE NAME makes one.") from error
    return tokens


def add_token(file: Path, name: str, scope: str) -> str:
    """Make a token; it is shown this once and cannot be had again.

    Raises:
        InputError: the name is taken or cannot be used, or there is no such scope.
    """
    if scope not in SCOPES:
        raise InputError(f"There is no scope {scope!r}: choose read, teach or admin.")
    if not _NAME.fullmatch(name):
        raise InputError("A token's name has 1 to 64 characters, none of them a control character.")
    tokens = read_tokens(file) if file.exists() else []
    if any(token.name == name for token in tokens):
        raise InputError(f"{file} has a token {name!r} already: remove it first.")
    secret = "engram_" + secrets.token_urlsafe(32)
    _write(file, [*tokens, Token(name, scope, hashlib.sha256(secret.encode()).hexdigest())])
    return secret


def remove_token(file: Path, name: str) -> None:
    """Take a token back. Raises InputError where there is none of that name."""
    tokens = read_tokens(file)
    left = [token for token in tokens if token.name != name]
    if len(left) == len(tokens):
        raise InputError(f"{file} has no token {name!r}; there are {', '.join(t.name for t in tokens) or 'none'}.")
    _write(file, left)


def _write(file: Path, tokens: list[Token]) -> None:
    content = json.dumps({"tokens": [asdict(token) for token in tokens]}, indent=1, ensure_ascii=False) + "\n"
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
