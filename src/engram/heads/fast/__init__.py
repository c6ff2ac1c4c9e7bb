"""The recommended head, "fast", and its parts: what is kept, how it is read, what is refused."""

from engram.heads.fast.fast_head import FastHead

__all__ = ["FastHead"]
