"""The heads that are compared, each ready for the features of one bundle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from engram.features.backbones.bundle import Bundle
from engram.heads import HEADS, make
from engram.heads.fast import FastHead
from engram.heads.head import Head

RECOMMENDED = "fast"


def fast_head(bundle: Bundle, **options: Any) -> FastHead:
    """The recommended head with the bundle's own statistics."""
    return FastHead(bundle.mean, bundle.covariance, step=bundle.step, normalise=bundle.normalise,
                    scaled=bundle.scaled, units=bundle.units, freedom=bundle.freedom, measured=bundle.measured,
                    **options)


def contenders(bundle: Bundle, without: tuple[str, ...] = ()) -> dict[str, Callable[[], Head]]:
    """Name -> maker of every head, the recommended one first, the others with their own default settings.

    Beside the recommended head stands the same head without the bundle's statistics, which shows what those
    are worth, and with its prototypes as read-out.
    """
    made: dict[str, Callable[[], Head]] = {
        RECOMMENDED: lambda: fast_head(bundle),
        "fast, by prototypes": lambda: fast_head(bundle, readout="prototypes"),
        "fast, no statistics": lambda: FastHead(step=bundle.step, normalise=bundle.normalise, scaled=bundle.scaled),
    }
    made |= {name: partial(make, name, normalise=bundle.normalise) for name in HEADS if name != RECOMMENDED}
    return {name: maker for name, maker in made.items() if name not in without}
