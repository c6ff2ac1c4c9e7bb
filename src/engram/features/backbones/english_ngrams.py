"""Hashed n-grams with statistics of English requests: what they have in common counts less from one example on.

To `HashedNgrams` by itself, "the" and "what is" are as telling as "jazz", until a head has seen enough to know better.
The statistics come with Engram; `data/english-ngrams/card.json` says on what they were measured.
"""

from __future__ import annotations

from functools import lru_cache

from engram.features.backbones.bundle import Bundle
from engram.features.backbones.bundle_folder import packaged_folder
from engram.features.backbones.compact_statistics import read_statistics
from engram.features.backbones.hashed_ngrams import HashedNgrams

NAME = "english-ngrams"


@lru_cache(maxsize=1)
def english_ngrams() -> Bundle:
    """The backbone with its statistics, as `Brain("english-ngrams")` opens it: 1024 features of a text.

    >>> bundle = english_ngrams()
    >>> bundle.width, bundle.takes, bundle.covariance.shape
    (1024, 'text', (1024, 1024))
    """
    mean, covariance, freedom = read_statistics(packaged_folder() / NAME / "statistics.safetensors")
    return Bundle(HashedNgrams(name=NAME), mean, covariance, freedom=freedom)
