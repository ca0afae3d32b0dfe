"""What the commands will run, before anything runs: workspaces, and the runs of each phase. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from adaptrans import languages
from adaptrans.errors import ArtifactError, ConfigError, SetupError, UnknownNameError
from adaptrans.experiments.budget import affordable
from adaptrans.experiments.config import RANDOM, Experiment, is_mix
from adaptrans.experiments.plan import Plan, Planner, joined, plan, stored
from adaptrans.experiments.vary import Variant
from adaptrans.formulations.written import HEAD
from adaptrans.languages import unknown
from adaptrans.modeling import adapter_methods
from adaptrans.modeling.adapter_methods import DEFAULT_METHOD, FULL
from adaptrans.modeling.backbone import control_name, identify, outlined
from adaptrans.modeling.setup.nodes import Setup
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import check
from adaptrans.runs import presets
from adaptrans.runs.evaluation import EvaluateSpec
from adaptrans.runs.language_adapter import METHOD as MADX
from adaptrans.runs.language_adapter import LanguageSpec
from adaptrans.runs.presets import MIX
from adaptrans.runs.store import DEFAULT_STORE, Run, Store
from adaptrans.runs.train import TrainSpec
from adaptrans.runs.training_args import (
    COMMAND_LINE,
    Layer,
    TrainingConfig,
    evaluation_config,
    resolve,
    training_config,
)
from adaptrans.runs.workspace import Workspace, data_places
from adaptrans.tasks.loading import MissingData
from adaptrans.tasks.names import TaskRef
from adaptrans.tasks.schema import Task

Tell = Callable[[str], None]


def workspace(
    *,
    backbone: str | Path | None,
    data: str | Path | None = None,
    store: str | Path = DEFAULT_STORE,
    tasks: Sequence[str | Path] = (),
    device: str = "auto",
    skip_bad_rows: bool = False,
    shown: bool = False,
) -> Workspace:
    """Where runs work.

    Args:
        backbone: Folder or hub id of an XLM-R encoder, or `mini`, the bundled one.
        data: Folder of original files or hub copies, or `samples`, the bundled suite; None for the hub alone.
        store: Folder of the runs.
        tasks: Folders of own task files.
        device: `auto`, `cpu`, `cuda`, `mps`.
        skip_bad_rows: Leave out rows that do not fit, and list them, instead of stopping at the first.
        shown: For a plan that is shown and not carried out: nothing is fetched, and backbone and data may be
            absent; see `Workspace.absent`.

    Raises:
        ConfigError: If no backbone is given.
        ArtifactError: If it cannot be found or is no XLM-R.
    """
    if backbone is None:
        raise ConfigError(
            "no backbone given",
            remedy="add --backbone with a folder, a hub id such as FacebookAI/xlm-roberta-base, or mini",
        )
    root = Store(Path(store))
    found = (outlined if shown else identify)(backbone, controls=root.cache / "controls")
    folder, folders = data_places(None if data is None else Path(data), [Path(item) for item in tasks])
    absent: dict[MissingData, None] | None = {} if shown else None
    return Workspace(found, folder, root, {}, folders, device, skip_bad_rows, absent=absent)


def plan_language(
    code: str,
    *,
    text: str | Path,
    where: Workspace,
    method: str | None = None,
    seed: int = 1,
    **training: Any,
) -> LanguageSpec:
    """The run that trains a language adapter, not yet run; see `adaptrans.language`."""
    options = training_config(training)
    return LanguageSpec(where, languages.get(code).code, Path(text), options, method or MADX, seed)


def plan_intermediate(
    task: str,
    *,
    where: Workspace,
    method: str | None = None,
    seed: int = 1,
    preset: str | None = None,
    **training: Any,
) -> TrainSpec:
    """The run that trains an intermediate task, not yet run; see `intermediate`."""
    method = _method(method, preset)
    whole_model = method == FULL
    check(parse("full" if whole_model else "adapter"), method)
    planner = Planner(
        where,
        lambda name, whole: _options(where, name, whole, preset, training),
        method=DEFAULT_METHOD if whole_model else method,
        seed=seed,
    )
    sources = parse(f"full({task})").references()
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
    method: str | None = None,
    seed: int = 1,
    preset: str | None = None,
    tell: Tell = lambda text: None,
    **training: Any,
) -> Plan:
    """The runs that train a setup on a target, not yet run; see `target`.

    `tell` is told which stored run is used where its options are not the default ones.
    """
    parsed, own = parse(setup), where.task(task)
    planner = Planner(
        where,
        lambda name, whole: _options(where, name, whole, preset, training if name == own.name else {}),
        method=_method(method, preset),
        seed=seed,
        choose=partial(stored, tell=tell),
        tell=tell,
    )
    spec, before = planner.target(parsed, own)
    return Plan((*before, spec), ())


def _method(given: str | None, preset: str | None) -> str:
    """The adapter method: the one given, else the preset's, else the default."""
    if given is not None:
        return given
    return DEFAULT_METHOD if preset is None else presets.get(preset).method


