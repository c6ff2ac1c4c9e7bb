"""A backbone turns inputs into feature vectors, always the same way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from engram.learner import DamagedError, InputError
from engram.progress import Progress

Features = npt.NDArray[np.float32]
Takes = Literal["pictures", "sound", "vectors", "text", "sequences"]
"""What a backbone works on: a brain then finds the single ones in whatever it is given, such as a folder."""

Pool = Literal["average", "first"]
"""What becomes of (N, T, D) tokens: their average, or the first (the class token)."""

Item = TypeVar("Item")
Made = TypeVar("Made")


@runtime_checkable
class Backbone(Protocol):
    """Inputs -> (N, D) float32.

    Attributes:
        name: what people call it; not part of the fingerprint.
        width: D.
        fingerprint: SHA-256 of everything its features depend on: equal fingerprints, equal features.

    One that also has an attribute `takes` is given single pictures, texts or rows out of files and folders; one that
    has none is handed the inputs as they are, one after the other.
    """

    name: str
    width: int
    fingerprint: str

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One vector per input; what an input may be is up to the backbone."""


@runtime_checkable
class Stored(Backbone, Protocol):
    """A backbone that can be saved in a bundle: a few JSON values and at most one file.

    Attributes:
        kind: its key in `engram.features.backbones.BACKBONES`.
        takes: what it works on.
        network_file: the name of that file, or None where `config` says all.
    """

    kind: ClassVar[str]
    takes: Takes
    network_file: ClassVar[str | None]

    def config(self) -> dict[str, Any]:
        """All that the features depend on beside the network: JSON values."""

    def network(self) -> bytes | None:
        """The content of the network's file."""

    @classmethod
    def restore(cls, name: str, config: dict[str, Any], network: bytes | None) -> Self:
        """The backbone again. Raises DamagedError where the parts do not make one."""


def fingerprint_of(kind: str, config: dict[str, Any], network: bytes | None) -> str:
    """SHA-256 over a backbone's kind, configuration and network.

    >>> fingerprint_of("vectors", {"width": 3}, None)[:8]
    'a91f8c94'
    """
    whole = {"kind": kind, "config": config, "network": network and hashlib.sha256(network).hexdigest()}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def restored(kind: Callable[..., Made], name: str, config: dict[str, Any], version: int) -> Made:
    """A backbone without a network, made of the arguments in its description.

    Raises:
        DamagedError: the features are of another version, or the description cannot be used.
    """
    settings = dict(config)
    described = settings.pop("version", None)
    if described != version:
        raise DamagedError(f"Backbone {name!r} has features of version {described!r}; this Engram has {version}.")
    try:
        return kind(name=name, **settings)
    except (TypeError, ValueError) as error:
        raise DamagedError(f"The description of backbone {name!r} cannot be used: {error}") from error


def known_network(path: Path, sha256: str, package: str) -> bytes:
    """The content of a network that an installed package holds.

    Args:
        sha256: what it must have.
        package: name and version of the package, as it is installed.

    Raises:
        DamagedError: it is missing, truncated, altered or another one.
    """
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DamagedError(f"{path} is not the network that this version of Engram knows. Install {package} again.")
    return content


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`, the last one possibly shorter, without holding them all.

    >>> list(batched("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def in_batches(
    items: Iterable[Item],
    run: Callable[[list[Item]], npt.NDArray[Any]],
    *,
    size: int,
    total: int | None = None,
    progress: Progress | None = None,
) -> Features:
    """`run` on each batch of items, stacked: (N, D) float32.

    Raises:
        InputError: there are no items, or a feature is NaN or infinite.
    """
    parts: list[Features] = []
    done = 0
    for batch in batched(items, size):
        part = np.asarray(run(batch), np.float32)
        if not np.isfinite(part).all():
            bad = done + int(np.flatnonzero(~np.isfinite(part).all(axis=1))[0])
            raise InputError(f"Input {bad + 1} gives features that are not finite numbers.")
        parts.append(part)
        done += len(batch)
        if progress is not None:
            progress(done, total)
    if not parts:
        raise InputError("Nothing to work on: 0 inputs.")
    return np.concatenate(parts)


def pooled(output: npt.NDArray[Any], pool: Pool = "average", *, channels_last: bool = False) -> Features:
    """What a network gives, as (N, D): maps (N, C, H, W) averaged over H and W, tokens (N, T, D) pooled.

    Raises:
        InputError: an output of another shape.

    >>> pooled(np.ones((2, 5, 3, 3))).shape
    (2, 5)
    """
    out = np.asarray(output, np.float32)
    if out.ndim == 4:
        return np.asarray(out.mean(axis=(1, 2) if channels_last else (2, 3), dtype=np.float32))
    if out.ndim == 3:
        return out.mean(axis=1, dtype=np.float32) if pool == "average" else out[:, 0]
    if out.ndim != 2 or not out.size:
        raise InputError(f"Features have shape {out.shape}: cut the network where it gives (N, D) or (N, C, H, W).")
    return out


def count(inputs: Any) -> int | None:
    """How many pictures a sized collection holds, for progress; None where one cannot tell."""
    shape = getattr(inputs, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) == 4 or (len(shape) == 3 and shape[2] not in (1, 3, 4)) else 1
    return len(inputs) if isinstance(inputs, list | tuple) else None
