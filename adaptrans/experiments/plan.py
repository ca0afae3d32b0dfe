"""From an experiment to its runs in the order of their dependence. Torch-free."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from adaptrans.errors import SetupError
from adaptrans.experiments.planner import Planner
from adaptrans.languages import unknown
from adaptrans.modeling.backbone import ABSENT
from adaptrans.modeling.setup.nodes import Setup, below_target, has_fusion, has_language, is_full
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import check
from adaptrans.modeling.shuffled_baseline import control_of
from adaptrans.runs.base import RunSpec
from adaptrans.runs.evaluation import EvaluateSpec, execute_together, side_by_side
from adaptrans.runs.store import Run
from adaptrans.runs.train import is_retrieval
from adaptrans.runs.transfer_setting import Regime
from adaptrans.tasks.loading import HUB, listed
from adaptrans.tasks.schema import Task
from adaptrans.utils.io import canonical_json


@dataclass(frozen=True)
class Cell:
    """One setup on one target.

    Args:
        setup: The setup as written.
        target: Name of the target.
        evaluation: Its evaluation.
        method: Adapter method where it is named in the row; empty for the first or only one.
    """

    setup: str
    target: str
    evaluation: EvaluateSpec
    method: str = ""

    @property
    def regime(self) -> Regime:
        """What was seen of the target languages."""
        return self.evaluation.regime

    @property
    def row(self) -> str:
        """The name of its row."""
        return self.regime.row(f"{self.setup} ({self.method})" if self.method else self.setup)


@dataclass(frozen=True)
class Plan:
    """All runs of an experiment.

    Args:
        training: Training runs, each once, after those it builds on.
        cells: Evaluations, row by row.
        left_out: Cells that cannot be, each with its reason in one line.
    """

    training: tuple[RunSpec, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[str, ...] = ()

    @functools.cached_property
    def specs(self) -> tuple[RunSpec, ...]:
        """Every run once, each after those it needs: training, then evaluations row by row."""
        found: dict[Path, RunSpec] = {}
        for spec in (*self.training, *(cell.evaluation for cell in self.cells)):
            found.setdefault(spec.run.path, spec)
        return tuple(found.values())


def without_key(plan: Plan) -> frozenset[Path]:
    """Folders of runs whose key is not known yet, because backbone or data are not on this machine.

    Only a plan that is shown and not carried out has such runs, see `Workspace.absent`.
    """
    found: set[Path] = set()
    for spec in plan.specs:
        if spec.workspace.absent is None:
            continue
        if any(run.path in found for run in spec.needs) or f'"{ABSENT}' in canonical_json(spec.inputs):
            found.add(spec.run.path)
    return frozenset(found)


def absent(plan: Plan) -> list[str]:
    """What a plan needs that is not on this machine, a line for each place that it comes from."""
    places = {id(spec.workspace): spec.workspace for spec in plan.specs}.values()
    names = dict.fromkeys(place.backbone.name for place in places if not place.backbone.fetched)
    lacks = dict.fromkeys(item for place in places for item in place.absent or ())
    return [*(f"{name} of {HUB}: backbone" for name in names), *listed(lacks)]


def partial_plan(plan: Plan) -> list[str]:
    """Splits of which the data folder lacks some languages, which are left out; a line for each."""
    asked = {
        (task.name, split): (spec.workspace, task)
        for spec in (*(cell.evaluation for cell in plan.cells), *plan.training)
        for task, split in spec.open_splits
    }
    found = []
    for (name, split), (where, task) in asked.items():
        published, here = task.languages_of(split), where.languages_here(task, split)
        gone = [code for code in published if code not in here]
        if here and gone:
            number = f"{len(here)} of {len(published)} languages"
            found.append(f"{name} {split} has data in {number}, without {', '.join(gone)}")
    return found


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
    named: str = "",
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
        named: The adapter method, where rows are named after it: setups that it cannot train, or that do
            not depend on it, are left out.

    Raises:
        SetupError: If a setup cannot run.
        UnknownNameError: If a task does not exist.
        MissingDataError: If the data of one is not there.
    """
    tasks = [planner.workspace.task(name) for name in targets]
    known = {code for task in tasks for code in task.languages}
    for code in planner.languages:
        if code not in known:
            raise unknown("language", code, known)
    training: dict[Path, RunSpec] = {}
    cells, left_out = [], []
    chosen = {str(parse(text)): names for text, names in (only or {}).items()}
    for text in setups:
        setup = parse(text)
        for task in tasks:
            if task.name not in chosen.get(str(setup), targets):
                continue
            if named and _without_method(setup, task):
                continue
            reason = _no_cell(setup, task, shots, planner.target_dev)
            reason = reason or (_no_method(setup, task, named) if named else None)
            if reason is not None:
                left_out.append(reason)
                continue
            evaluation: EvaluateSpec | None
            before: Sequence[RunSpec]
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
                training.setdefault(spec.run.path, spec)
            cells.append(Cell(str(setup), task.name, evaluation, named))
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


