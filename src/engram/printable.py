"""Text that others wrote, made safe to print: a label, a teacher, a file's name, a message that quotes them.

A terminal obeys control characters: they can move the cursor, rename the window or hide what was said (CWE-150).
Characters that turn the direction of text can show another order than the one that is there (Unicode UTS #39).
"""

from __future__ import annotations

import json
import re

_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_INVISIBLE = r"\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_UNSAFE = re.compile(f"[{_CONTROLS}{_INVISIBLE}\ud800-\udfff]")


def printable(text: str, encoding: str | None = "utf-8") -> str:
    r"""One line of text in which every unsafe character, line breaks among them, is written as an escape.

    Args:
        text: any; it may hold lone surrogates, as names of files do that are not UTF-8.
        encoding: of the stream; what it cannot hold is written as an escape too. None counts as ASCII.

    >>> printable("cat\x1b[2J\n"), printable("caf\udce9"), printable("déjà – vu", "latin-1")
    ('cat\\x1b[2J\\n', 'caf\\xe9', 'déjà \\u2013 vu')
    """
    if text.isascii() and text.isprintable():
        return text
    encoding = encoding or "ascii"
    return _UNSAFE.sub(_escape, text).encode(encoding, "backslashreplace").decode(encoding)


def printable_json(document: str, encoding: str | None = "utf-8") -> str:
    r"""A JSON document of the same meaning that is safe to print.

    >>> printable_json('{"label": "\x9b2J–"}'), printable_json('["–"]', "ascii")
    ('{"label": "\\u009b2J–"}', '["\\u2013"]')
    """
    safe = _UNSAFE.sub(lambda found: found[0] if found[0] == "\n" else _json_escape(found), document)
    try:
        safe.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return re.sub(r"[^\x00-\x7f]", _json_escape, safe)
    return safe


_LONGEST = 1000  # characters of a message: what it quotes of an input may be a whole file


def abridged(message: str) -> str:
    """A message without its middle, where it is long because it quotes an input; its end says what to do.

    >>> len(abridged("x" * 5000)), abridged("a short one")
    (931, 'a short one')
    """
    if len(message) <= _LONGEST:
        return message
    return f"{message[:600]} … {len(message) - 900:,} characters left out … {message[-300:]}"


def from_file_name(name: str) -> str:
    r"""The name of a file or folder as text that every file can hold: bytes that are not UTF-8 as `\xe9`.

    Python gives such a byte as a lone surrogate (PEP 383), which is not text.

    >>> from_file_name("caf\udce9"), from_file_name("café")
    ('caf\\xe9', 'café')
    """
    if name.isascii():
        return name
    return re.sub("[\ud800-\udfff]", _escape, name)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return found[0].encode("unicode_escape").decode()


def _json_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1] if found[0] != "\x7f" else "\\u007f"
