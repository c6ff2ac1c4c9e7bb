"""Numbers too small to matter, taken for 0: weights that fade on their way there would slow everything down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

DENORMAL = 1e-40  # of float32


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Denormal numbers, which are very slow on many processors, are 0 here; afterwards the thread is as it was.

    >>> with denormals_flushed():
    ...     (torch.tensor(1e-40) * 1).item()
    0.0
    """
    flushed_already = (torch.full((), DENORMAL) * 1).item() == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed_already)
