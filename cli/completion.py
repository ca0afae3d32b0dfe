"""What the shell completes: names of tasks, setups, encoders, languages, methods and presets.

Each function gets the context of the command so far and the word that is being written, and answers with
values, or pairs of a value and what it means. One that fails answers nothing: an error would spoil the line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import typer

Found: TypeAlias = Iterable[str | tuple[str, str]]
Complete: TypeAlias = Callable[[typer.Context, str], list[Any]]

_NAME = re.compile(r"[A-Za-z0-9_-]*\Z")


def _completing(names: Callable[[typer.Context], Found]) -> Complete:
    """A function of the context that gives all values, as one that completes a word."""

    def complete(ctx: typer.Context, incomplete: str) -> list[Any]:
        return list(_beginning(lambda: names(ctx), incomplete))

    return complete


def _beginning(names: Callable[[], Found], start: str, before: str = "") -> Iterator[str | tuple[str, str]]:
    """The values that begin so, each behind what stands before it; none where they cannot be found."""
    try:
        found = list(names())
    except Exception:
        return
    for item in found:
        value, *told = (item,) if isinstance(item, str) else item
        if value.startswith(start):
            yield (before + value, *told) if told else before + value  # type: ignore[misc]


def _tasks(ctx: typer.Context) -> Found:
    from adaptrans.tasks import catalogue

    return catalogue.names(tuple(ctx.params.get("tasks") or ()))


def _languages(ctx: typer.Context) -> Found:
    """The languages of the task that the command names, else all."""
    from adaptrans import languages
    from adaptrans.tasks import catalogue

    folders = tuple(ctx.params.get("tasks") or ())
    # An option without its value, which is being written, keeps the arguments out of the context.
    words = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS") or ""
    named = {word.strip("\"'").partition("[")[0] for word in words.split()} & {*catalogue.names(folders)}
    table = languages.table()
    codes = [code for name in sorted(named) for code in catalogue.get(name, folders).languages] or [*table]
    return [(code, table[code].name) if code in table else code for code in dict.fromkeys(codes)]


def _backbones(ctx: typer.Context) -> Found:  # noqa: ARG001 - what completes is given it
    from adaptrans.modeling.known_backbones import known

    return list(known())


def _methods(ctx: typer.Context) -> Found:  # noqa: ARG001
    from adaptrans.modeling.adapter_methods import names

    return ["full", *names()]


def _presets(ctx: typer.Context) -> Found:  # noqa: ARG001
    from adaptrans.runs import presets

    return presets.names()


def _types(ctx: typer.Context) -> Found:  # noqa: ARG001
    from adaptrans.task_types.base import TASK_TYPES

    return list(TASK_TYPES)


task = _completing(_tasks)
language = _completing(_languages)
backbone = _completing(_backbones)
method = _completing(_methods)
preset = _completing(_presets)
task_type = _completing(_types)


def languages(ctx: typer.Context, incomplete: str) -> list[Any]:
    """Codes with commas between them: the last one is completed."""
    return _last(lambda: _languages(ctx), incomplete)


def tasks(ctx: typer.Context, incomplete: str) -> list[Any]:
    """Names of tasks with commas between them: the last one is completed."""
    return _last(lambda: _tasks(ctx), incomplete)


def _last(names: Callable[[], Found], incomplete: str) -> list[Any]:
    before, comma, last = incomplete.rpartition(",")
    return list(_beginning(names, last, before + comma))


def setup(ctx: typer.Context, incomplete: str) -> list[Any]:
    """An expression: its last name is completed, with a word of the grammar or the name of a task."""
    from adaptrans.tasks.names import WORDS

    match = _NAME.search(incomplete)
    start = match.start() if match else len(incomplete)
    before, last = incomplete[:start], incomplete[start:]
    return list(_beginning(lambda: [*WORDS, *_tasks(ctx)], last, before))
