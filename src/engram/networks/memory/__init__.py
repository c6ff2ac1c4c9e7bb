"""What is kept of the past: buffers of exemplars, in numpy alone."""

from engram.networks.memory.buffer import Buffer, Reservoir
from engram.networks.memory.class_balanced import ClassBalanced

__all__ = ["Buffer", "ClassBalanced", "Reservoir"]
