"""What is kept of the past: buffers of exemplars, in numpy alone."""

from engram.networks.memory.buffer import Buffer, ClassBalanced, Reservoir

__all__ = ["Buffer", "ClassBalanced", "Reservoir"]
