"""What an experiment file leaves to be filled in: wildcards of setups, benchmark names. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from adaptrans import benchmarks
from adaptrans.errors import ConfigError
from adaptrans.experiments.overrides import names_of
from adaptrans.models.nodes import NINE

ONE, ALL = "{intermediate}", "{intermediates}"
ALL_NINE = "nine"
_AT_ONCE = re.compile(r"((?:full|mix)\(\s*)\{intermediates\}")


def expanded(data: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of an experiment with wildcards and benchmark names filled in.

    Args:
        data: The keys as written.

    Raises:
        ConfigError: If a setup has a wildcard and there are no intermediates.

    Example:
        >>> expanded({"setups": ["full", "{intermediate} > target"], "intermediates": ["a", "b"]})["setups"]
        ['full', 'a > target', 'b > target']
        >>> expanded({"targets": "xtreme-r"})["targets"][-3:]
        ['tatoeba_r', 'mewslix', 'lareqa']
    """
    found = dict(data)
    tasks = [name for text in names_of(data.get("intermediates")) for name in intermediate_tasks(text)]
    if "setups" in found:
        found["setups"] = [text for setup in names_of(found["setups"]) for text in filled(setup, tasks)]
    if isinstance(found.get("only"), Mapping):
        found["only"] = {
            text: targets_of(targets, data)
            for setup, targets in found["only"].items()
            for text in filled(str(setup), tasks)
        }
    if "targets" in found:
        found["targets"] = targets_of(found["targets"], data)
    return found


def intermediate_tasks(text: str) -> Sequence[str]:
    """The tasks that a word under `intermediates` stands for.

    Example:
        >>> intermediate_tasks("mnli"), len(intermediate_tasks("nine"))
        (('mnli',), 9)
    """
    return NINE if text == ALL_NINE else (text,)


def is_mix(task: str) -> bool:
    """Whether a name is that of several tasks at once.

    Example:
        >>> is_mix("mnli + squad"), is_mix("nine"), is_mix("mnli")
        (True, True, False)
    """
    return " + " in task or task == ALL_NINE


def filled(setup: str, tasks: Sequence[str]) -> list[str]:
    """A setup with its wildcards filled in: one for each task, or one with all of them.

    Raises:
        ConfigError: If there is a wildcard and there are no tasks.

    Example:
        >>> filled("fuse({intermediates}) > target", ["a", "b"]), filled("full({intermediates})", ["a", "b"])
        (['fuse(a, b) > target'], ['full(a + b)'])
    """
    if ONE not in setup and ALL not in setup:
        return [setup]
    if not tasks:
        raise ConfigError(
            f"the setup '{setup}' has a wildcard and there are no intermediates",
            remedy="add intermediates: [mnli, squad], or intermediates: nine",
        )
    joined = _AT_ONCE.sub(lambda match: match[1] + " + ".join(tasks), setup).replace(ALL, ", ".join(tasks))
    return [joined.replace(ONE, task) for task in tasks] if ONE in joined else [joined]


def targets_of(value: Any, data: Mapping[str, Any]) -> Any:
    """Targets with the name of a benchmark replaced by its tasks; a task of the experiment's own wins."""
    own = data.get("tasks") or {}
    found: dict[str, None] = {}
    for name in names_of(value):
        whole = name in benchmarks.names() and name not in own
        found.update(dict.fromkeys(benchmarks.get(name).targets if whole else [name]))
    return list(found)
