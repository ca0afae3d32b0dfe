"""Results as long tables: one row per backbone, setup, target, language, seed and score. Torch-free."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptrans import languages
from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.evaluation.results import load_results
from adaptrans.runs.store import Run
from adaptrans.tasks.names import TaskRef
from adaptrans.utils.io import atomic_write

COLUMNS = (
    "backbone",
    "setup",
    "method",
    "regime",
    "target",
    "version",
    "split",
    "language",
    "family",
    "resource_class",
    "seed",
    "score",
    "value",
    "low",
    "high",
    "n",
    "chance",
    "training_language",
    "layer",
    "pooling",
    "direction",
    "prefix",
    "data",
    "run",
)
"""Columns of a long table, in order; values are in points, `low` and `high` of the primary score alone."""


def long_rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """One row per evaluation, language and value.

    Args:
        runs: Finished evaluations.
    """
    for run in runs:
        config, facts = run.config(), run.result()
        task = TaskRef.parse(str(config["task"]))
        shared = {
            "backbone": config.get("backbone_name") or config["backbone"][:12],
            "setup": config["setup"],
            "method": config["method"],
            "regime": config.get("regime", ""),
            "target": task.name,
            "version": task.version,
            "split": config["split"],
            "seed": config["seed"],
            "run": run.name,
            **vectors_of(run),
        }
        for code, result in load_results(run).items():
            own = {
                "language": code,
                **_described(code),
                "n": result.n,
                "chance": result.chance,
                "training_language": code in facts["source_languages"],
                "data": result.data,
            }
            for place, (score, value) in enumerate(result.values.items()):
                bounds = (result.low, result.high) if place == 0 else (None, None)
                row = {**shared, **own, "score": score, "value": value, "low": bounds[0], "high": bounds[1]}
                yield {name: row[name] for name in COLUMNS}


def vectors_of(run: Run) -> dict[str, Any]:
    """Which vectors a retrieval compared; empty where none were, or where an older version did not say."""
    known = {**run.config(), **(run.result().get("vectors") or {})}
    return {name: known.get(name) for name in ("layer", "pooling", "direction", "prefix")}


def _described(code: str) -> dict[str, Any]:
    """Family and resource class of a language; empty where it is a pair or not in the table."""
    try:
        found = languages.get(code)
    except UnknownNameError:
        return {"family": "", "resource_class": None}
    return {"family": found.family, "resource_class": found.resource_class}


def export(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write a long table, as CSV or Parquet by the name of the file.

    Raises:
        ConfigError: If the name ends otherwise.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{path} is neither .csv nor .parquet", remedy="name it results.csv")
    with atomic_write(path) as temporary:
        if path.suffix == ".csv":
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
        else:
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), temporary)
    return path