def _options(
    where: Workspace, task: str, whole_model: bool, preset: str | None, given: Mapping[str, Any]
) -> TrainingConfig:
    """Training options of a command: the preset's, and those given by hand, which win."""
    layers: tuple[Layer, ...] = ()
    if preset is not None:
        kind, depth = kind_of(where, task), where.backbone.depth
        layers = presets.get(preset).training_layers(task, kind, whole_model=whole_model, depth=depth)
    return resolve(TrainingConfig, [*layers, Layer(COMMAND_LINE, given)], "training").config


def plan_evaluate(
    task: str,
    *,
    where: Workspace,
    setup: str = "full",
    method: str = DEFAULT_METHOD,
    seed: int = 1,
    languages: Sequence[str] = (),
    run: str | None = None,
    tell: Tell = lambda text: None,
    **evaluation: Any,
) -> EvaluateSpec:
    """The evaluation of a trained setup, not yet run; see `evaluate`."""
    target_task = where.task(task)
    for language in languages:
        if language not in target_task.languages:
            raise unknown(f"language of {task}", language, target_task.languages)
    config = evaluation_config(evaluation)
    planner = Planner(
        where,
        lambda name, whole: training_config({}),
        lambda name: config,
        method,
        seed,
        tuple(languages),
        choose=partial(stored, tell=tell),
        tell=tell,
    )
    if run is not None:
        return _evaluation_of_run(planner, target_task, where.store.find(run))
    spec, before = planner.evaluate(parse(setup), target_task)
    if before:
        last = before[-1]
        raise ArtifactError(
            f"'{setup}' has not been trained on {last.task.shown}", remedy=f"run: {_command(last)}"
        )
    return spec


def _command(spec: TrainSpec) -> str:
    """The command that trains a spec."""
    languages = f"[{','.join(spec.languages)}]" if spec.languages else ""
    seed = f" --seed {spec.seed}" if spec.seed != 1 else ""
    method = "" if spec.effective_method in (FULL, DEFAULT_METHOD) else f" --method '{spec.method}'"
    if spec.phase == "target":
        name = spec.task.name if spec.task.formulation is None else f"'{spec.task.shown}'"
        return f"adaptrans target {name} --setup '{spec.setup}'{method}{seed}"
    full = " --method full" if spec.whole_model else method
    name = f"'{spec.reference}'" if spec.others else f"{spec.task.name}{languages}"
    return f"adaptrans intermediate {name}{full}{seed}"


def _evaluation_of_run(planner: Planner, task: Task, run: Run) -> EvaluateSpec:
    """The evaluation of one stored run, whose setup, method and seed it takes."""
    config = run.config()
    if run.phase != "target" or TaskRef.parse(str(config["task"])).name != task.name:
        raise ArtifactError(
            f"run {run.name} is no target run of {task.name}",
            remedy="give the key of a folder in runs/target",
        )
    own, asked = config.get("formulation"), task.formulation_inputs.get("formulation")
    if own != asked:
        name = task.name if own is None else f"{task.name}[{own['name']}]"
        same = own is not None and asked is not None and own["name"] == asked["name"]
        what = f"{name} with other prompts" if same else name
        raise ArtifactError(f"run {run.name} was trained on {what}", remedy=f"name the target '{name}'")
    method = DEFAULT_METHOD if config["method"] == "full" else config["method"]
    chosen = replace(planner, method=method, seed=config["seed"])
    return chosen.evaluation_of(parse(config["setup"]), task, run, {})


