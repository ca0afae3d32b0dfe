"""From an experiment to its runs in the order of their dependence. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from adaptrans.errors import UnknownNameError
from adaptrans.experiments.planner import Planner, Training
from adaptrans.models.setup import Setup, has_fusion, has_language, parse
from adaptrans.runs.evaluations import EvaluateSpec
from adaptrans.runs.regimes import Regime
from adaptrans.runs.specs import is_retrieval
from adaptrans.tasks.schema import Task


@dataclass(frozen=True)
class Cell:
    """One setup on one target.

    Args:
        setup: The setup as written.
        target: Name of the target.
        evaluation: Its evaluation.
    """

    setup: str
    target: str
    evaluation: EvaluateSpec

    @property
    def regime(self) -> Regime:
        """What was seen of the target languages."""
        return self.evaluation.regime

    @property
    def row(self) -> str:
        """The name of its row."""
        return self.regime.row(self.setup)


@dataclass(frozen=True)
class Plan:
    """All runs of an experiment.

    Args:
        training: Training runs, each once, after those it builds on.
        cells: Evaluations, row by row.
        left_out: Cells that cannot be, each with its reason in one line.
    """

    training: tuple[Training, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[str, ...] = ()


def joined(plans: Sequence[Plan]) -> Plan:
    """Several plans as one: their runs one after another, each once."""
    training = {spec.run.path: spec for part in plans for spec in part.training}
    return Plan(
        tuple(training.values()),
        tuple(cell for part in plans for cell in part.cells),
        tuple(dict.fromkeys(line for part in plans for line in part.left_out)),
    )


def plan(
    planner: Planner,
    setups: tuple[str, ...],
    targets: tuple[str, ...],
    only: Mapping[str, Sequence[str]] | None = None,
    shots: int = 0,
) -> Plan:
    """The runs that fill a table of setups by targets.

    A fusion on a retrieval target, which has no training, leaves its cell empty; so does every cell
    that asks for training where there is none.

    Args:
        planner: What they share.
        setups: The rows.
        targets: The columns.
        only: Targets of a setup that has not all of them.
        shots: Go on training on so many examples per label of each target language; 0 for none.

    Raises:
        SetupError: If a setup cannot run.
        UnknownNameError: If a task does not exist.
        MissingDataError: If the data of one is not there.
    """
    tasks = [planner.workspace.task(name) for name in targets]
    known = {code for task in tasks for code in task.languages}
    for code in planner.languages:
        if code not in known:
            raise UnknownNameError("language", code, known)
    training: dict[str, Training] = {}
    cells, left_out = [], []
    chosen = {str(parse(text)): names for text, names in (only or {}).items()}
    for text in setups:
        setup = parse(text)
        for task in tasks:
            if task.name not in chosen.get(str(setup), targets):
                continue
            reason = _no_cell(setup, task, shots, planner.target_dev)
            if reason is not None:
                left_out.append(reason)
                continue
            evaluation: EvaluateSpec | None
            before: Sequence[Training]
            if shots:
                evaluation, before = planner.few_shot(setup, task, shots)
            else:
                evaluation, before = planner.evaluate(setup, task)
            if evaluation is None:
                left_out.append(
                    f"{task.name} has no {shots}-shot row: no target language has train or dev data"
                )
                continue
            for spec in before:
                training.setdefault(spec.run.name, spec)
            cells.append(Cell(str(setup), task.name, evaluation))
    return Plan(tuple(training.values()), tuple(cells), tuple(dict.fromkeys(left_out)))


def _no_cell(setup: Setup, task: Task, shots: int, target_dev: bool) -> str | None:
    """Why a setup has no score on a target, or None."""
    if is_retrieval(task):
        if shots or target_dev:
            return f"{task.name} has no training, so only zero-shot rows"
        if has_fusion(setup):
            return f"{setup} has no score on {task.name}, which has no training for a fusion"
    if shots and has_language(setup):
        return f"{setup} has no few-shot rows: its language adapter is another one in each language"
    return None


def plan_regimes(
    planner: Planner,
    setups: tuple[str, ...],
    targets: tuple[str, ...],
    only: Mapping[str, Sequence[str]],
    *,
    seeds: Sequence[int],
    shots: Sequence[int] = (),
    select: Sequence[str] = ("source_dev",),
) -> Plan:
    """The runs of a table for every seed, and those of its rows that are not zero-shot.

    Args:
        planner: What they share but the seed.
        setups: The rows.
        targets: The columns.
        only: Targets of a setup that has not all of them.
        seeds: Seeds, one after another.
        shots: Numbers of examples per label for further training; 0 examples need not be named.
        select: Where target runs select, `source_dev` or `target_dev`.
    """
    found = []
    for choice in select:
        for number in (0, *shots):
            for seed in seeds:
                own = replace(planner, seed=seed, target_dev=choice == "target_dev" or planner.target_dev)
                found.append(plan(own, setups, targets, only, number))
    return joined(found)
