"""What is kept of the past: buffers of exemplars, in numpy alone."""

from engram.networks.memory.buffer import Buffer
from engram.networks.memory.class_balanced import ClassBalanced
from engram.networks.memory.reservoir import Reservoir

__all__ = ["Buffer", "ClassBalanced", "Reservoir"]
