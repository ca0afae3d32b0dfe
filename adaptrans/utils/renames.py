"""Options, keys and command-line options that have another name now; the old ones go on working.

This is the one table of them. A use of an old name is one line of warning, a `RenamedWarning`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from adaptrans.errors import ConfigError

OPTIONS = {
    "quantise": "quantize",
    "clip": "max_grad_norm",
    "decay": "lr_scheduler",
    "checkpointing": "gradient_checkpointing",
    "trunk_cache": "frozen_prefix_cache",
    "trunk_gib": "frozen_prefix_gib",
}
"""Options of training and evaluation, in files, presets, `--set` and the Python API."""

TASK_KEYS = {
    "labelled": "labeled",
    "labelled_only": "labeled_only",
    "licence": "license",
    "gold": "references",
}
"""Keys of task files."""

TASK_FIELDS = {"golds": "references"}
"""Fields that task files map."""

ARGUMENTS = {"pickles": "allow_bin"}
"""Arguments of the functions of the Python API that are no options of training or evaluation."""

COMMAND_LINE = {"--quantise": "--quantize", "--licence": "--license"}
"""Options of commands."""


class RenamedWarning(FutureWarning):
    """An old name was used, which a later version will refuse."""


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is called {new} now", RenamedWarning, stacklevel=3)


def current(values: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Values under the names of today, in their order.

    Args:
        values: Values by name.
        renamed: The name of today for each old one.

    Raises:
        ConfigError: If a value is given under both names.

    Example:
        >>> current({"epochs": 3, "max_grad_norm": 0.5}, OPTIONS)
        {'epochs': 3, 'max_grad_norm': 0.5}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        new = renamed.get(name, name)
        if new != name:
            if new in values:
                raise ConfigError(f"{name} and {new}, its name now, are both given", remedy=f"keep {new}")
            _warn(name, new)
        found[new] = value
    return found


def current_arguments(arguments: Sequence[str]) -> list[str]:
    """Arguments of a command with old names of options replaced.

    Example:
        >>> current_arguments(["evaluate", "xnli", "--quantize=8bit"])
        ['evaluate', 'xnli', '--quantize=8bit']
    """
    found = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        new = COMMAND_LINE.get(option, option)
        if new != option:
            _warn(option, new)
        found.append(f"{new}{equals}{value}")
    return found


def shown(message: Warning | str, category: type[Warning]) -> str | None:
    """What a command prints of a warning that is one of ours, None for any other.

    Example:
        >>> shown("clip is called max_grad_norm now", RenamedWarning)
        'warning: clip is called max_grad_norm now'
    """
    return f"warning: {message}" if issubclass(category, RenamedWarning) else None
