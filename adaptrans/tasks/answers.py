"""Answers of questions, as pieces of their contexts. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adaptrans.tasks.fields import RowError


@dataclass(frozen=True, slots=True)
class Answer:
    """A piece of a context; `start` counts characters from 0, -1 if the text stands nowhere in it."""

    text: str
    start: int


def answer_pairs(raw: Any) -> list[tuple[Any, Any]]:
    """(text, start) pairs of SQuAD's list of answers, the hub's columns, or a list of [start, text]."""
    if raw is None:
        return []
    if isinstance(raw, Mapping):
        texts, starts = raw.get("text"), raw.get("answer_start", raw.get("start"))
        if isinstance(texts, str) and not isinstance(starts, list | tuple):
            # One answer that stands in no list.
            return [(texts, starts)]
        if not isinstance(texts, list | tuple) or not isinstance(starts, list | tuple):
            raise RowError("answers need lists of texts and offsets")
        if len(texts) != len(starts):
            raise RowError("answers need as many texts as offsets")
        return list(zip(texts, starts, strict=True))
    if not isinstance(raw, list | tuple):
        raise RowError(f'field "answers" is {raw!r}, not a list')
    if raw and all(isinstance(item, list | tuple) and len(item) == 2 for item in raw):
        return [(text, start) for start, text in raw]
    if not all(isinstance(item, Mapping) and "text" in item and "answer_start" in item for item in raw):
        raise RowError('an answer lacks "text" or "answer_start"')
    return [(item["text"], item["answer_start"]) for item in raw]


def answer_at(text: Any, start: Any, context: str, lead: int, approximate: bool | str) -> Answer:
    """The answer of a text and an offset, where it stands in its stripped context.

    Args:
        text: The text.
        start: Its offset in the context as it stands in the file.
        context: That context.
        lead: Characters of white space before it.
        approximate: Whether the nearest occurrence will do; `or-none`: and no occurrence.

    Raises:
        RowError: If it does not stand there.
    """
    if (text, start) == ("", -1) and approximate == "or-none":
        return Answer("", -1)
    if type(text) in (int, float) and str(text) in context:
        text = str(text)
    start = _whole(start)
    if not isinstance(text, str) or not text.strip() or start is None:
        raise RowError(f"answer {text!r} at {start!r} is not a text with an offset")
    if context[start : start + len(text)] != text:
        found = _nearest(context, text, start) if approximate else -1
        if found < 0 and approximate == "or-none":
            return Answer(text.strip(), -1)
        if found < 0:
            there = context[max(start, 0) : max(start, 0) + len(text)]
            raise RowError(f'answer "{text}" is not at offset {start} of its context, "{there}" is')
        start = found
    start += len(text) - len(text.lstrip())
    return Answer(text.strip(), start - lead)


def _whole(value: Any) -> int | None:
    """A whole number, also as 3.0 (a column with a gap in it) or "3" (csv); None for other values."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return value if type(value) is int else None


def _nearest(context: str, text: str, start: int) -> int:
    """Offset of the occurrence of `text` nearest to `start`, -1 if there is none."""
    after = context.find(text, max(start, 0))
    before = context.rfind(text, 0, max(start, 0) + len(text))
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: abs(place - start)) if found else -1
