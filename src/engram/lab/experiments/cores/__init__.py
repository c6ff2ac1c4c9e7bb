"""Cores for streams, measured beside trivial rivals."""
