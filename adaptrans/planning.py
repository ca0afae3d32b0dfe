"""What the commands will run, before anything runs: workspaces, and the runs of each phase. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from adaptrans.errors import ArtefactError, ConfigError, UnknownNameError
from adaptrans.experiments.config import Experiment
from adaptrans.experiments.plan import Plan, Planner, plan, stored
from adaptrans.hub.store import DEFAULT_STORE, Run, Store
from adaptrans.models.backbone import Backbone, identify
from adaptrans.models.control import control_name
from adaptrans.models.methods import DEFAULT_METHOD, FULL
from adaptrans.models.setup import check, parse, references
from adaptrans.runs.config import evaluation_config, training_config
from adaptrans.runs.specs import EvaluateSpec, TrainSpec
from adaptrans.runs.workspace import Workspace, data_places
from adaptrans.tasks.schema import Task

Tell = Callable[[str], None]


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
