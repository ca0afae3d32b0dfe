"""Names that a setup can say: of tasks, and of adapters that come from elsewhere. Torch-free.

One function decides, wherever a name comes in: task files and inline tasks, packages that bring tasks,
`tasks new`, `adopt`, and what is pulled from a hub. What it allows, the parser of
setups reads as the name of a stored run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WORDS = ("full", "adapter", "continue", "mix", "nine", "fuse", "average", "target")
"""Words of the grammar of setups, none of them a name."""
SLOT = "lang"
"""What stands in braces for a language adapter."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*(?:-+[A-Za-z0-9_]+)*")


@dataclass(frozen=True)
class TaskRef:
    """A task and its version, as runs and artifacts name it.

    Args:
        name: The task.
        version: Its version; empty where that is not said.

    Example:
        >>> TaskRef.parse("xnli@1"), str(TaskRef("xnli", "1")), str(TaskRef("xnli"))
        (TaskRef(name='xnli', version='1'), 'xnli@1', 'xnli')
    """

    name: str
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> TaskRef:
        """The task that a text names, with or without its version."""
        name, _, version = text.partition("@")
        return cls(name, version)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name


def name_problem(name: str) -> str | None:
    """Why a setup cannot say a name, None if it can.

    Example:
        >>> name_problem("mnli-small"), name_problem("2024"), name_problem("mix")
        (None, None, 'is a word of setups')
        >>> name_problem("mnli-")
        'may hold letters, digits, "_", and "-" between them'
    """
    if NAME.fullmatch(name) is None:
        return 'may hold letters, digits, "_", and "-" between them'
    return "is a word of setups" if name in (*WORDS, SLOT) else None


def plain_name(name: str) -> str:
    """A name that a setup can say, as like a given one as can be.

    Example:
        >>> plain_name("@ukp/sentiment sst-2"), plain_name("mnli"), plain_name("adapter")
        ('ukp-sentiment-sst-2', 'mnli', 'adopted-adapter')
    """
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-_") or "adapter"
    return plain if name_problem(plain) is None else f"adopted-{plain}"
