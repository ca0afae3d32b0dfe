"""The commands as functions: same names, same options, same power. Torch-free until something is computed.

Example:
    >>> import adaptrans
    >>> run = adaptrans.intermediate("nli", where=adaptrans.workspace(backbone="xlm-r"))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from adaptrans.errors import ArtefactError, ConfigError, UnknownNameError
from adaptrans.evaluation.results import LanguageResult
from adaptrans.evaluation.zero_shot import is_done
from adaptrans.experiments.compare import Entry, TargetTable, baseline_of, compared, store_entries
from adaptrans.experiments.config import Experiment, load_experiment
from adaptrans.experiments.engine import Work, execute, train
from adaptrans.experiments.plan import Cell, Plan, Planner, plan, stored
from adaptrans.hub.store import DEFAULT_STORE, Run, Store
from adaptrans.models.backbone import Backbone, identify
from adaptrans.models.control import control_name
from adaptrans.models.methods import DEFAULT_METHOD, FULL
from adaptrans.models.setup import check, parse, references
from adaptrans.runs.config import evaluation_config, training_config
from adaptrans.runs.specs import EvaluateSpec, TrainSpec
from adaptrans.runs.workspace import Workspace, data_places
from adaptrans.tasks.schema import Task

Announce = Callable[[Work, int, int], None]


Tell = Callable[[str], None]


def _silent(item: Work, place: int, total: int) -> None:
    """Announce nothing."""


def _quiet(text: str) -> None:
    """Tell nothing."""


def workspace(
    *,
    backbone: str | Path | None,
    data: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
    tasks: Sequence[str | Path] = (),
    device: str = "auto",
    skip_bad_rows: bool = False,
) -> Workspace:
    """Where runs work.

    Args:
        backbone: Folder or hub id of an XLM-R encoder, or `mini`, the bundled one.
        data: Folder of original files or hub copies, or `samples`, the bundled suite; None for the hub alone.
        store: Folder of the runs.
        tasks: Folders of own task files.
        device: `auto`, `cpu`, `cuda`, `mps`.
        skip_bad_rows: Leave out rows that do not fit, and list them, instead of stopping at the first.

    Raises:
        ConfigError: If no backbone is given.
        ArtefactError: If it cannot be found or is no XLM-R.
    """
    if backbone is None:
        raise ConfigError(
            "no backbone given",
            remedy="add --backbone with a folder, a hub id such as FacebookAI/xlm-roberta-base, or mini",
        )
    root = Store(Path(store))
    found = identify(backbone, controls=root.cache / "controls")
    folder, folders = data_places(None if data is None else Path(data), [Path(item) for item in tasks])
    return Workspace(found, folder, root, {}, folders, device, skip_bad_rows)


def plan_intermediate(
    task: str, *, where: Workspace, method: str = DEFAULT_METHOD, seed: int = 1, **training: Any
) -> TrainSpec:
    """The run that trains an intermediate task, not yet run; see `intermediate`."""
    whole_model = method == FULL
    check(parse("full" if whole_model else "adapter"), method)
    planner = Planner(
        where,
        lambda name, whole: training_config(training),
        method=DEFAULT_METHOD if whole_model else method,
        seed=seed,
    )
    sources = references(parse(f"full({task})"))
    if any(source.address or source.run for source in sources):
        raise ConfigError(f'"{task}" is no task', remedy="name a task, for instance mnli or mnli[de,ru]")
    if len(sources) > 1:
        return planner.mix(sources, whole_model)
    return planner.intermediate(sources[0], whole_model)


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


def plan_target(
    task: str,
    *,
    where: Workspace,
    setup: str = "full",
    method: str = DEFAULT_METHOD,
    seed: int = 1,
    tell: Tell = _quiet,
    **training: Any,
) -> Plan:
    """The runs that train a setup on a target, not yet run; see `target`.

    `tell` is told which stored run is used where its options are not the default ones.
    """
    parsed = parse(setup)
    planner = Planner(
        where,
        lambda name, whole: training_config(training if name == task else {}),
        method=method,
        seed=seed,
        choose=partial(stored, tell=tell),
    )
    spec, before = planner.target(parsed, where.task(task))
    return Plan((*before, spec), ())


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


def plan_evaluate(
    task: str,
    *,
    where: Workspace,
    setup: str = "full",
    method: str = DEFAULT_METHOD,
    seed: int = 1,
    languages: Sequence[str] = (),
    run: str | None = None,
    tell: Tell = _quiet,
    **evaluation: Any,
) -> EvaluateSpec:
    """The evaluation of a trained setup, not yet run; see `evaluate`."""
    target_task = where.task(task)
    for language in languages:
        if language not in target_task.languages:
            raise UnknownNameError(f"language of {task}", language, target_task.languages)
    config = evaluation_config(evaluation)
    planner = Planner(
        where,
        lambda name, whole: training_config({}),
        lambda name: config,
        method,
        seed,
        tuple(languages),
        choose=partial(stored, tell=tell),
    )
    if run is not None:
        return _evaluation_of_run(planner, target_task, where.store.find(run))
    spec, before = planner.evaluate(parse(setup), target_task)
    if before:
        last = before[-1]
        raise ArtefactError(
            f"'{setup}' has not been trained on {last.task.name}", remedy=f"run: {_command(last)}"
        )
    return spec


def _command(spec: TrainSpec) -> str:
    """The command that trains a spec."""
    languages = f"[{','.join(spec.languages)}]" if spec.languages else ""
    seed = f" --seed {spec.seed}" if spec.seed != 1 else ""
    method = "" if spec.trained_method in (FULL, DEFAULT_METHOD) else f" --method '{spec.method}'"
    if spec.phase == "target":
        return f"adaptrans target {spec.task.name} --setup '{spec.setup}'{method}{seed}"
    full = " --method full" if spec.whole_model else method
    name = f"'{spec.reference}'" if spec.others else f"{spec.task.name}{languages}"
    return f"adaptrans intermediate {name}{full}{seed}"


def _evaluation_of_run(planner: Planner, task: Task, run: Run) -> EvaluateSpec:
    """The evaluation of one stored run, whose setup, method and seed it takes."""
    config = run.config()
    trained_on = str(config["task"]).partition("@")[0]
    if run.phase != "target" or trained_on != task.name:
        raise ArtefactError(
            f"run {run.name} is no target run of {task.name}",
            remedy="give the key of a folder in runs/target",
        )
    method = DEFAULT_METHOD if config["method"] == "full" else config["method"]
    chosen = replace(planner, method=method, seed=config["seed"])
    return chosen.evaluation_of(parse(config["setup"]), task, run, {})


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


def plan_run(
    experiment: Experiment,
    *,
    where: Workspace,
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    seed: int | None = None,
    control: str | None = None,
) -> Plan:
    """All runs of an experiment, not yet run; see `run`. Those of the control come last."""
    if control not in (None, "random"):
        raise UnknownNameError("control", str(control), ["random"])
    tasks = experiment.inline_tasks(where.folders)
    places = [replace(where, tasks=tasks)]
    if (control or experiment.control) is not None:
        places.append(replace(places[0], backbone=control_backbone(where)))
    planned = [_plan_on(place, experiment, training or {}, evaluation or {}, seed) for place in places]
    return Plan(
        tuple(spec for part in planned for spec in part.training),
        tuple(cell for part in planned for cell in part.cells),
        planned[0].left_out,
    )


def control_backbone(where: Workspace) -> Backbone:
    """The backbone of a workspace with its weights shuffled, kept in the store's cache."""
    return identify(control_name(where.backbone.name), controls=where.store.cache / "controls")


def _plan_on(
    where: Workspace,
    experiment: Experiment,
    training: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    seed: int | None,
) -> Plan:
    """The runs of an experiment on one backbone."""
    planner = Planner(
        where,
        lambda name, whole: experiment.training.config(name, whole, training),
        lambda name: experiment.evaluation.config(name, evaluation),
        experiment.method,
        experiment.seed if seed is None else seed,
        experiment.languages,
        present=True,
    )
    return plan(planner, experiment.setups, experiment.targets, experiment.only)


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
