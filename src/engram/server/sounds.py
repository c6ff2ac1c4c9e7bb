"""Sounds at the door: how many samples, told from their headers before anything is decoded."""

from __future__ import annotations

from collections.abc import Sequence

from engram.inputs.sounds import VALUES_LIMIT, count_values
from engram.server.problems import Refusal


def count_samples(sounds: Sequence[bytes], together: int) -> int:
    """Samples of all channels of all sounds. Raises InputError for what is no sound, Refusal where there are too many.

    Args:
        together: the most of all of them; of one, `VALUES_LIMIT`.
    """
    total = 0
    for place, sound in enumerate(sounds, 1):
        values = count_values(sound, f"Sound {place}")
        if values > VALUES_LIMIT:
            raise Refusal("too-large", f"Sound {place} has {values:,} samples, but at most {VALUES_LIMIT:,} are"
                                       " allowed: cut it into pieces.")
        total += values
        if total > together:
            raise Refusal("too-large", f"These sounds have more than {together:,} samples together: send fewer at"
                                       " once.")
    return total
