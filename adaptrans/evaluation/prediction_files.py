"""What a setup answers to the examples of a language, and the file of a run that keeps it. Torch-free."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from adaptrans.evaluation.dense_retrieval import nearest
from adaptrans.evaluation.layer_choice import on_half
from adaptrans.runs.store import Run
from adaptrans.utils.io import atomic_write


@dataclass(frozen=True)
class Outcome:
    """Answers of a setup to the examples of one language, in order.

    Args:
        golds: References, None where the data has none.
        predictions: Predictions, made while they are read.
        neighbors: For retrieval, the nearest row of each sentence, shape (layers + 1, sentences).
        notes: What the reader of the score has to know.
    """

    golds: Sequence[Any]
    predictions: Iterator[Any]
    neighbors: np.ndarray = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))
    notes: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[float, ...]:
        """For retrieval, the accuracy x 100 at every layer."""
        right = np.arange(self.neighbors.shape[1])
        return tuple(float(100 * (found == right).mean()) for found in self.neighbors)

    @property
    def half(self) -> tuple[float, ...]:
        """The same on the first half of the sentences, among all; empty where there is one sentence."""
        number = self.neighbors.shape[1]
        return tuple(on_half(self.neighbors, range(number // 2))) if number > 1 else ()


def retrieval_outcome(vectors: np.ndarray, layer: int) -> Outcome:
    """Nearest neighbors at one layer, and the accuracy at every layer.

    Args:
        vectors: Shape (layers + 1, 2 x sentences, width): each sentence in the
            language, followed by its English translation.
        layer: The layer whose neighbors are the predictions.
    """
    found = np.stack([nearest(states[0::2], states[1::2]) for states in vectors])
    return Outcome(range(found.shape[1]), iter(found[layer].tolist()), found)


CHUNK = 4_096
"""Rows that are in memory at once."""


@dataclass(frozen=True)
class Row:
    """One example as it was answered."""

    id: str
    gold: Any
    prediction: Any


@dataclass(frozen=True)
class PredictionFile:
    """The predictions file of one language of a run.

    Args:
        run: The run.
        language: The language.
        sets: Whether references are sets, which may be empty: they come back as tuples, and an empty list
            stands for no reference.
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
        with atomic_write(self.path) as temporary, temporary.open("w", encoding="utf-8") as file:

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
        """The references alone."""
        return Golds(self)


@dataclass(frozen=True)
class Golds:
    """The references of a predictions file, read anew each time they are gone through."""

    file: PredictionFile

    def __iter__(self) -> Iterator[Any]:
        return (row.gold for row in self.file.read())


def _one_copy(value: Any) -> Any:
    if isinstance(value, str):
        return sys.intern(value) if len(value) < 64 else value
    return [_one_copy(item) for item in value] if isinstance(value, list) else value
