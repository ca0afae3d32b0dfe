"""What the page says, as plain frozen data, read from tables and from the runs behind them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from adaptrans import benchmarks
from adaptrans.analysis.aggregates import OverallTable, overall
from adaptrans.analysis.comparison import Row, TargetTable, backbone_of
from adaptrans.analysis.published import PublishedBaselines, published_baselines, why_not
from adaptrans.evaluation.fusion_attention import AttentionRecord, load_attention, mean_over_languages
from adaptrans.experiments.config import Experiment
from adaptrans.runs.store import Run, RunRef, Store
from adaptrans.runs.train import SHOTS
from adaptrans.tasks.names import TaskRef
from adaptrans.utils.environment import cost_of


@dataclass(frozen=True)
class Curve:
    """How one training went.

    Args:
        phase: `intermediate`, `target` or `language`.
        task: What it was trained on; of a language adapter the language.
        setup: What was trained.
        loss: Loss by step.
        dev: Score on the dev set by step; empty where there is none.
    """

    run: str
    phase: str
    task: str
    setup: str
    loss: tuple[tuple[int, float], ...]
    dev: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Cost:
    """What one score took.

    Args:
        setup: Row of the table.
        target: Column of the table.
        score: Mean over languages.
        parameters: Weights trained for the target, adapters and heads alike.
        seconds: Training time of the target and of all runs it builds on.
        memory: The most that any of them took, in bytes: on the device, or resident without one; None
            where it was not measured.
    """

    setup: str
    target: str
    score: float
    parameters: int
    seconds: float
    memory: int | None = None


@dataclass(frozen=True)
class Fusion:
    """What the fusion of one setup attended to on one target.

    Args:
        setup: Row of the table.
        target: Column of the table.
        adapters: The fused adapters.
        layers: Share of each adapter by layer, averaged over languages.
        languages: Share of each adapter by language, averaged over layers.
    """

    setup: str
    target: str
    adapters: tuple[str, ...]
    layers: dict[str, list[float]]
    languages: dict[str, list[float]]


@dataclass(frozen=True)
class Content:
    """Everything on the page.

    Args:
        description: A line for the reader.
        backbones: Names of the encoders.
        baseline: The setup that differences are taken to.
        setups: Rows, in order.
        tables: One per target.
        curves: How each training went, those of few-shot runs apart.
        costs: What each score took.
        fusions: What fusions attended to.
        environment: What the runs ran on; several values where runs differ.
        commands: The commands that made the runs, each once.
        notes: What the reader of the numbers has to know.
        published: What is published for each table; empty for none.
        benchmarks: Means of benchmarks of which a group is whole.
    """

    title: str
    description: str
    backbones: tuple[str, ...]
    baseline: str
    setups: tuple[str, ...]
    tables: tuple[TargetTable, ...]
    curves: tuple[Curve, ...] = ()
    costs: tuple[Cost, ...] = ()
    fusions: tuple[Fusion, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    published: tuple[PublishedBaselines, ...] = ()
    benchmarks: tuple[OverallTable, ...] = ()

    @property
    def rows(self) -> dict[str, list[Any]]:
        """Each setup's row of every table; None where a table has none."""
        return {
            setup: [next((row for row in table.rows if row.setup == setup), None) for table in self.tables]
            for setup in self.setups
        }

    @property
    def published_rows(self) -> dict[str, list[float | None]]:
        """Published scores by system, one per table; None where a table has none."""
        names = dict.fromkeys(line.label for found in self.published for line in found.lines)
        return {
            name: [
                next((line.value for line in found.lines if line.label == name), None)
                for found in self.published
            ]
            for name in names
        }

    @property
    def seeds(self) -> int:
        """The most seeds that a number is a median over."""
        return max((len(row.seeds) for table in self.tables for row in table.rows), default=1)

    @property
    def has_control(self) -> bool:
        """Whether any score stands beside that of the shuffled-weights baseline."""
        return any(row.above_control for table in self.tables for row in table.rows)


