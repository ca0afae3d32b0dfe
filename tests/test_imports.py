"""Imports run one way and in no circle, lazy and typing-only imports counted; light modules stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each room may import itself and the rooms below it.
ROOMS = [
    "adaptrans_cli",
    "adaptrans.api",
    "adaptrans.doctor",
    "adaptrans.report",
    "adaptrans.exporting",
    "adaptrans.selection",
    "adaptrans.experiments",
    "adaptrans.analysis",
    "adaptrans.training",
    "adaptrans.evaluation",
    "adaptrans.hub",
    "adaptrans.runs",
    "adaptrans.modeling",
    "adaptrans.data",
    "adaptrans.benchmarks",
    "adaptrans.tasks",
    "adaptrans.perturbations",
    "adaptrans.formulations",
    "adaptrans.task_types",
    "adaptrans.stats",
    "adaptrans.samples",
    "adaptrans.mini",
    "adaptrans.languages",
    "adaptrans.utils",
    "adaptrans.errors",
]

LAZY_PAIRS = 20
"""Most pairs of modules of which one imports the other in a function, the command line apart."""


def _modules() -> dict[str, Path]:
    modules = {}
    for folder, top in (("adaptrans", "adaptrans"), ("cli", "adaptrans_cli")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            modules[".".join([top, *(part for part in parts if part != "__init__")])] = path
    return modules


MODULES = _modules()


def _imports(path: Path) -> tuple[set[str], set[str]]:
    """All modules of ours that a file imports, and those of them that a function imports."""
    found, lazy = set(), set()

    def visit(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ImportFrom) and (child.module or "").startswith("adaptrans"):
                names = {f"{child.module}.{alias.name}" for alias in child.names}
                own = {name if name in MODULES else str(child.module) for name in names}
                found.update(own)
                if inside:
                    lazy.update(own)
            elif isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names if alias.name in MODULES)
            visit(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return found, lazy


GRAPH = {name: _imports(path) for name, path in MODULES.items()}


def _circles() -> list[list[str]]:
    """Strongly connected groups of modules (Tarjan)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def connect(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in GRAPH[name][0] - {name}:
            if other not in order:
                connect(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for name in GRAPH:
        if name not in order:
            connect(name)
    return groups


def test_no_module_is_in_a_circle_of_imports():
    assert _circles() == []


def _room(name: str) -> str | None:
    return next((room for room in ROOMS if name == room or name.startswith(f"{room}.")), None)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "adaptrans"])
def test_imports_go_down_only(name):
    own = _room(name)
    assert own is not None, f"{name} is in no room of the plan"
    for other in GRAPH[name][0] - {"adaptrans"}:
        room = _room(other)
        assert room is not None, f"{other} is in no room of the plan"
        assert ROOMS.index(room) >= ROOMS.index(own), f"{name} imports {other}"


def test_few_modules_import_lazily():
    pairs = sorted(
        (name, other)
        for name, (_, lazy) in GRAPH.items()
        for other in lazy
        if name != "adaptrans" and _room(name) != "adaptrans_cli"
    )
    assert len(pairs) <= LAZY_PAIRS, pairs


def test_only_one_module_touches_the_adapters_library():
    users = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "adapters")
        or (
            isinstance(node, ast.Import)
            and any(alias.name.split(".")[0] == "adapters" for alias in node.names)
        )
    }
    assert users == {"adaptrans.modeling.adapters"}


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("adaptrans_cli.main", "torch numpy pydantic yaml transformers datasets"),
        (
            "adaptrans adaptrans.api adaptrans.experiments.execution.base",
            "torch transformers datasets adapters faiss",
        ),
    ],
)
def test_light_modules_import_nothing_heavy(modules, forbidden):
    code = "import sys\n" + "".join(f"import {name}\n" for name in modules.split())
    code += f"print([name for name in {forbidden.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
