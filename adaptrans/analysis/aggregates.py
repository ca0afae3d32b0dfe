"""Tables by group of languages: family, or how much text a language has. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from adaptrans import benchmarks, languages
from adaptrans.analysis.comparison import Entry, Row, TargetTable, compared, corrected
from adaptrans.analysis.entries import config_of, data_of, scored_in, searching, together
from adaptrans.benchmarks import Benchmark
from adaptrans.errors import UnknownNameError
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs.evaluation import BARE
from adaptrans.runs.store import Run
from adaptrans.stats.intervals import Difference, Interval
from adaptrans.tasks.names import TaskRef

By = Literal["family", "resource"]

UNKNOWN = "not known"


@dataclass(frozen=True)
class GroupTable:
    """The table of one target over the languages of a group.

    Args:
        languages: Its languages that every setup was scored in.
        table: The table; its means are over these languages.
    """

    group: str
    languages: tuple[str, ...]
    table: TargetTable


def group_of(code: str, by: str) -> str:
    """The group of a language.

    Args:
        code: The language.
        by: `family`, or `resource` for the classes 0 to 5 of Joshi et al. 2020.

    Raises:
        UnknownNameError: If languages are not grouped so.

    Example:
        >>> group_of("sw", "family"), group_of("sw", "resource"), group_of("de", "resource")
        ('Niger-Congo', 'class 2', 'class 5')
    """
    if by not in get_args(By):
        raise UnknownNameError("grouping", by, get_args(By))
    try:
        found = languages.get(code)
    except UnknownNameError:
        return UNKNOWN
    if by == "family":
        return found.family or UNKNOWN
    return UNKNOWN if found.resource_class is None else f"class {found.resource_class}"


def grouped(entries: Sequence[Entry], baseline: str, by: str, cache: Path) -> list[GroupTable]:
    """Compare setups on one target, over the languages of each group apart.

    P-values are corrected over all groups of the target together. Languages that only some setups have are
    named in the notes, and setups that share none stand in groups of their own.

    Args:
        entries: One per setup, all of the same target.
        baseline: The setup that differences are taken to.
        by: How languages are grouped, see `group_of`.
        cache: Folder in which tables are kept.
    """
    parts, notes = together(entries, baseline)
    found = []
    for part in parts:
        shared = {code for code, _ in frozenset.intersection(*map(data_of, part))}
        partial = sorted({code for entry in part for code in entry.scored} - shared)
        lacking = [f"in no group, because not every setup has them: {', '.join(partial)}"] if partial else []
        which = scored_in(part) if len(parts) > 1 else ""
        groups: dict[str, list[str]] = {}
        for code in sorted(shared):
            groups.setdefault(group_of(code, by), []).append(code)
        for name, codes in sorted(groups.items()):
            table = compared([replace(entry, languages=tuple(codes)) for entry in part], baseline, cache)
            if table is not None:
                said = dict.fromkeys([*table.notes, *notes, *lacking])
                found.append((name, replace(table, notes=tuple(said), which=which)))
    tables = corrected([table for _, table in found])
    return [GroupTable(name, table.scored, table) for (name, _), table in zip(found, tables, strict=True)]


OVERALL = "overall"


@dataclass(frozen=True)
class Mean:
    """The plain mean of some task scores.

    Args:
        low: Lower end of its 95 % interval.
        high: Upper end.
        difference: Mean of the differences to the baseline; None for the baseline and without one.
        difference_low: Lower end of its 95 % interval.
        difference_high: Upper end.
    """

    value: float
    low: float
    high: float
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


@dataclass(frozen=True)
class OverallTable:
    """Setups of one backbone and regime by groups of a benchmark.

    Args:
        benchmark: The benchmark, as `name@version`.
        regime: What was seen of the target languages, in words; empty for zero-shot.
        columns: Groups, the overall score last.
        rows: Means by setup and column; a mean of which a task is missing is not there.
        lacking: Tasks that no setup has whole, each with the reason.
        without: Setups of the whole tasks of which no group is whole.
    """

    benchmark: str
    backbone: str
    regime: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, Mean]]
    lacking: dict[str, str]
    without: tuple[str, ...] = ()


def overall(tables: Sequence[TargetTable], name: str, runs: Mapping[str, Run]) -> list[OverallTable]:
    """Group and overall means of a benchmark, a table per backbone and regime.

    A task counts only if all its languages are scored. Intervals take the tasks' test sets as independent:
    the squared distances of the tasks' ends from their values add up (MOVER; Zou and Donner 2008).

    Args:
        tables: Tables of targets; others than the benchmark's have no part.
        name: The benchmark.
        runs: Finished runs of the store by key.

    Raises:
        UnknownNameError: If there is no such benchmark.
    """
    benchmark = benchmarks.get(name)
    places = dict.fromkeys((table.backbone, table.regime) for table in tables)
    found = [
        _table(benchmark, [table for table in tables if (table.backbone, table.regime) == place], runs)
        for place in places
    ]
    return [table for table in found if table is not None]


def _table(
    benchmark: Benchmark, tables: Sequence[TargetTable], runs: Mapping[str, Run]
) -> OverallTable | None:
    whole, lacking = {}, {}
    for task, definition in benchmark.tasks.items():
        own = [table for table in tables if TaskRef.parse(table.target).name == (definition.task or task)]
        if not own:
            lacking[task] = "not evaluated"
        elif absent := sorted(set(definition.languages) - set(own[0].scored)):
            more = " ..." if len(absent) > 5 else ""
            lacking[task] = f"no score in {', '.join(absent[:5])}{more}"
        elif len(own) > 1:
            lacking[task] = "evaluated with several options"
        else:
            whole[task] = own[0]
    groups = {**benchmark.groups, OVERALL: tuple(benchmark.tasks)}
    setups = dict.fromkeys(
        row.setup for table in whole.values() if not _retrieval(table, runs) for row in table.rows
    )
    setups = setups or dict.fromkeys(row.setup for table in whole.values() for row in table.rows)
    rows: dict[str, dict[str, Mean]] = {}
    for setup in setups:
        own_rows = {task: row for task, table in whole.items() if (row := _row(table, setup, whole, runs))}
        means = {
            group: _mean([own_rows[task] for task in tasks])
            for group, tasks in groups.items()
            if all(task in own_rows for task in tasks)
        }
        rows |= {setup: means} if means else {}
    if not rows:
        return None
    first = tables[0]
    without = tuple(setup for setup in setups if setup not in rows)
    return OverallTable(str(benchmark), first.backbone, first.regime, tuple(groups), rows, lacking, without)


def _retrieval(table: TargetTable, runs: Mapping[str, Run]) -> bool:
    return "layer" in config_of(table.rows[0], runs)


def _row(
    table: TargetTable, setup: str, whole: Mapping[str, TargetTable], runs: Mapping[str, Run]
) -> Row | None:
    """A setup's row; of retrieval, what of the setup answers there."""
    named = next((row for row in table.rows if row.setup == setup), None)
    if named is not None or not _retrieval(table, runs):
        return named
    other = next(row for own in whole.values() for row in own.rows if row.setup == setup)
    config = config_of(other, runs)
    name = searching(parse(str(config["setup"])))
    wanted = (name, "none" if name == BARE else config["method"])
    matches = [
        row
        for row in table.rows
        if (found := config_of(row, runs)) and (found["setup"], found["method"]) == wanted
    ]
    return matches[0] if len(matches) == 1 else None


def _mean(rows: Sequence[Row]) -> Mean:
    value, low, high = _combined([row.mean for row in rows])
    gaps = [row.difference for row in rows if row.difference is not None]
    if len(gaps) != len(rows):
        return Mean(value, low, high)
    return Mean(value, low, high, *_combined(gaps))


def _combined(found: Sequence[Interval | Difference]) -> tuple[float, float, float]:
    """The mean of independent values with the ends of its interval.

    Example:
        >>> _combined([Interval(50.0, 47.0, 53.0, 9), Interval(60.0, 56.0, 64.0, 9)])
        (55.0, 52.5, 57.5)
    """
    number = len(found)
    value = sum(item.value for item in found) / number
    below = math.sqrt(sum((item.value - item.low) ** 2 for item in found)) / number
    above = math.sqrt(sum((item.high - item.value) ** 2 for item in found)) / number
    return value, value - below, value + above