def content(
    tables: Sequence[TargetTable], store: Store, experiment: Experiment | None, baseline: str = "full"
) -> Content:
    """Collect what the page says.

    Args:
        tables: Its tables.
        store: The runs behind them.
        experiment: What they belong to, if it is one experiment.
        baseline: The setup that differences are taken to, where there is no experiment to say it.
    """
    runs = {run.key: run for run in store.runs()}
    shown = [(table, row, runs[RunRef.parse(row.run).key]) for table in tables for row in table.rows]
    before = {run.key: list(dict.fromkeys(_ancestors(run, runs))) for _, _, run in shown}
    trained = {run.key: run for found in before.values() for run in found}.values()
    starts = [line for run in (*(run for _, _, run in shown), *trained) for line in _log(run, "environment")]
    others = tuple(published_baselines(table, runs) for table in tables)
    baseline = experiment.baseline if experiment else baseline
    notes = [note for table in tables for note in table.notes]
    notes += [line.note for found in others for line in found.lines]
    notes += [
        f"{table.target}{f' ({table.which})' if table.which else ''}: no row is the baseline {baseline}, "
        "so there are no differences"
        for table in tables
        if len(table.rows) > 1 and not any(row.difference for row in table.rows)
    ]
    return Content(
        title=experiment.name if experiment else store.root.name,
        description=" ".join(experiment.description.split()) if experiment else "All finished evaluations.",
        backbones=tuple(dict.fromkeys(backbone_of(run) for _, _, run in shown)),
        baseline=baseline,
        setups=tuple(dict.fromkeys(row.setup for _, row, _ in shown)),
        tables=tuple(tables),
        # Few-shot runs are a handful of steps each, one per language.
        curves=tuple(_curve(run) for run in trained if run.phase != SHOTS),
        costs=tuple(_cost(table, row, before[run.key]) for table, row, run in shown if before[run.key]),
        fusions=tuple(
            fusion
            for table, row, run in shown
            if (run.path / "attention").is_dir()
            for fusion in fusions_of(row.setup, table.target, load_attention(run))
        ),
        environment=_environment(starts),
        commands=tuple(dict.fromkeys(shlex.join(line["command"]) for line in starts if line.get("command"))),
        notes=tuple(filter(None, dict.fromkeys([*notes, why_not(others)]))),
        published=others,
        benchmarks=tuple(found for name in benchmarks.names() for found in overall(tables, name, runs)),
    )


def _ancestors(run: Run, runs: Mapping[str, Run]) -> Iterator[Run]:
    """The training runs behind a run, each followed by what it builds on."""
    config = run.config()
    shots = config.get("shots")
    few = shots.values() if isinstance(shots, dict) else ()
    for key in (config.get("trained"), *config.get("parents", {}).values(), *few):
        if key in runs:
            yield runs[key]
            yield from _ancestors(runs[key], runs)


def _curve(run: Run) -> Curve:
    config = run.config()
    lines = _log(run, "log")
    return Curve(
        run.name,
        run.phase,
        # A language adapter is trained on the text of its language alone.
        TaskRef.parse(str(config.get("task") or config["language"])).name,
        str(config.get("setup") or config["method"]),
        tuple((line["step"], line["loss"]) for line in lines if "loss" in line),
        tuple((line["step"], line["dev_score"]) for line in lines if "dev_score" in line),
    )


def _log(run: Run, name: str) -> list[dict[str, Any]]:
    """Lines of a run's log; one that is cut off is left out."""
    path = run.path / f"{name}.jsonl"
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def _cost(table: TargetTable, row: Row, before: Sequence[Run]) -> Cost:
    results = [run.result() for run in before]
    taken = [found for run in before if (found := cost_of(run.path)) is not None]
    peaks = [peak for found in taken if (peak := found.device_memory or found.memory) is not None]
    return Cost(
        row.setup,
        table.target,
        row.mean.value,
        int(results[0]["trained_parameters"]),
        sum(float(result["seconds"]) for result in results),
        max(peaks, default=None),
    )


def fusions_of(setup: str, target: str, records: Mapping[str, AttentionRecord]) -> Iterator[Fusion]:
    """What each fusion of a setup attended to, of its records by language."""
    for fusion, adapters in next(iter(records.values())).adapters.items():
        layers = {}
        for place in mean_over_languages(records, fusion):
            part = "" if place["part"] == "output" else f" {place['part']}"
            layers[f"{place['layer'] + 1}{part}"] = place["shares"]
        languages = {code: record.means(fusion) for code, record in records.items()}
        yield Fusion(setup, target, adapters, layers, languages)


def _environment(starts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Values of everything that can move a result; several where runs differ."""
    values: dict[str, dict[str, None]] = {}
    for line in starts:
        names = ("python", "platform", "device_name", "precision", "threads")
        for name, value in {**{name: line.get(name) for name in names}, **line.get("packages", {})}.items():
            if value is not None:
                values.setdefault(name, {})[str(value)] = None
    return {name: ", ".join(found) for name, found in values.items()}
