"""How a slow network learns for a lifetime: one method, one file."""

from engram.extras import check

check("A learner that trains a network", "train")
