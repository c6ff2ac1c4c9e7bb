"""The floor plan of ARCHITECTURE.md is true: of the imports, of the wings, and of what the core needs; modules import
each other in one direction, and few are fragments that a single other one needs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "engram"
PLAN = re.compile(r"^(?:floor (\d+) +| {10})(\w+)(?:/|\.py) +\S", re.MULTILINE)

CORE = (
    "printable", "locations", "learner", "checks", "inputs", "heads", "features/backbones", "store", "lab/data_sets",
    "lab/streams",
    "lab/evaluation", "brain", "cli",
)
NOT_IN_CORE = ("torch", "sklearn", "scipy", "matplotlib", "onnx", "river")
# Modules of the core's rooms that adapt to a package which only an extra brings.
ADAPTERS = {"engram.features.backbones.torch_module", "engram.heads.scikit_learn"}


def floor_plan(text: str) -> dict[str, int]:
    """Room -> floor, as drawn in the document; a line without a number is on the floor of the one above."""
    plan: dict[str, int] = {}
    floor = 0
    for number, room in PLAN.findall(text):
        floor = int(number) if number else floor
        plan[room] = floor
    return plan


def rooms(package: Path) -> set[str]:
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    return folders | {path.stem for path in package.glob("*.py")} - {"__init__"}


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and room of every import from Engram, wherever in the file it stands."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            whole = node.module or ""
            names = [f"engram.{alias.name}" for alias in node.names] if whole == "engram" else [whole]
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "a relative import"
        for name in names:
            if name.startswith("engram.") and name != "engram.__version__":
                yield node.lineno, name.split(".")[1]


def trespasses(package: Path, plan: dict[str, int]) -> list[str]:
    """Every import that goes upward, sideways, or to a room that is not in the plan."""
    found = []
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if relative == Path("__init__.py"):
            continue  # the package's front door re-exports names of any room
        room = relative.parts[0].removesuffix(".py")
        for line, other in imported(path.read_text(encoding="utf-8")):
            if other != room and plan.get(other, sys.maxsize) >= plan.get(room, -1):
                found.append(f"{relative}:{line} imports {other}")
    return found


def test_imports_only_go_downward() -> None:
    assert trespasses(PACKAGE, floor_plan((ROOT / "ARCHITECTURE.md").read_text())) == []


def test_the_plan_shows_exactly_the_rooms_there_are() -> None:
    assert set(floor_plan((ROOT / "ARCHITECTURE.md").read_text())) == rooms(PACKAGE)


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("heads/fast.py", "from engram.brain.brain import Brain"),  # upward
        ("heads/fast.py", "import engram.backbones.onnx"),  # sideways
        ("heads/fast.py", "def f():\n    from engram import brain"),  # upward, hidden in a function
        ("heads/fast.py", "from ..brain import brain"),  # relative
        ("heads/fast.py", "from engram import Brain"),  # through the front door
        ("learner.py", "from engram.heads import head"),
        ("heads/fast.py", "import engram.attic"),  # a room that nobody planned
    ],
)
def test_the_checker_sees_an_import_that_is_not_allowed(tmp_path: Path, where: str, line: str) -> None:
    plan = {"learner": 0, "heads": 1, "backbones": 1, "brain": 2}
    path = tmp_path / where
    path.parent.mkdir(exist_ok=True)
    path.write_text("from engram.learner import Learner\nimport numpy\n" if where != "learner.py" else "")
    assert trespasses(tmp_path, plan) == []
    path.write_text(line)
    assert len(trespasses(tmp_path, plan)) == 1


def test_the_core_imports_without_what_only_extras_bring() -> None:
    modules = sorted(
        ".".join(("engram", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).as_posix().removesuffix(".py").startswith(CORE)
    )
    assert set(modules) >= ADAPTERS
    code = f"""
import importlib, sys
for name in {NOT_IN_CORE!r}:
    sys.modules[name] = None  # importing it now raises ImportError
for name in {sorted(set(modules) - ADAPTERS)!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def import_graph(package: Path) -> dict[str, set[str]]:
    """Module -> the modules of the package that its import statements name, wherever in the file they stand."""
    files = {
        ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in package.rglob("*.py")
    }
    graph: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                graph[name] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                graph[name] |= {one if one in files else str(node.module) for one in whole}
    return {name: (found & files.keys()) - {name} for name, found in graph.items()}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of a circle of imports, or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def imported_once(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules that exactly one other module imports."""
    counts = Counter(other for found in graph.values() for other in found)
    return sorted(name for name, count in counts.items() if count == 1)


def test_modules_never_import_each_other_in_a_circle() -> None:
    """Also by an import within a function, or one that only a type checker reads."""
    assert circle(import_graph(PACKAGE)) == []


FRAGMENTS = 1 / 7  # of all modules: rows of tables, commands and experiments among them are ideas of their own


def test_few_modules_are_there_for_one_other_module_alone() -> None:
    graph = import_graph(PACKAGE)
    found = imported_once(graph)
    assert len(found) <= FRAGMENTS * len(graph), "\n".join(found)


def test_the_graph_sees_every_import_and_the_circle_in_it(tmp_path: Path) -> None:
    package = tmp_path / "engram"
    (package / "heads").mkdir(parents=True)
    (package / "heads" / "__init__.py").write_text("import engram.learner\nimport numpy\n")
    (package / "heads" / "fast.py").write_text("from engram.heads import LIMIT\nfrom engram import learner\n")
    (package / "learner.py").write_text("")
    graph = import_graph(package)
    assert graph == {
        "engram.heads": {"engram.learner"}, "engram.heads.fast": {"engram.heads", "engram.learner"},
        "engram.learner": set(),
    }
    assert circle(graph) == []
    assert imported_once(graph) == ["engram.heads"]
    (package / "learner.py").write_text("def f():\n    from engram.heads.fast import Fast\n")
    assert "engram.learner" in circle(import_graph(package))


MEASURING = ("engram.lab", "engram.demo")
# Commands that measure; every other command is the product's.
OF_THE_LAB = {"continual", "demo", "evaluate", "experiment", "pretrain"}


def test_the_product_never_imports_what_measures_it() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        wing, *_ = path.relative_to(PACKAGE).parts
        if wing in ("lab", "demo") or (wing == "cli" and path.stem in OF_THE_LAB):
            continue
        found += [f"{path}:{line}" for line, room in imported(path.read_text()) if f"engram.{room}" in MEASURING]
    assert found == []


def test_a_brain_is_made_taught_asked_and_served_where_the_lab_is_missing(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 3},low\n{90 + i},{i % 3},high\n" for i in range(9))
    (tmp_path / "points.csv").write_text("x,y,label\n" + rows)
    code = f"""
import sys
for name in {(*MEASURING, *NOT_IN_CORE)!r}:
    sys.modules[name] = None
from engram.cli import main
import engram.server.app
for words in (["teach", "mind", "points.csv"], ["predict", "mind", "points.csv"], ["info", "mind"], ["verify", "mind"]):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as end:
        assert not end.code, (words, end.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
