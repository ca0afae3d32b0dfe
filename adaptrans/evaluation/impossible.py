"""Predictions that can never be right, whatever the label: those of another file or spelling. No torch.

Tags are not among them: a chunk counts by its type alone, so that tags of another scheme can be right.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeAlias

Rule: TypeAlias = Callable[[Any, Any, Collection[str]], Iterable[int]]
"""Labels, predictions and the task's label names to the places of the predictions."""


def nothing(golds: Any, found: Any, known: Collection[str]) -> Iterable[int]:  # noqa: ARG001
    """Every prediction can be right."""
    return ()


def labels(golds: Sequence[str], found: Sequence[str], known: Collection[str]) -> Iterable[int]:
    """Labels that neither the label file nor the task has.

    Example:
        >>> list(labels(["no"], ["yes", "Yes"], ["yes", "no"]))
        [1]
    """
    possible = {*golds, *known}
    return (place for place, label in enumerate(found) if label not in possible)


def choices(golds: Sequence[int], found: Sequence[int], known: Collection[str]) -> Iterable[int]:  # noqa: ARG001
    """Choices beyond the largest that is right anywhere, and beyond the second.

    Example:
        >>> list(choices([0, 0], [1, 2], ()))
        [1]
    """
    last = max([*golds, 1])
    return (place for place, choice in enumerate(found) if not 0 <= choice <= last)


def line_numbers(golds: Sequence[int], found: Sequence[int], known: Collection[str]) -> Iterable[int]:  # noqa: ARG001
    """Numbers beyond the last line of the other language.

    Example:
        >>> list(line_numbers([1, 0], [1, 2], ()))
        [1]
    """
    return (place for place, number in enumerate(found) if number >= max([len(golds), *golds]))
