"""Predictions that can never be right, whatever the label: those of another file or spelling. No torch.

A file may be a part of a larger one, so that the labels at hand are not all there are: a prediction is
listed only if no label of such a file could equal it. Some are a note, all of them are an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

from adaptrans.tasks.tag_schemes import OUTSIDE, last_part


class Impossible(NamedTuple):
    """What of a file can never be right.

    Attributes:
        places: Place of each such prediction, from 0, and the prediction.
        of: Number of predictions that say anything.
        why: What is said of one, followed by the label file.
    """

    places: Sequence[tuple[int, Any]] = ()
    of: int = 0
    why: str = ""


Rule: TypeAlias = Callable[[Any, Any, Collection[str]], Impossible]
"""Labels, predictions and the task's label names to what can never be right."""


def nothing(golds: Any, found: Any, known: Collection[str]) -> Impossible:  # noqa: ARG001
    """Every prediction can be right."""
    return Impossible()


def labels(golds: Sequence[str], found: Sequence[str], known: Collection[str]) -> Impossible:
    """Labels that neither the label file nor the task has.

    Example:
        >>> labels(["no"], ["yes", "Yes"], ["yes", "no"]).places
        [(1, 'Yes')]
    """
    possible = {*golds, *known}
    odd = [(place, label) for place, label in enumerate(found) if label not in possible]
    return Impossible(odd, len(found), "is no label of")


def tags(
    golds: Sequence[Sequence[str]], found: Sequence[Sequence[str]], known: Collection[str]
) -> Impossible:
    """Tags whose type neither the label file nor the task has; places count words over all sentences.

    A chunk counts by its type alone, so that `S-PER` can be right where `B-PER` is the label.

    Example:
        >>> tags([["B-PER"], ["O"]], [["S-PER"], ["B-per"]], ()).places
        [(1, 'B-per')]
    """
    possible = {last_part(tag) for tag in chain(known, *golds)}
    said = [(place, tag) for place, tag in enumerate(chain(*found)) if tag != OUTSIDE]
    odd = [(place, tag) for place, tag in said if last_part(tag) not in possible]
    return Impossible(odd, len(said), "has the type of no label of")


def choices(golds: Sequence[int], found: Sequence[int], known: Collection[str]) -> Impossible:  # noqa: ARG001
    """Choices beyond the largest that is right anywhere, and beyond the second.

    Example:
        >>> choices([0, 0], [1, 2], ()).places
        [(1, 2)]
    """
    last = max([*golds, 1])
    odd = [(place, choice) for place, choice in enumerate(found) if not 0 <= choice <= last]
    return Impossible(odd, len(found), "is no label of")


def line_numbers(golds: Sequence[int], found: Sequence[int], known: Collection[str]) -> Impossible:  # noqa: ARG001
    """Numbers beyond the last line of the other language, where the labels are those of a whole file.

    Labels that go beyond their own number are a part of a larger file, whose last line nobody knows.

    Example:
        >>> line_numbers([1, 0], [1, 2], ()).places, line_numbers([7, 2, 9], [7, 5, 12], ()).places
        ([(1, 2)], [])
    """
    whole = max(golds, default=0) < len(golds)
    odd = [(place, line) for place, line in enumerate(found) if line < 0 or (whole and line >= len(golds))]
    return Impossible(odd, len(found), "is the number of no line by")


def swapped_pairs(
    golds: Iterable[tuple[str, str]],
    found: Sequence[tuple[str, str]],
    known: Collection[str],  # noqa: ARG001
) -> Impossible:
    """Pairs whose two ids stand in the other order than in the labels.

    Example:
        >>> swapped_pairs([("de-1", "en-1")], [("en-1", "de-1"), ("de-2", "en-1")], ()).places
        [(0, ('en-1', 'de-1'))]
    """
    pairs = set(golds)
    firsts, seconds = {first for first, _ in pairs}, {second for _, second in pairs}
    odd = [
        (place, (first, second))
        for place, (first, second) in enumerate(found)
        if first not in firsts and second not in seconds and (first in seconds or second in firsts)
    ]
    return Impossible(odd, len(found), "has its ids in the other order than")


def of_columns(values: Iterable[str], known: Collection[str]) -> tuple[int, str] | None:
    """The first value that is a label beside something else, such as `word label`, and its place.

    Args:
        values: Labels or tags as they stand in a file.
        known: The task's label names.

    Example:
        >>> of_columns(["O", "Nairobi B-LOC"], ["O", "B-LOC"]), of_columns(["not so"], ["so", "not so"])
        ((1, 'Nairobi B-LOC'), None)
    """
    names = set(known)
    for place, value in enumerate(values):
        cells = value.split()
        if len(cells) > 1 and value not in names and not names.isdisjoint((cells[0], cells[-1])):
            return place, value
    return None
