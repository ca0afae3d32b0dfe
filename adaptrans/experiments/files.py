"""Experiment files: where a name leads, and files that say what differs from another one. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.tasks.yamlfile import KeyPath, load_yaml

EXTENDS = "extends"
REMEDY = "adaptrans config list shows bundled ones"


@cache
def bundled() -> dict[str, Path]:
    """The experiments that ship, by name; subfolders are part of it.

    Example:
        >>> "quickstart" in bundled()
        True
    """
    folder = Path(str(files("adaptrans_configs")))
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}
    return {name: path for name, path in sorted(found.items()) if "setups:" in path.read_text("utf-8")}


def experiment_file(name: str, beside: Path | None = None) -> Path:
    """The file of this path, or the bundled experiment of this name.

    Args:
        name: A path, or a name.
        beside: Folder that a path is looked for in first.

    Raises:
        ConfigError: If there is no such file.
        UnknownNameError: If there is no such experiment; the nearest name is suggested.
    """
    path, known = Path(name), bundled()
    for place in ([beside / path] if beside is not None else []) + [path]:
        if place.is_file():
            return place
    if name in known:
        return known[name]
    if path.suffix or path.is_absolute() or name.startswith("."):
        raise ConfigError(f"there is no experiment file {name}", remedy=REMEDY)
    raise UnknownNameError("experiment", name, known, remedy=REMEDY)


def read_experiment(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """The keys of an experiment file and the line of each; what it extends is filled in, without lines.

    Raises:
        ConfigError: If a file is missing, not YAML, or extends itself.
    """
    return _read(path, ())


def _read(path: Path, through: tuple[Path, ...]) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    if path.resolve() in through:
        raise ConfigError(f"{path} extends itself", remedy="take one extends out")
    data, lines = load_yaml(path)
    if data.get(EXTENDS) is None:
        return data, lines
    try:
        base = experiment_file(str(data[EXTENDS]), beside=path.parent)
    except (ConfigError, UnknownNameError) as error:
        raise ConfigError(f"{path}:{lines[(EXTENDS,)]}: {error.message}", remedy=error.remedy) from None
    inherited, _ = _read(base, (*through, path.resolve()))
    return merged(inherited, data), lines


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Keys over inherited ones: sections are joined key by key, any other value replaces, null takes away.

    Example:
        >>> merged({"a": {"x": 1, "y": 2}, "b": [1], "c": 3}, {"a": {"y": 5}, "b": [2], "c": None})
        {'a': {'x': 1, 'y': 5}, 'b': [2]}
    """
    found = dict(base)
    for key, value in own.items():
        before = found.get(key)
        if value is None:
            found.pop(key, None)
        elif isinstance(before, Mapping) and isinstance(value, Mapping):
            found[key] = merged(before, value)
        else:
            found[key] = value
    return found
