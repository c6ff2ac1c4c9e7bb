"""What is kept of the past: buffers of exemplars, in numpy alone."""
