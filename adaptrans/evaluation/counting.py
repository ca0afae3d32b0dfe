"""What a language scored, from its predictions file, some rows in memory at a time. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adaptrans.evaluation.chance import chance
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.results import Scored
from adaptrans.evaluation.submission import write_rows
from adaptrans.evaluation.written import Row, Written
from adaptrans.runs.evaluations import EvaluateSpec
from adaptrans.runs.specs import is_retrieval

NO_GOLD = "no gold labels: predictions only"
CONSTANT_GOLD = "all gold labels are equal: the labels of this file were probably blanked"

Pairs = tuple[Sequence[Any], Sequence[Any]]
"""Golds and predictions of some examples."""


def scored(spec: EvaluateSpec, written: Written, examples: Iterable[Any], number: int) -> Scored:
    """The counts and the chance level of a language; its file in XTREME's layout is written beside.

    Args:
        spec: The evaluation.
        written: The predictions.
        examples: The examples, gone through where the file is not enough.
        number: How many there are.
    """
    if spec.config.split == "test":
        submit(spec, written, examples)
    counts = _scored_rows(spec, written.language, number)
    left_out = 0

    def chunks() -> Iterable[Pairs]:
        nonlocal left_out
        place = 0
        for chunk in written.chunks():
            rows = [row for offset, row in enumerate(chunk) if counts(place + offset, row)]
            place += len(chunk)
            left_out += len(chunk) - len(rows)
            yield [row.gold for row in rows], [row.prediction for row in rows]

    found = counted(spec.task.scores, chunks(), written.language)
    level = chance(spec.task, examples, written.golds())
    return replace(found, whole=not left_out, chance=level)


def submit(spec: EvaluateSpec, written: Written, examples: Iterable[Any]) -> None:
    """Write the predictions, and the gold labels where there are any, in XTREME's layout."""
    about = spec.task.name, spec.task.kind, written.language, examples
    folder = spec.run.path
    found = ([row.prediction for row in chunk] for chunk in written.chunks())
    write_rows(folder / "submission", *about, found)
    if not any(_is_absent(gold) for gold in written.golds()):
        golds = ([row.gold for row in chunk] for chunk in written.chunks())
        write_rows(folder / "labels", *about, golds, gold=True)


def score(
    names: Sequence[str], golds: Sequence[Any], predictions: Sequence[Any], language: str | None = None
) -> Scored:
    """Counts of every score, or a note where there is no gold to count with."""
    return counted(names, [(golds, predictions)], language)


def counted(names: Sequence[str], chunks: Iterable[Pairs], language: str | None = None) -> Scored:
    """The same of golds and predictions some at a time."""
    at_once = any(SCORES[name].whole for name in names)
    counts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    first: list[Any] = []
    constant, number = True, 0
    for golds, predictions in [_joined(chunks)] if at_once else chunks:
        if any(_is_absent(gold) for gold in golds):
            return Scored({}, (NO_GOLD,))
        first = first or list(golds[:1])
        constant = constant and all(gold == first[0] for gold in golds)
        number += len(golds)
        for name, parts in counts.items():
            parts.append(SCORES[name].counts(golds, predictions, language))
    # Blanked test files repeat one label; a real set of this size does not.
    notes = (CONSTANT_GOLD,) if constant and number > 10 else ()
    return Scored({name: np.concatenate(parts) for name, parts in counts.items()}, notes)


def _joined(chunks: Iterable[Pairs]) -> Pairs:
    every = list(chunks)
    return [gold for golds, _ in every for gold in golds], [item for _, found in every for item in found]


def _is_absent(gold: Any) -> bool:
    return gold is None or gold == []


def _scored_rows(spec: EvaluateSpec, language: str, number: int) -> Callable[[int, Row], bool]:
    """Whether a row is scored: it is, unless it had a part in training or in choosing a layer."""
    shot, select = spec.shots.get(language), spec.config.select
    if shot is not None and shot.split == spec.config.split:
        drawn = set(shot.run.result()["example_ids"])
        return lambda place, row: row.id not in drawn
    if select is not None and is_retrieval(spec.task) and select.language == language:
        half = select.scored(number)
        return lambda place, row: place in half
    return lambda place, row: True
