"""From a raw row to the fields of a type: dotted paths and templates. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any, TypeAlias

from adaptrans.errors import ConfigError
from adaptrans.task_types.rows import RowError

Getter: TypeAlias = Callable[[Mapping[str, Any]], Any]


def compile_fields(fields: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A function from a row to its fields.

    Args:
        fields: Field name to a dotted path, a template or a list of paths. A path of a list that
            ends in `?` may be absent, if all that follow it are.

    Raises:
        ConfigError: If a template asks for more than names (attributes, formats).

    Example:
        >>> mapped = compile_fields({"prompt": "{a} What was the {b}?", "choices": ["c.0", "c.1"]})
        >>> mapped({"a": "It rained.", "b": "cause", "c": ["x", "y"]})
        {'prompt': 'It rained. What was the cause?', 'choices': ['x', 'y']}
    """
    getters = {name: _getter(rule) for name, rule in fields.items()}

    def apply(row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: getter(row) for name, getter in getters.items()}

    return apply


def _getter(rule: Any) -> Getter:
    if isinstance(rule, str):
        return _template(rule) if "{" in rule else path_getter(rule)
    parts = [_getter(item.removesuffix("?")) for item in rule]
    needed = [not item.endswith("?") for item in rule]
    if all(needed):
        return lambda row: [part(row) for part in parts]
    return lambda row: _shortened([part(row) for part in parts], needed, rule)


def _shortened(values: list[Any], needed: list[bool], rule: Sequence[str]) -> list[Any]:
    """The values without absent ones at the end, where the rule allows them to be absent."""
    end = len(values)
    while end and not needed[end - 1] and values[end - 1] in (None, ""):
        end -= 1
    for value, must, path in zip(values[:end], needed, rule, strict=False):
        if not must and value in (None, ""):
            raise RowError(f'"{path.removesuffix("?")}" is empty, but what follows it is not')
    return values[:end]


def _template(text: str) -> Getter:
    pieces: list[tuple[str, Getter | None]] = []
    for literal, name, spec, conversion in Formatter().parse(text):
        if spec or conversion or name == "":
            raise ConfigError(f'template "{text}" may hold only {{names}} of the row')
        pieces.append((literal, None if name is None else path_getter(name)))

    def fill(row: Mapping[str, Any]) -> str:
        out = []
        for literal, getter in pieces:
            out.append(literal)
            if getter is not None:
                value = getter(row)
                out.append(value.strip() if isinstance(value, str) else str(value))
        return "".join(out)

    return fill


def path_getter(path: str) -> Getter:
    """A function that follows a dotted path; `*` maps over a list, a number indexes one.

    A missing key gives RowError, except for the last one: an absent label is
    the builder's business.

    Example:
        >>> path_getter("q.choices.*.text")({"q": {"choices": [{"text": "a"}, {"text": "b"}]}})
        ['a', 'b']
    """
    keys = path.split(".")
    if len(keys) == 1:
        return lambda row: row.get(path)
    return lambda row: _follow(row, keys, path)


def _follow(value: Any, keys: list[str], path: str) -> Any:
    for position, key in enumerate(keys):
        rest = keys[position + 1 :]
        if key == "*":
            if not isinstance(value, list | tuple):
                raise RowError(f'"{path}" expects a list at "*"')
            return [_follow(item, rest, path) for item in value] if rest else list(value)
        if isinstance(value, Mapping):
            if key not in value and rest:
                raise RowError(f'the row has no "{".".join(keys[: position + 1])}"')
            value = value.get(key)
        elif isinstance(value, list | tuple) and key.isdecimal():
            if int(key) >= len(value):
                raise RowError(f'the row has no "{".".join(keys[: position + 1])}"')
            value = value[int(key)]
        else:
            raise RowError(f'the row has no "{path}"')
    return value
