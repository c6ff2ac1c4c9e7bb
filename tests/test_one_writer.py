"""Files are written in one place (engram.files), arrays are packed in one (engram.packing)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "engram"

# What writes, and the modules that may; "open" stands for an opening in a mode that writes.
ALLOWED = {
    "files.py": {"os.open", "os.replace", "os.rename", "os.makedirs", "os.chmod", "open"},
    "packing.py": {"safetensors"},
    "store/writer_lock.py": {"os.open"},  # a file that is locked
    "store/folder.py": {"os.open"},  # a file that is locked
    "features/backbones/download.py": {"open"},  # a part that a later call goes on with
    "server/parcels.py": {"open", "mkdir"},  # a part of a zip that is sent; in a temporary folder of its own
    "server/scratch.py": {"os.open", "touch"},  # a file that is locked, in that folder
}
WRITING_CALLS = {"write_text", "write_bytes", "mkdir", "makedirs", "savefig", "symlink_to", "hardlink_to", "touch",
                 "open_memmap", "save_file", "tofile"}
OF_OS = {"open", "replace", "rename", "makedirs", "mkdir", "chmod", "link", "symlink"}


def writers(source: str) -> Iterator[str]:
    """Every way of writing that a module uses on its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("safetensors"):
            if any(alias.name.startswith("save") or alias.name.startswith("serialize") for alias in node.names):
                yield "safetensors"
        elif isinstance(node, ast.Import) and any(alias.name.startswith("safetensors.") for alias in node.names):
            yield "safetensors"
        elif isinstance(node, ast.Call):
            yield from _calls(node)


def _calls(node: ast.Call) -> Iterator[str]:
    function = node.func
    if (isinstance(function, ast.Name) and function.id == "open") or (
        isinstance(function, ast.Attribute) and function.attr == "open" and not _named(function.value, "os")
    ):
        given = [*node.args, *(word.value for word in node.keywords)]
        modes = [part.value for one in given for part in ast.walk(one) if isinstance(part, ast.Constant)]
        if any(isinstance(mode, str) and len(mode) < 4 and set(mode) & set("wax+") for mode in modes):
            yield "open"
    elif isinstance(function, ast.Attribute) and _named(function.value, "os") and function.attr in OF_OS:
        flags = {part.attr for one in node.args[1:] for part in ast.walk(one) if isinstance(part, ast.Attribute)}
        reads = function.attr == "open" and "O_RDONLY" in flags and "O_CREAT" not in flags
        yield from () if reads else (f"os.{function.attr}",)
    elif isinstance(function, ast.Attribute) and function.attr in WRITING_CALLS:
        drawn = function.attr == "savefig" and node.args and _named(node.args[0], "buffer", "drawn")
        if not drawn:
            yield function.attr
    elif isinstance(function, ast.Attribute) and _named(function.value, "np") and function.attr.startswith("save"):
        opened = _named(node.args[0], "buffer", "out")
        yield from () if opened else (f"np.{function.attr}",)


def _named(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def test_nothing_but_the_one_writer_writes() -> None:
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {how}"
        for path in PACKAGE.rglob("*.py")
        for how in writers(path.read_text(encoding="utf-8"))
        if how not in ALLOWED.get(path.relative_to(PACKAGE).as_posix(), ())
    }
    assert found == set()


@pytest.mark.parametrize("line", [
    "path.write_text('x')", "Path('x').open('w')", "open('x', mode='ab')", "np.save(path, rows)", "os.replace(a, b)",
    "figure.savefig(path)", "from safetensors.numpy import save as pack", "os.open(path, os.O_WRONLY)",
    "path.open('ab' if more else 'wb')", "np.lib.format.open_memmap(path, mode='w+')", "import safetensors.torch",
])  # fmt: skip
def test_the_search_finds_each_way_of_writing(line: str) -> None:
    assert list(writers(line))
