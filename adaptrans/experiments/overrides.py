"""`key=value` on the command line: values that win over an experiment file. Torch-free."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from adaptrans.errors import ConfigError
from adaptrans.tasks.yamlfile import KeyPath, plain_value


def names_of(value: Any) -> Any:
    """A lone text as a list of one, nothing as an empty list; anything else as it is, to be refused later.

    Example:
        >>> names_of("xnli"), names_of(None), names_of(["a"])
        (['xnli'], [], ['a'])
    """
    return [value] if isinstance(value, str) else [] if value is None else value


def parsed(text: str) -> tuple[tuple[str, ...], Any]:
    """The path of keys and the value of one override.

    Raises:
        ConfigError: If it is not of the form key=value, or the value is no YAML.

    Example:
        >>> parsed("training.full.epochs=2"), parsed("targets=[xnli, udpos]")
        ((('training', 'full', 'epochs'), 2), (('targets',), ['xnli', 'udpos']))
    """
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise ConfigError(f'"{text}" is not of the form key=value', remedy="as training.full.epochs=2")
    try:
        return path, plain_value(value)
    except yaml.YAMLError:
        raise ConfigError(f'"{text}" has no readable value', remedy="as targets=[xnli, udpos]") from None


def overridden(
    data: Mapping[str, Any], overrides: Sequence[str]
) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    """The keys of a file with the overrides put in, and the override that each path came from.

    Raises:
        ConfigError: If an override is not of the form key=value, or names a key below a plain value.

    Example:
        >>> overridden({"seed": 1, "training": {"full": {"epochs": 3}}}, ["training.full.epochs=1"])[0]
        {'seed': 1, 'training': {'full': {'epochs': 1}}}
    """
    found = copy.deepcopy(dict(data))
    places: dict[KeyPath, str] = {}
    for text in overrides:
        path, value = parsed(text)
        at: Any = found
        for key in path[:-1]:
            if at.get(key) is None:
                at[key] = {}
            at = at[key]
            if not isinstance(at, dict):
                raise ConfigError(f'"{text}": {key} holds a value, not keys', remedy=f"set {key} itself")
        at[path[-1]] = value
        places[path] = text
    return found, places


def place_of(at: KeyPath, places: Mapping[KeyPath, str]) -> str | None:
    """The override that a path of keys belongs to, if any."""
    return next((text for path, text in places.items() if at[: len(path)] == path), None)