def _without_method(setup: Setup, task: Task) -> bool:
    """Whether a cell is the same with every adapter method: a whole model, or the bare backbone."""
    return is_full(setup) or (is_retrieval(task) and not below_target(setup))


def _no_method(setup: Setup, task: Task, method: str) -> str | None:
    """Why a setup does not run with an adapter method, or None."""
    try:
        check(setup, method, retrieval=is_retrieval(task))
    except SetupError as error:
        return f"no rows with {method} for {error.message}"
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
    named: str = "",
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
        named: The adapter method, where rows are named after it.
    """
    found = []
    for choice in select:
        for number in (0, *shots):
            for seed in seeds:
                own = replace(planner, seed=seed, target_dev=choice == "target_dev" or planner.target_dev)
                found.append(plan(own, setups, targets, only, number, named))
    return joined(found)


@dataclass(frozen=True)
class Work:
    """What an engine computes at once: one run of a plan, or several evaluations that answer side by side.

    Args:
        run: The run.
        done: Whether the store has it.
        what: What it computes, in words.
        compute: Does so.
        needs: Folders of the runs that it builds on.
        beside: Further runs that `compute` computes in the same pass.
    """

    run: Run
    done: bool
    what: str
    compute: Callable[[], Any]
    needs: frozenset[Path] = frozenset()
    beside: tuple[Work, ...] = ()


def work(plan: Plan, together: bool = False) -> list[Work]:
    """Every run of a plan once, in order.

    Args:
        plan: The plan.
        together: Evaluations that answer the same inputs are one piece of work, computed in one pass over
            them; the results are the same.
    """
    told = _telling(plan.specs)
    items = {
        spec.run.path: Work(
            spec.run,
            spec.is_done,
            f"{spec.describe()}{told(spec)}",
            spec.execute,
            frozenset(run.path for run in spec.needs),
        )
        for spec in plan.specs
    }
    if together:
        for first, *others in side_by_side([cell.evaluation for cell in plan.cells]):
            if others:
                beside = [items.pop(spec.run.path) for spec in others]
                one = items[first.run.path]
                needs = one.needs.union(*(item.needs for item in beside))
                compute = partial(execute_together, [first, *others])
                items[first.run.path] = replace(one, compute=compute, needs=needs, beside=tuple(beside))
    return list(items.values())


def _telling(specs: Sequence[RunSpec]) -> Callable[[RunSpec], str]:
    """What tells a run from those of other seeds, methods and backbones, where a plan has several."""
    seeds = len({spec.seed for spec in specs}) > 1
    methods = len({_method(spec) for spec in specs} - {""}) > 1
    names = {spec.workspace.backbone.name for spec in specs}
    backbones = len({control_of(name) or name for name in names}) > 1

    def told(spec: RunSpec) -> str:
        seed, method, name = spec.inputs["seed"], _method(spec), spec.workspace.backbone.name
        parts = [f", {method}"] if methods and method else []
        parts += [f", seed {seed}"] if seeds and seed is not None else []
        parts += [f" [{name}]"] if backbones or control_of(name) is not None else []
        return "".join(parts)

    return told


def _method(spec: RunSpec) -> str:
    """The adapter method of a run; empty for a whole model and for the bare backbone."""
    return "" if spec.effective_method in ("full", "none") else spec.effective_method
