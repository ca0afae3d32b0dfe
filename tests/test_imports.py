"""Imports run one way, and light modules stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each room may import itself and the rooms below it.
ROOMS = [
    "cli",
    "adaptrans.api",
    "adaptrans.planning",
    "adaptrans.doctor",
    "adaptrans.mining",
    "adaptrans.exporting",
    "adaptrans.report",
    "adaptrans.experiments",
    "adaptrans.training",
    "adaptrans.evaluation",
    "adaptrans.runs",
    "adaptrans.hub",
    "adaptrans.models",
    "adaptrans.data",
    "adaptrans.benchmarks",
    "adaptrans.tasks",
    "adaptrans.samples",
    "adaptrans.mini",
    "adaptrans.languages",
    "adaptrans.environment",
    "adaptrans.devices",
    "adaptrans.allocator",
    "adaptrans.progress",
    "adaptrans.hashes",
    "adaptrans.cost",
    "adaptrans.files",
    "adaptrans.processes",
    "adaptrans.registry",
    "adaptrans.errors",
]
# Rooms beside the path of an example: they may import what is below experiments, and only cli imports them.
ASIDE = ["adaptrans.pretraining"]


def room_of(module: str) -> str | None:
    for room in [*ROOMS, *ASIDE]:
        if module == room or module.startswith(f"{room}."):
            return room
    return "cli" if module.startswith("adaptrans_cli") else None


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.startswith("adaptrans")}


SOURCES = sorted([*ROOT.glob("adaptrans/**/*.py"), *ROOT.glob("cli/*.py")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path):
    own = room_of(module_name(path))
    if own is None:
        assert module_name(path) == "adaptrans", f"{path} is in no room of the plan"
        return
    for name in imported(path):
        other = room_of(name)
        if other is None or other == own or own == "cli":
            continue
        if own in ASIDE:
            assert other in ROOMS[ROOMS.index("adaptrans.experiments") :], f"{own} imports {name}"
        else:
            assert other in ROOMS, f"{own} imports {name}"
            assert ROOMS.index(other) > ROOMS.index(own), f"{own} imports {name}"


def test_only_one_module_touches_the_adapters_library():
    users = {
        module_name(path)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "adapters")
        or (
            isinstance(node, ast.Import)
            and any(alias.name.split(".")[0] == "adapters" for alias in node.names)
        )
    }
    assert users == {"adaptrans.models.library"}


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("adaptrans_cli.main", "torch numpy pydantic yaml transformers datasets"),
        (
            "adaptrans adaptrans.api adaptrans.experiments.engine",
            "torch transformers datasets adapters faiss",
        ),
    ],
)
def test_light_modules_import_nothing_heavy(modules, forbidden):
    code = "import sys\n" + "".join(f"import {name}\n" for name in modules.split())
    code += f"print([name for name in {forbidden.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
