"""Predictions of one language in their file: written as they come, read again piece by piece. No torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from adaptrans.files import written_whole
from adaptrans.hub.store import Run

CHUNK = 4_096
"""Rows that are in memory at once."""


@dataclass(frozen=True)
class Row:
    """One example as it was answered."""

    id: str
    gold: Any
    prediction: Any


@dataclass(frozen=True)
class Written:
    """The predictions file of one language of a run.

    Args:
        run: The run.
        language: The language.
        sets: Whether gold values are sets, which may be empty: they come back as tuples, and an empty list
            stands for no gold value.
    """

    run: Run
    language: str
    sets: bool = False

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.run.path / "predictions" / f"{self.language}.jsonl"

    @contextmanager
    def writing(self) -> Iterator[Callable[[Row], None]]:
        """Gives what adds a row; a file that was there stays until the block has come to its end."""
        with written_whole(self.path) as temporary, temporary.open("w", encoding="utf-8") as file:

            def add(row: Row) -> None:
                values = {"id": row.id, "gold": row.gold, "prediction": row.prediction}
                file.write(json.dumps(values, ensure_ascii=False) + "\n")

            yield add

    def read(self) -> Iterator[Row]:
        """All rows, one after the other."""
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                values = json.loads(line)
                # Labels and tags are few, and would be as many strings as there are lines.
                gold = _one_copy(values["gold"])
                gold = tuple(gold) if self.sets and gold is not None else gold
                yield Row(values["id"], gold, _one_copy(values["prediction"]))

    def chunks(self) -> Iterator[list[Row]]:
        """All rows, some at a time."""
        rest = self.read()
        while chunk := list(islice(rest, CHUNK)):
            yield chunk

    def golds(self) -> Golds:
        """The gold values alone."""
        return Golds(self)


@dataclass(frozen=True)
class Golds:
    """The gold values of a predictions file, read anew each time they are gone through."""

    written: Written

    def __iter__(self) -> Iterator[Any]:
        return (row.gold for row in self.written.read())


def _one_copy(value: Any) -> Any:
    if isinstance(value, str):
        return sys.intern(value) if len(value) < 64 else value
    return [_one_copy(item) for item in value] if isinstance(value, list) else value
