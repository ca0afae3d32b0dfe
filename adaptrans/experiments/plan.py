"""From an experiment, or one command, to runs in the order of their dependence. Torch-free."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from adaptrans.errors import ArtefactError, ConfigError, SetupError, UnknownNameError
from adaptrans.hub.store import Run
from adaptrans.models import methods
from adaptrans.models.methods import DEFAULT_METHOD
from adaptrans.models.nodes import language_parent
from adaptrans.models.setup import (
    Reference,
    Setup,
    check,
    has_fusion,
    has_language,
    is_full,
    mix_name,
    parents_of,
    parse,
)
from adaptrans.runs.config import EvaluationConfig, TrainingConfig
from adaptrans.runs.language import language_runs
from adaptrans.runs.specs import EvaluateSpec, TrainSpec, is_retrieval
from adaptrans.runs.workspace import Workspace
from adaptrans.tasks.schema import Task

ConfigFor = Callable[[str, bool], TrainingConfig]
"""Options of a run, from its task's name and whether it trains the whole model."""


def exact(spec: TrainSpec) -> Run:
    """The run of exactly these inputs, whether or not it exists."""
    return spec.run


def stored(spec: TrainSpec, tell: Callable[[str], None] = lambda text: None) -> Run:
    """The only finished run of the same task, setup, method, seed and parents, whatever its options.

    So `adaptrans target` takes the adapter that `adaptrans intermediate` made, and `adaptrans evaluate`
    needs no training data. Where there is none, the run of exactly these inputs.

    Args:
        spec: What is looked for.
        tell: Told which intermediate run was taken.

    Raises:
        ArtefactError: If several such runs are finished and none has exactly these inputs; says how to
            name one.
    """
    found = [run for run in spec.workspace.store.runs(spec.phase) if spec.differs_in_options(run.config())]
    if len(found) == 1:
        if found[0].phase == "intermediate":
            tell(f"uses {found[0].name}")
        return found[0]
    if not found or spec.run.is_done:
        return spec.run
    names = ", ".join(run.name for run in found)
    one = f"name one: '{spec.task.name}#{found[-1].key}' in a setup, or --run {found[-1].key}"
    raise ArtefactError(
        f"{spec.reference} was trained several times: {names}",
        remedy="delete all but one" if spec.others else one,
    )


