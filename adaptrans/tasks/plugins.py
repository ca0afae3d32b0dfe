"""What comes from outside: task files of packages, task types beside a user's own task files. Torch-free.

A package declares a folder of YAML files, as a package or module of its own:

    [project.entry-points."adaptrans.tasks"]
    my-tasks = "my_package.tasks"

The Python files of a folder of tasks that import something of `adaptrans.task_types` are run when the
folder's tasks are looked up, and every subclass of `TaskType` in them with a name is registered. Other Python
files, such as scripts that fetch the data, are left alone.
"""

from __future__ import annotations

import ast
import sys
import traceback
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from adaptrans.errors import ConfigError
from adaptrans.task_types.base import TASK_TYPES, TaskType
from adaptrans.utils.io import sha256

GROUP = "adaptrans.tasks"

_LOADED: dict[str, tuple[Path, str]] = {}
"""By the name of a type, the file that it comes from and the digest of that file."""

_READ: dict[Path, tuple[int, int]] = {}
"""When each file was last looked at, and its size then."""


def load_types(folder: Path) -> None:
    """Register the types of a folder; files that were read before are read again only once they changed.

    Args:
        folder: A folder of task files.

    Raises:
        ConfigError: If a file cannot be run, a class lacks something, or a name is taken; with file and line.
    """
    for path in sorted(folder.glob("*.py")):
        state = path.stat()
        seen = (state.st_mtime_ns, state.st_size)
        if _READ.get(path.resolve()) == seen:
            continue
        if _uses_types(path, path.read_bytes()):
            _register(path, sha256(path))
        _READ[path.resolve()] = seen


def _uses_types(path: Path, content: bytes) -> bool:
    """Whether a file imports something of `adaptrans.task_types`."""
    if b"adaptrans.task_types" not in content:
        return False
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise ConfigError(f"{path}{line}: {getattr(error, 'msg', error)}", remedy="mend the file") from None
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return any(module.startswith("adaptrans.task_types") for module in modules)


def _register(path: Path, source: str) -> None:
    module = _run(path, source)
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, TaskType) and value.__module__ == module.__name__
    ]
    for form in own:
        name = vars(form).get("name")
        if name is None:
            continue
        there = _LOADED.get(name)
        if there is not None and there[1] == source:
            _LOADED[name] = (path.resolve(), source)
            continue
        taken = name in TASK_TYPES if there is None else there[0] != path.resolve()
        if taken:
            where = there[0] if there else "adaptrans"
            raise ConfigError(f'{path}: the type "{name}" is one of {where}', remedy="give it another name")
        try:
            made = form()
        except TypeError as error:
            raise ConfigError(f"{path}: {error}", remedy="give the class what is missing") from None
        made.source = source
        TASK_TYPES.replace(name, made)
        _LOADED[name] = (path.resolve(), source)


def _run(path: Path, source: str) -> ModuleType:
    """The module of a file, under a name that its content decides, so that its objects can be pickled."""
    name = f"adaptrans_own_types_{source[:16]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        line = f":{lines[-1]}" if lines else ""
        raise ConfigError(f"{path}{line}: {type(error).__name__}: {error}", remedy="mend the file") from None
    return module


@cache
def folders() -> dict[Path, str]:
    """The folders of task files of installed packages, each with the package that brings it.

    The package itself is not imported, only those above it in its name.

    Raises:
        ConfigError: If an entry point names a package that is not there.
    """
    found: dict[Path, str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        for place in _places(point):
            found[place] = _brought_by(point)
    return found


def _places(point: EntryPoint) -> list[Path]:
    try:
        spec = find_spec(point.module)
    except ImportError:
        spec = None
    if spec is None:
        raise ConfigError(
            f'{_brought_by(point)} says its tasks are in "{point.module}", which is not there',
            remedy="reinstall or remove the package",
        )
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(str(spec.origin)).parent]


def _brought_by(point: EntryPoint) -> str:
    return f"package {point.dist.name}" if point.dist is not None else f"entry point {point.name}"
