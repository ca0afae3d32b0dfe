"""What a run tells while it goes: a progress line, and a log of JSON lines [no torch]."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from adaptrans.utils.io import atomic_write

LOG = "log.jsonl"


class Advance(Protocol):
    """Moves the progress line to a step, with a few words beside it."""

    def __call__(self, step: int, words: str) -> None:
        """Show the step and the words."""


def append(out: Path, record: dict[str, Any]) -> None:
    """Add one line to the log of a run."""
    with (out / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read(out: Path) -> list[dict[str, Any]]:
    """Lines of the log; a last line cut short by a kill is left out."""
    path, records = out / LOG, []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def rewind(out: Path, step: int) -> list[dict[str, Any]]:
    """Drop what the log says of steps after the checkpoint that is gone back to.

    Returns:
        What is left.
    """
    kept = [record for record in read(out) if record.get("step", 0) <= step]
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept)
    with atomic_write(out / LOG) as temporary:
        temporary.write_text(lines, encoding="utf-8")
    return kept


@contextmanager
def progress(name: str, steps: int, *, quiet: bool) -> Iterator[Advance]:
    """A progress line on standard error with the time left; nothing if quiet or not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = Progress(*columns, TextColumn("{task.fields[words]}"), console=console)
    if quiet or not console.is_terminal:
        yield lambda step, words: None
        return
    with shown:
        task = shown.add_task(name, total=steps, words="")
        yield lambda step, words: shown.update(task, completed=step, words=words)
