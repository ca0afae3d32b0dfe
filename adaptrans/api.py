"""The commands as functions: same names, same options, same power. Torch-free until something is computed.

Example:
    >>> import adaptrans
    >>> run = adaptrans.intermediate("nli", where=adaptrans.workspace(backbone="xlm-r"))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adaptrans.errors import ArtefactError, UnknownNameError
from adaptrans.evaluation.results import LanguageResult
from adaptrans.evaluation.zero_shot import is_done
from adaptrans.experiments.compare import Entry, TargetTable, baseline_of, compared, store_entries
from adaptrans.experiments.config import Experiment, load_experiment
from adaptrans.experiments.engine import Work, execute, train
from adaptrans.experiments.plan import Cell, Plan
from adaptrans.hub.store import DEFAULT_STORE, Run, Store
from adaptrans.models.backbone import Backbone
from adaptrans.models.setup import parse
from adaptrans.planning import plan_evaluate, plan_intermediate, plan_run, plan_target, workspace
from adaptrans.runs.workspace import Workspace

__all__ = [
    "Outcome",
    "compare",
    "evaluate",
    "finished",
    "intermediate",
    "plan_evaluate",
    "plan_intermediate",
    "plan_run",
    "plan_target",
    "predict",
    "report",
    "run",
    "target",
    "workspace",
]

Announce = Callable[[Work, int, int], None]


def _silent(item: Work, place: int, total: int) -> None:
    """Announce nothing."""


def intermediate(task: str, *, where: Workspace, **options: Any) -> Run:
    """Train an intermediate task, into the whole model or into an adapter.

    Args:
        task: Task name, with training languages in brackets if not English: `mnli[de,ru]`; or several,
            `mnli + squad`, of which each step trains one.
        where: The workspace.
        **options: `method` (`full` or an adapter method), `seed`, and the fields of `TrainingConfig`.

    Returns:
        The finished run; the same call again finds it.
    """
    return train(plan_intermediate(task, where=where, **options))


def target(task: str, *, where: Workspace, announce: Announce = _silent, **options: Any) -> Run:
    """Train a setup on a target task, and first what it builds on and the store lacks.

    Args:
        task: The target's name.
        where: The workspace.
        announce: Called before each run that is computed.
        **options: `setup` (an expression, by default `full`), `method`, `seed`, and the fields of
            `TrainingConfig`, which apply to the target alone.

    Returns:
        The finished run; the same call again finds it.
    """
    found = plan_target(task, where=where, **options)
    execute(found, announce)
    return found.training[-1].run


def evaluate(task: str, *, where: Workspace, **options: Any) -> dict[str, LanguageResult]:
    """Evaluate a trained setup zero-shot in every language that has data.

    Args:
        task: The target's name.
        where: The workspace.
        **options: `setup`, `method`, `seed`, `run` (key of one stored run), `languages`, and the fields
            of `EvaluationConfig`.

    Returns:
        Results by language; languages that are done are not computed again.

    Raises:
        ArtefactError: If the setup has not been trained; says how.
    """
    from adaptrans.evaluation.zero_shot import evaluate as run_evaluation

    return run_evaluation(plan_evaluate(task, where=where, **options))


def compare(
    store: str | Path = DEFAULT_STORE, *, target: str | None = None, baseline: str | None = None
) -> list[TargetTable]:
    """Tables of all finished evaluations of a store, one per target and options.

    Args:
        store: Folder of the runs.
        target: Only this target.
        baseline: The setup that differences are taken to; by default `full`, where it was evaluated.

    Raises:
        ArtefactError: If the store holds no evaluation of it.
        UnknownNameError: If a baseline is given that no table has.
    """
    root = Store(Path(store))
    groups = list(store_entries(root.runs("evaluate")).values())
    if target is not None:
        groups = [found for found in groups if found[0].run.config()["task"].partition("@")[0] == target]
    rows = [baseline_of(found, baseline or "full") for found in groups]
    if groups and baseline is not None and not any(rows):
        labels = {entry.setup for found in groups for entry in found}
        raise UnknownNameError("baseline", baseline, labels, remedy="no evaluated setup has this name")
    tables = [compared(found, row or "", root.cache) for found, row in zip(groups, rows, strict=True)]
    present = [table for table in tables if table is not None]
    if not present:
        what = f"of {target} " if target else ""
        raise ArtefactError(
            f"{root.root} holds no scored evaluation {what}yet", remedy="run adaptrans evaluate first"
        )
    return present


@dataclass(frozen=True)
class Outcome:
    """A finished experiment.

    Args:
        experiment: What was asked.
        tables: One per target, in the experiment's order.
        unscored: Targets without a table: no language has gold labels in every setup.
        computed: Runs that were computed now; the others were in the store.
        left_out: Cells that cannot be, each with its reason in one line.
    """

    experiment: Experiment
    tables: tuple[TargetTable, ...]
    unscored: tuple[str, ...]
    computed: int
    left_out: tuple[str, ...] = ()


def run(
    experiment: Experiment | Path | str,
    *,
    where: Workspace,
    announce: Announce = _silent,
    jobs: int = 1,
    **options: Any,
) -> Outcome:
    """Carry out an experiment and compare its setups; what is in the store is not computed again.

    Args:
        experiment: An experiment or its YAML file.
        where: The workspace.
        announce: Called before each run that is computed.
        jobs: Runs computed at a time, each with its share of the cores.
        **options: `training` and `evaluation` (options that win over the file's), `seed`, and `control`:
            `random` for the same runs on the shuffled backbone.
    """
    found = experiment if type(experiment) is Experiment else load_experiment(Path(str(experiment)))
    planned = plan_run(found, where=where, **options)
    computed = execute(planned, announce, jobs)
    return _outcome(found, planned, where, computed)


def finished(experiment: Experiment, *, where: Workspace, **options: Any) -> Outcome:
    """The tables of what the store has of an experiment; nothing is computed. Options as for `run`.

    The control's runs take part if they are there.

    Raises:
        ArtefactError: If nothing of it is finished.
    """
    planned = plan_run(experiment, where=where, **{"control": "random", **options})
    cells = tuple(cell for cell in planned.cells if is_done(cell.evaluation))
    if not cells:
        raise ArtefactError(
            f"{where.store.root} has nothing of experiment {experiment.name} yet",
            remedy="carry it out with adaptrans run",
        )
    return _outcome(experiment, replace(planned, cells=cells), where, 0)


def report(
    tables: Sequence[TargetTable],
    *,
    out: str | Path = "report.html",
    store: str | Path = DEFAULT_STORE,
    experiment: Experiment | None = None,
    baseline: str = "full",
) -> Path:
    """Write one self-contained HTML page of some tables; see `adaptrans.report`.

    Args:
        tables: What `run` or `compare` returned.
        out: The page.
        store: Where the runs behind the tables are.
        experiment: The experiment they belong to, if there is one.
        baseline: The setup that differences are taken to, where there is no experiment to say it.
    """
    from adaptrans.report.page import write_page

    return write_page(tables, Store(Path(store)), Path(out), experiment, baseline)


def _outcome(found: Experiment, planned: Plan, where: Workspace, computed: int) -> Outcome:
    """The tables of an experiment whose cells are done."""
    tables, unscored = [], []
    for name in found.targets:
        entries = _entries([cell for cell in planned.cells if cell.target == name], where.backbone)
        table = compared(entries, str(parse(found.baseline)), where.store.cache) if entries else None
        if table is None:
            unscored.append(name)
        else:
            tables.append(table)
    return Outcome(found, tuple(tables), tuple(unscored), computed, planned.left_out)


def _entries(cells: Sequence[Cell], backbone: Backbone) -> list[Entry]:
    """The evaluations of one target on a backbone, each with that of its control."""
    own = [cell for cell in cells if cell.evaluation.workspace.backbone == backbone]
    others = [cell for cell in cells if cell.evaluation.workspace.backbone != backbone]
    controls = {cell.setup: cell.evaluation.run for cell in others}
    return [
        Entry(cell.setup, cell.evaluation.run, cell.evaluation.wanted_languages, controls.get(cell.setup))
        for cell in own
    ]


def predict(
    task: str, rows: Sequence[Mapping[str, Any]], *, where: Workspace, **options: Any
) -> Iterator[dict[str, Any]]:
    """Answers of a trained setup to one's own text.

    Args:
        task: The target whose head answers.
        rows: One mapping per input with the kind's fields: `text` and `pair`; `words`; `question` and
            `context`; `prompt` and `choices`.
        where: The workspace.
        **options: As for `evaluate`.

    Yields:
        Each row with its `prediction`.
    """
    from adaptrans.evaluation.own_text import predict_rows

    yield from predict_rows(plan_evaluate(task, where=where, **options), rows)