@dataclass(frozen=True)
class Planner:
    """What all runs of a plan share.

    Args:
        workspace: Where they work.
        config_for: Training options by task and method.
        evaluation_for: Evaluation options by task.
        method: Adapter method.
        seed: Seed.
        languages: Test languages; empty for all that have data.
        choose: Which run answers for a training spec: by default the one of exactly its inputs.
        present: Leave out test languages of which there are no data, instead of refusing them.
    """

    workspace: Workspace
    config_for: ConfigFor
    evaluation_for: Callable[[str], EvaluationConfig] = lambda task: EvaluationConfig()
    method: str = DEFAULT_METHOD
    seed: int = 1
    languages: tuple[str, ...] = ()
    choose: Callable[[TrainSpec], Run] = exact
    present: bool = False

    def __post_init__(self) -> None:
        # One spelling per method, so that the same options make the same key.
        object.__setattr__(self, "method", str(methods.parse(self.method)))

    def intermediate(
        self, reference: Reference, whole_model: bool, above_language: bool = False
    ) -> TrainSpec:
        """The run that trains what a reference names.

        Args:
            reference: The task and its languages.
            whole_model: Whether the whole model is trained, not an adapter.
            above_language: Whether a language adapter stands below.
        """
        task = self.workspace.task(reference.name)
        _require_training(task)
        setup = parse("full" if whole_model else "{lang} > target" if above_language else "adapter")
        spec = TrainSpec(
            self.workspace,
            "intermediate",
            setup,
            task,
            self.method,
            self.config_for(task.name, whole_model),
            self.seed,
            languages=reference.languages,
        )
        return self.above_language(spec) if above_language else spec

    def above_language(self, spec: TrainSpec) -> TrainSpec:
        """The same run above the language adapter of its training data."""
        if len(spec.train_languages) != 1:
            raise ConfigError(
                f"{spec.reference} is trained in {len(spec.train_languages)} languages, {{lang}} is one",
                remedy=f"name one, as {spec.task.name}[{spec.train_languages[0]}]",
            )
        (language,) = spec.train_languages
        if language not in self.language_runs:
            raise ArtefactError(
                f"{spec.setup}: the store has no language adapter of {language}",
                remedy=f"train it: adaptrans language {language} --text DIR",
            )
        return replace(
            spec, parents={**spec.parents, language_parent(language): self.language_runs[language]}
        )

    @functools.cached_property
    def language_runs(self) -> Mapping[str, Run]:
        """The language adapters at hand, by language."""
        return language_runs(self.workspace)

    def mix(self, sources: tuple[Reference, ...], whole_model: bool = True) -> TrainSpec:
        """The run that trains the whole model, or one adapter, on several tasks at once."""
        config = self.config_for(mix_name(sources), whole_model)
        if config.mixing_weights is not None:
            names = {str(source) for source in sources}
            for name in config.mixing_weights:
                if name not in names:
                    raise UnknownNameError("task in mixing_weights", name, names)
            for name in sorted(names - config.mixing_weights.keys()):
                raise ConfigError(f"mixing_weights has no weight for {name}", remedy="give every task one")
        first, *others = (
            replace(self.intermediate(source, whole_model), config=config) for source in sources
        )
        return replace(first, others=tuple(others))

    def parents(self, setup: Setup) -> tuple[dict[str, Run], list[TrainSpec]]:
        """Runs that a setup builds on, by reference, and those of them that this plan trains."""
        runs: dict[str, Run] = {}
        specs: list[TrainSpec] = []
        for sources in parents_of(setup):
            if len(sources) > 1:
                spec = self.mix(sources)
                runs[spec.reference] = self.choose(spec)
                if not runs[spec.reference].is_done or self.choose is exact:
                    specs.append(spec)
                continue
            (reference,) = sources
            if reference.address is not None:
                raise SetupError(
                    f"{reference}: artefacts are not read from addresses by this version",
                    remedy="name a task, or a stored run as task#key",
                )
            if reference.run is not None:
                runs[str(reference)] = self.named(reference)
                continue
            spec = self.intermediate(reference, is_full(setup), has_language(setup))
            runs[str(reference)] = self.choose(spec)
            if not runs[str(reference)].is_done or self.choose is exact:
                specs.append(spec)
        return runs, specs

    def named(self, reference: Reference) -> Run:
        """A finished run named by its key."""
        assert reference.run is not None
        run = self.workspace.store.find(reference.run)
        task = run.config().get("task", "")
        if task.partition("@")[0] != reference.name:
            raise ArtefactError(f"run {run.name} was trained on {task}, not on {reference.name}")
        return run

    def target(self, setup: Setup, task: Task) -> tuple[TrainSpec, list[TrainSpec]]:
        """The run that trains a setup on a target, and the runs before it."""
        _require_training(task)
        check(setup, self.method)
        runs, before = self.parents(setup)
        config = self.config_for(task.name, is_full(setup))
        # How it is tested does not matter to how it is trained.
        setup = replace(setup, policy=None)
        spec = TrainSpec(self.workspace, "target", setup, task, self.method, config, self.seed, runs)
        return self.above_language(spec) if has_language(setup) else spec, before

    def evaluate(self, setup: Setup, task: Task) -> tuple[EvaluateSpec, list[TrainSpec]]:
        """The evaluation of a setup on a target, and all the training before it, in order."""
        if is_retrieval(task):
            check(setup, self.method, retrieval=True)
            runs, before = self.parents(setup)
            trained = None
        else:
            spec, before = self.target(setup, task)
            runs, trained = {}, self.choose(spec)
            before = [] if trained.is_done else [*before, spec]
        return self.evaluation_of(setup, task, trained, runs), before

    def evaluation_of(
        self, setup: Setup, task: Task, trained: Run | None, parents: dict[str, Run]
    ) -> EvaluateSpec:
        """The evaluation of a trained run, or for retrieval of the runs below the target."""
        languages = tuple(code for code in self.languages if code in task.languages)
        if self.languages and not languages:
            raise ConfigError(
                f"{task.name} has none of the languages {', '.join(self.languages)}",
                remedy="leave it out of the targets, or name one of its languages",
            )
        config = self.evaluation_for(task.name)
        if self.present and languages:
            there = self.workspace.languages_with(task, config.split)
            languages = tuple(code for code in languages if code in there) or languages
        return EvaluateSpec(
            self.workspace,
            setup,
            task,
            config,
            trained,
            parents,
            languages,
            self.method,
            self.seed,
            self.language_runs if has_language(setup) else {},
        )


def _require_training(task: Task) -> None:
    if is_retrieval(task):
        raise SetupError(
            f"{task.name} is a retrieval task and has no training", remedy="evaluate it directly"
        )
    if "train" not in task.splits:
        raise SetupError(f"{task.name} has no training split", remedy="name a task that has one")


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


@dataclass(frozen=True)
class Plan:
    """All runs of an experiment.

    Args:
        training: Training runs, each once, after those it builds on.
        cells: Evaluations, row by row.
        left_out: Cells that cannot be, each with its reason in one line.
    """

    training: tuple[TrainSpec, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[str, ...] = ()


def plan(
    planner: Planner,
    setups: tuple[str, ...],
    targets: tuple[str, ...],
    only: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """The runs that fill a table of setups by targets.

    A fusion on a retrieval target, which has no training, leaves its cell empty.

    Args:
        planner: What they share.
        setups: The rows.
        targets: The columns.
        only: Targets of a setup that has not all of them.

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
    training: dict[str, TrainSpec] = {}
    cells, left_out = [], []
    chosen = {str(parse(text)): names for text, names in (only or {}).items()}
    for text in setups:
        setup = parse(text)
        for task in tasks:
            if task.name not in chosen.get(str(setup), targets):
                continue
            if has_fusion(setup) and is_retrieval(task):
                left_out.append(f"{setup} has no score on {task.name}, which has no training for a fusion")
                continue
            if has_language(setup) and is_retrieval(task):
                left_out.append(f"{setup} has no score on {task.name}, whose pairs are in two languages")
                continue
            evaluation, before = planner.evaluate(setup, task)
            for spec in before:
                training.setdefault(spec.run.name, spec)
            cells.append(Cell(str(setup), task.name, evaluation))
    return Plan(tuple(training.values()), tuple(cells), tuple(left_out))
