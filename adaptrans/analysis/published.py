"""Published scores beside one's own, only where everything about them is the same. Torch-free.

Example:
    >>> [row.name for row in known().rows if row.backbone == "xlm-roberta-base"]
    ['MAD-X, SIQA then COPA']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from adaptrans import benchmarks
from adaptrans.analysis.comparison import TargetTable
from adaptrans.runs.store import Run, RunRef
from adaptrans.tasks.names import TaskRef
from adaptrans.tasks.schema import Strict
from adaptrans.utils.yaml import explained, load_yaml

FILE = Path(__file__).with_name("published.yaml")


class Parts(Strict):
    """A published score of question answering."""

    f1: float
    exact_match: float


class Data(Strict):
    """What makes a score of a target comparable."""

    benchmark: str = Field(description="whose languages and score the published values have")
    split: str
    examples: int | None = Field(default=None, description="in every language, where all have as many")
    training: int | None = Field(default=None, description="examples of the standard training data")


class PublishedRow(Strict):
    """Scores of one system."""

    name: str
    backbone: str = Field(description="last part of the encoder's name")
    evidence: Literal["found", "secondary", "derived"]
    source: str = Field(min_length=1)
    vectors: dict[str, int | str] = Field(default_factory=dict, description="layer and pooling of retrieval")
    scores: dict[str, float | Parts] = Field(min_length=1)
    languages: dict[str, dict[str, float]] = Field(default_factory=dict)

    def value(self, target: str) -> float:
        """The task score; of question answering the mean of F1 and exact match."""
        found = self.scores[target]
        return (found.f1 + found.exact_match) / 2 if isinstance(found, Parts) else found


class Published(Strict):
    """All rows, and what their targets are."""

    data: dict[str, Data]
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True)
class Line:
    """A published row as a line of one target's table.

    Args:
        value: Its score, in points.
        languages: Its scores by language, where they are known.
        evidence: `found`, `secondary` or `derived`.
        source: Where it was published.
    """

    name: str
    value: float
    languages: dict[str, float]
    evidence: str
    source: str

    @property
    def label(self) -> str:
        """What stands in the column of setups."""
        return f"published: {self.name}"

    @property
    def note(self) -> str:
        """The line's source."""
        return f"{self.label}: {self.source} ({self.evidence})"


@dataclass(frozen=True)
class PublishedBaselines:
    """What is published for a table.

    Args:
        target: The target, as `name@version`.
        lines: The comparable rows.
        why_not: Why there are none, in a few words; empty where there are some or nothing is known.
    """

    target: str
    lines: tuple[Line, ...] = ()
    why_not: str = ""


@cache
def known() -> Published:
    """The published rows that ship.

    Raises:
        ConfigError: If the file is not valid, with its line.
    """
    mapping, lines = load_yaml(FILE)
    try:
        return Published.model_validate(mapping)
    except ValidationError as error:
        raise explained(error, str(FILE), lines, lambda _: list(Published.model_fields)) from None


def published_baselines(table: TargetTable, runs: Mapping[str, Run]) -> PublishedBaselines:
    """The published rows that are comparable with a table, or why none is.

    Args:
        table: The table.
        runs: Finished runs of its store by key.
    """
    target = TaskRef.parse(table.target).name
    rows = [row for row in known().rows if target in row.scores]
    if not rows:
        return PublishedBaselines(table.target)
    evaluations = [runs[RunRef.parse(row.run).key] for row in table.rows]
    config = evaluations[0].config()
    backbone = Path(table.backbone).name.lower()
    problem = (
        _unequal_data(target, table, config)
        or _other_training(target, table, evaluations, runs)
        or _other_backbone(rows, backbone, table.backbone)
    )
    if problem:
        return PublishedBaselines(table.target, why_not=problem)
    fitting = [row for row in rows if row.backbone == backbone]
    lines = tuple(
        Line(row.name, row.value(target), row.languages.get(target, {}), row.evidence, row.source)
        for row in fitting
        if all(config.get(name) == value for name, value in row.vectors.items())
    )
    layers = " or ".join(f"layer {row.vectors.get('layer')}" for row in fitting)
    return PublishedBaselines(table.target, lines, "" if lines else f"published vectors are of {layers}")


def _unequal_data(target: str, table: TargetTable, config: Mapping[str, Any]) -> str:
    """What of the test sets, languages or the score is not that of the published values."""
    data = known().data[target]
    definition = benchmarks.get(data.benchmark).tasks[target]
    if table.regime:
        return table.regime
    if config["split"] != data.split:
        return f"scored on {config['split']}"
    if config.get("limit") is not None:
        return f"scored on {config['limit']} examples a language"
    lacking = sorted(set(definition.languages) - set(table.scored))
    if lacking:
        return f"no score in {', '.join(lacking[:4])}{' ...' if len(lacking) > 4 else ''}"
    if set(table.scored) != set(definition.languages):
        return "scored in other languages"
    sizes = {row.languages[code].n for row in table.rows for code in table.scored}
    if data.examples is not None and sizes != {data.examples}:
        return f"test sets of {min(sizes):,} examples instead of {data.examples:,}"
    return ""


def _other_training(
    target: str, table: TargetTable, evaluations: Sequence[Run], runs: Mapping[str, Run]
) -> str:
    """What of the training data is not that of the published values."""
    if any("not comparable" in note for note in table.notes):
        return "not the standard training data"
    wanted = known().data[target].training
    for run in evaluations:
        trained = runs.get(run.config().get("trained") or "")
        if wanted is not None and trained is not None and trained.result().get("examples") != wanted:
            return f"trained on {trained.result().get('examples', 0):,} examples instead of {wanted:,}"
    return ""


def _other_backbone(rows: Sequence[PublishedRow], backbone: str, name: str) -> str:
    if any(row.backbone == backbone for row in rows):
        return ""
    others = dict.fromkeys(row.backbone for row in rows)
    return f"backbone {Path(name).name}, published are {', '.join(others)}"


def why_not(found: Sequence[PublishedBaselines]) -> str:
    """One line on the targets whose published rows are not shown; empty if there are none.

    Example:
        >>> why_not([PublishedBaselines("xnli@1", why_not="scored on dev"), PublishedBaselines("copa@1")])
        'published rows not shown, for they are not comparable: xnli (scored on dev)'
    """
    reasons: dict[str, list[str]] = {}
    for item in found:
        if item.why_not:
            reasons.setdefault(item.why_not, []).append(TaskRef.parse(item.target).name)
    parts = [f"{', '.join(dict.fromkeys(targets))} ({reason})" for reason, targets in reasons.items()]
    return f"published rows not shown, for they are not comparable: {'; '.join(parts)}" if parts else ""
