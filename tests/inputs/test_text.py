"""Texts are checked at the door."""

import pytest

from engram.inputs.text import LENGTH_LIMIT, as_texts
from engram.learner import InputError


def test_composed_and_decomposed_letters_are_the_same_text() -> None:
    assert as_texts(["café", "cafe\u0301"]) == ["café", "café"]


@pytest.mark.parametrize("bad", [[], "", "  \n", ["fine", ""], b"bytes", 3, [3], [None], ["x" * (LENGTH_LIMIT + 1)]])
def test_what_is_not_text_is_refused(bad: object) -> None:
    with pytest.raises(InputError):
        as_texts(bad)
