"""What is kept of the past: buffers of exemplars, in numpy alone."""

from engram.memory.buffer import Buffer
from engram.memory.class_balanced import ClassBalanced
from engram.memory.reservoir import Reservoir

__all__ = ["Buffer", "ClassBalanced", "Reservoir"]
