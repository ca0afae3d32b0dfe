"""From the fields of a row to the parts of an example: texts, labels, and what a task demands of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


class RowError(Exception):
    """A row that its task refuses; the caller adds file and line.

    Args:
        message: What is wrong with the row.
        line: The exact line, when the row spans several.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        self.message = message
        self.line = line
        super().__init__(message)


class Example:
    """One item of a task; each type has a frozen dataclass of its own, whose first field is the id."""

    __slots__ = ()
    id: str

    def in_place_of(self, first: Any) -> Self:
        """The example as the first one of a part of a split, where `first` has been the first one."""
        return self

    def shortened(self) -> Self:
        """The example without most of what it brings along, to be shown."""
        return self


@dataclass(frozen=True, slots=True)
class Rules:
    """What a task demands of every row.

    Args:
        labels: The label names; empty for types whose label is an index.
        label_map: Raw label (as text) to label name or index.
        labeled: Whether a row without its label is an error.
        approximate_offsets: Whether an answer's offset may be corrected to the nearest occurrence;
            `or-none`: and the answer kept without a place where there is none.
        open_labels: Whether a tag need not be among the labels.
    """

    labels: tuple[str, ...] = ()
    label_map: Mapping[str, str | int] = field(default_factory=dict)
    labeled: bool = True
    approximate_offsets: bool | str = False
    open_labels: bool = False


def text_field(fields: Mapping[str, Any], name: str) -> str:
    """A field that is a text, stripped.

    Raises:
        RowError: If it is missing or something else.
    """
    value = fields.get(name)
    if not isinstance(value, str):
        raise RowError(f'field "{name}" is {"missing" if value is None else f"{value!r}, not a text"}')
    return value.strip()


def is_blank(value: Any) -> bool:
    """Whether a cell says nothing: no value, white space alone, a gap of pandas, or -1."""
    gap = isinstance(value, float) and math.isnan(value)
    return value is None or gap or (isinstance(value, str) and not value.strip()) or value == -1


def label_field(raw: Any, rules: Rules) -> str | int | None:
    """The mapped label of a raw cell, or None where labels are not demanded."""
    if is_blank(raw) and not (raw == -1 and {"-1"} & {*rules.labels, *rules.label_map}):
        if rules.labeled:
            raise RowError("the label is missing")
        return None
    return named_label(raw, rules)


def named_label(raw: Any, rules: Rules) -> str | int:
    """The label that a raw value stands for: by the label map, else the one of the same text.

    A number or a truth value is taken as its text. Without a name for it that is, in this order:
    1.0 as 1, which is what a column of whole numbers becomes with a gap in it, and True as true.
    """
    texts = spellings(raw)
    mapped = next((text for text in texts if text in rules.label_map), None)
    if mapped is not None:
        label = rules.label_map[mapped]
        return str(label) if rules.labels else label
    if not rules.labels:
        return next((text for text in texts if text.isdigit()), texts[0])
    return next((text for text in texts if text in rules.labels), texts[0])


def spellings(raw: Any) -> list[str]:
    """The texts that a raw label may stand for, the nearest first.

    Example:
        >>> spellings(1.0), spellings(True), spellings("true"), spellings(" x ")
        (['1.0', '1'], ['True', 'true'], ['true', 'True'], ['x'])
    """
    text = str(raw).strip()
    if text in ("True", "true"):
        return [text, "true" if text == "True" else "True"]
    if text in ("False", "false"):
        return [text, "false" if text == "False" else "False"]
    whole = isinstance(raw, float) and raw.is_integer()
    return [text, str(int(raw))] if whole else [text]


def how_to_name(raw: Any, rules: Rules) -> str:
    """What to write in a task file for a raw label that is no name of a label."""
    text = spellings(raw)[-1]
    odd = isinstance(raw, int | float) or (text.isascii() and text.lstrip("-").isdigit())
    if not odd or not rules.labels:
        return ""
    if rules.label_map:
        return f"; label_map does not have {text}"
    pairs = ", ".join(f"{number}: {label}" for number, label in enumerate(rules.labels[:3]))
    more = ", ..." if len(rules.labels) > 3 else ""
    return f"; say what it stands for in the task file, as label_map: {{{pairs}{more}}}"
