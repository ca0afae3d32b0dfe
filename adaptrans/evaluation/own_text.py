"""A trained setup on text that belongs to no task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adaptrans.errors import ConfigError
from adaptrans.evaluation.session import open_session
from adaptrans.files import digest
from adaptrans.runs.evaluations import EvaluateSpec
from adaptrans.runs.specs import is_retrieval
from adaptrans.tasks.examples import KINDS, Rules
from adaptrans.tasks.fields import RowError
from adaptrans.tasks.texts import damage


def predict_rows(spec: EvaluateSpec, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each row with its `prediction`, in order.

    Args:
        spec: The trained setup and the task whose head answers.
        rows: Inputs with the fields of the task's kind.

    Raises:
        ConfigError: If a row lacks a field or has one the kind does not know; says which row.
    """
    if is_retrieval(spec.task):
        raise ConfigError(
            f"{spec.task.name} compares sentences and has no head", remedy="name another target"
        )
    examples = [_example(spec, number, row) for number, row in enumerate(rows, start=1)]
    if not examples:
        raise ConfigError("there is no text to answer", remedy="give --text, or --input FILE")
    session = open_session(spec)
    key = digest([dict(row) for row in rows], length=24)
    features = session.encoded(examples, f"own text:{key}", spec.workspace.store.cache)
    predictions = session.predictor().predictions(examples, features)
    for row, prediction in zip(rows, predictions, strict=True):
        yield {**row, "prediction": prediction}


def _example(spec: EvaluateSpec, number: int, row: Mapping[str, Any]) -> Any:
    kind = KINDS[spec.task.kind]
    if fault := damage(row):
        raise ConfigError(f"row {number} {fault}", remedy="give it as UTF-8 text")
    gold = ("label", "tags", "answers", "impossible", "lines")
    asked = [name for name in (*kind.required, *kind.optional) if name not in gold]
    unknown = [name for name in row if name not in (*asked, *gold, "id")]
    if unknown:
        raise ConfigError(
            f'row {number}: {spec.task.kind} has no field "{unknown[0]}"', remedy=f"use {', '.join(asked)}"
        )
    fields = {name: row[name] for name in asked if row.get(name) is not None}
    lacking = [name for name in asked if name in spec.task.fields and name not in fields]
    if lacking:
        raise ConfigError(
            f'row {number}: the field "{lacking[0]}" is missing',
            remedy=f"{spec.task.name} needs {', '.join(n for n in asked if n in spec.task.fields)}",
        )
    if isinstance(fields.get("words"), str):
        fields["words"] = fields["words"].split()
    try:
        return kind.build(str(row.get("id", number)), fields, Rules(labels=spec.task.labels, labelled=False))
    except RowError as error:
        raise ConfigError(f"row {number}: {error.message}", remedy=f"give {', '.join(asked)}") from None
