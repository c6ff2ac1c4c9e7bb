"""What a caller over HTTP is told to do, where an error advises what is done in Python or in the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

ADVICE: Sequence[tuple[str, str]] = (
    (r", such as frame\[.*?\]\.$", ": in 'columns', and the values of each vector likewise."),
    (r"; a new brain, Brain\(.*\), (?:takes this one|keeps it)\.",
     "; create another brain, and teach it an example like this one first."),
    (r"To teach what something is not: brain\.learn_not, or engram teach --not\.",
     "To teach what something is not, send 'not': true."),
    (r"In Python, Path\(.*\) stands for what is in the file\.", "Send the texts that are in the file."),
    (r"\(engram rollback\)", "(POST …:rollback)"),
)
"""Pattern of advice, and what is said in its place."""

MEANT: Mapping[str, str] = {
    "text": "'texts', a list", "sentence": "'texts', a list", "sentences": "'texts', a list",
    "image": "'images', a list of base64", "picture": "'images', a list of base64",
    "pictures": "'images', a list of base64", "vector": "'vectors', a list of lists of numbers",
    "rows": "'vectors', a list of lists of numbers, and the names of their columns as 'columns'",
    "table": "'vectors', a list of lists of numbers, and the names of their columns as 'columns'",
    "frame": "'vectors', a list of lists of numbers, and the names of their columns as 'columns'",
    "target": "'label', or 'labels' with one for each input", "targets": "'labels', one for each input",
}
"""A field that is often sent -> what it is called."""


def over_http(message: str) -> str:
    """The message with advice that can be followed over HTTP.

    >>> over_http("Example 5 was undone: reverse the undo first (engram rollback).")
    'Example 5 was undone: reverse the undo first (POST …:rollback).'
    """
    for pattern, instead in ADVICE:
        message = re.sub(pattern, instead, message)
    return message


def of_field(name: str) -> str:
    """What to say of a field that no request has.

    >>> of_field("text")
    "there is no such field: send it as 'texts', a list."
    """
    meant = MEANT.get(name.lower())
    return f"there is no such field: send it as {meant}." if meant else "there is no such field: leave it away."


def for_texts(name: str) -> str:
    """How a brain for text is made. The brain of this name has no backbone yet, or another one."""
    return ('Create a brain for text: POST /v1/brains {"name": "' + name + '-texts", "backbone": "english-ngrams"}.')
