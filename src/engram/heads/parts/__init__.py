"""Good parts alone: a Gaussian for each label and each place of a map, from exact sums."""

from engram.heads.parts.good_parts import GoodParts

__all__ = ["GoodParts"]