def plan_mining(
    setup: str, *, where: Workspace, method: str = DEFAULT_METHOD, seed: int = 1
) -> tuple[Setup, dict[str, Run]]:
    """A setup whose vectors mine translations, and the trained runs that it refers to.

    Raises:
        SetupError: If the setup cannot run, or needs to know a language.
        ConfigError: If a part of it has not been trained.
    """
    parsed = parse(setup)
    check(parsed, method, retrieval=True)
    if parsed.has_language:
        raise SetupError(f"{parsed}: the language of a text file is not known", remedy="leave {lang} out")
    planner = Planner(where, lambda name, whole: training_config({}), method=method, seed=seed, choose=stored)
    runs, before = planner.parents(parsed)
    if before:
        raise ConfigError(
            f"'{setup}' needs {before[0].task.name}, which has not been trained",
            remedy=f"run: adaptrans intermediate {before[0].task.name}",
        )
    return parsed, runs


def plan_run(
    experiment: Experiment,
    *,
    where: Workspace,
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    seed: int | None = None,
    control: str | None = None,
    hours: float | None = None,
) -> Plan:
    """All runs of an experiment, not yet run; see `run`. Those of the control come last.

    With `hours` only the cells that fit into them, see `affordable`.
    """
    if control not in (None, RANDOM):
        raise UnknownNameError("control", str(control), [RANDOM])
    tasks = experiment.inline_tasks(where.folders)
    first = replace(where, tasks=tasks).remembering()
    places = [_on_backbone(name, first) for name in experiment.backbones] or [first]
    options = training or {}, evaluation or {}, seed
    planned = [_plan_on(place, experiment, *options) for place in places]
    # On the command line it is of all setups, whatever the file says.
    controlled = experiment.setups if control is not None else experiment.controlled
    if controlled:
        texts = {str(parse(text)) for text in controlled}
        own = tuple(text for text in experiment.setups if str(parse(text)) in texts)
        # Factors are controlled with all setups, never with some that are named.
        vary = experiment.vary if own == experiment.setups else None
        of_them = experiment.model_copy(update={"setups": own, "vary": vary})
        shuffled = [_on_backbone(control_name(place.backbone.name), place) for place in places]
        planned += [_plan_on(place, of_them, *options) for place in shuffled]
    whole = joined(planned)
    return whole if hours is None else affordable(whole, hours)


def _on_backbone(name: str, where: Workspace) -> Workspace:
    """The workspace with another backbone; where a plan is only shown, it need not be at hand."""
    found = identify if where.absent is None else outlined
    return replace(where, backbone=found(name, controls=where.store.cache / "controls"))


def _plan_on(
    where: Workspace,
    experiment: Experiment,
    training: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    seed: int | None,
) -> Plan:
    """The runs of an experiment on one backbone."""

    def options(name: str, whole: bool, shots: bool = False) -> TrainingConfig:
        kind, depth = kind_of(where, name), where.backbone.depth
        return experiment.training_of(name, kind, whole, depth, training, shots).config

    planner = Planner(
        where,
        # Every seed and every setup asks again for the options of the same tasks.
        cache(options),
        cache(lambda name: experiment.evaluation_of(name, kind_of(where, name), evaluation).config),
        languages=experiment.languages,
        present=True,
        shots_for=cache(partial(options, shots=True)),
    )
    found, variants = [], experiment.variants
    for place, method in enumerate(experiment.adapter_methods):
        named = str(adapter_methods.parse(method)) if place else ""
        seeds = experiment.all_seeds if seed is None else (seed,)
        for select, shots, own in product(experiment.select, (0, *experiment.shots), seeds):
            chosen = replace(planner, method=method, seed=own, target_dev=select == "target_dev")
            rows = experiment.setups, experiment.targets, experiment.only, shots, named
            found.append(plan(chosen, *rows, experiment.formulations or (HEAD,)))
            found += [_varied(chosen, variant, experiment, shots, named) for variant in variants]
    return joined(found)


def _varied(planner: Planner, variant: Variant, experiment: Experiment, shots: int, named: str) -> Plan:
    """The runs of one combination of factors."""
    chosen = replace(planner, sizes=variant.sizes) if variant.sizes else planner
    rows = (variant.setup,), experiment.targets, None, shots, named
    found = plan(chosen, *rows, experiment.formulations or (HEAD,))
    cells = (replace(cell, factors=variant.factors, told=variant.told) for cell in found.cells)
    return replace(found, cells=tuple(cells))


def kind_of(where: Workspace, task: str) -> str:
    """The kind of a task; `mix` for several at once."""
    return MIX if is_mix(task) else where.task(task).kind
