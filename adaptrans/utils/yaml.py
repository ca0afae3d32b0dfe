"""YAML files as plain data, with the line of every key. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.utils.io import other_encoding

if TYPE_CHECKING:
    from pydantic import ValidationError


KeyPath: TypeAlias = tuple[str | int, ...]


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same language read by libyaml, ten times as fast, where PyYAML was built with it."""


class _Loader(_Base):
    """SafeLoader in which only `true` and `false` are booleans: `no` is a language."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:bool"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def load_yaml(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """The mapping of a YAML file and the line of each of its keys.

    Raises:
        ConfigError: If the file is not readable YAML, repeats a key, or is not a mapping.
    """
    try:
        content = path.read_bytes()
        if encoding := other_encoding(content):
            raise ConfigError(f"{path}: is in {encoding}, not UTF-8", remedy="save it as UTF-8")
        text = content.decode("utf-8-sig")
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            lines: dict[KeyPath, int] = {}
            if node is not None:
                _collect(node, (), lines, path)
            data = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigError(f"{place}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values")
    return data, lines


def _collect(node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int], path: Path) -> None:
    """Record the line of each key and list item below `node`."""
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(f'{path}:{line}: key "{key.value}" is given twice')
            seen.add(key.value)
            lines[(*at, key.value)] = line
            _collect(value, (*at, key.value), lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*at, index)] = value.start_mark.line + 1
            _collect(value, (*at, index), lines, path)


def plain_value(text: str) -> Any:
    """The value of one YAML text, read as files are: `no` is a language, not a boolean.

    Raises:
        yaml.YAMLError: If it is not readable.

    Example:
        >>> plain_value("[no, 3, true]")
        ['no', 3, True]
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """The line of a key, or of the nearest key above it that is in the file."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def explained(
    problem: ValidationError,
    place: str,
    lines: dict[KeyPath, int],
    known_keys: Callable[[KeyPath], list[str]],
) -> ConfigError:
    """What pydantic found wrong with a file's content, in one line: file, line, key and reason.

    Args:
        problem: What it found.
        place: The file, or what else the content is called.
        lines: The line of each key.
        known_keys: Keys that may stand where the key at a path stands.
    """
    # A key with a slip in it is also missing under its right name: the slip says more.
    error = min(problem.errors(), key=lambda item: item["type"] != "extra_forbidden")
    at = tuple(key for key in error["loc"] if not str(key).startswith("function-"))
    line = line_of(lines, at)
    where = f"{place}:{line}" if line else place
    if error["type"] == "extra_forbidden":
        return ConfigError(f"{where}: {UnknownNameError('key', str(at[-1]), known_keys(at))}")
    dotted = ".".join(str(key) for key in at)
    if error["type"] == "missing":
        return ConfigError(f'{where}: the key "{dotted}" is missing')
    text = error["msg"].removeprefix("Value error, ")
    return ConfigError(f"{where}: {dotted}: {text}" if dotted else f"{where}: {text}")
