"""From setups and targets to the graph of runs that fills their table. Torch-free."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from adaptrans.analysis.comparison import Entry, TargetTable, corrected, formulated
from adaptrans.analysis.entries import tables_of
from adaptrans.errors import ArtifactError, ConfigError, SetupError
from adaptrans.formulations.written import HEAD
from adaptrans.languages import unknown
from adaptrans.modeling import adapter_methods
from adaptrans.modeling.adapter_methods import DEFAULT_METHOD
from adaptrans.modeling.backbone import ABSENT, control_name, control_of
from adaptrans.modeling.setup.nodes import (
    Reference,
    Setup,
    language_parent,
    mix_name,
    parent_language,
)
from adaptrans.modeling.setup.parser import parse
from adaptrans.modeling.setup.validation import check
from adaptrans.runs.base import RunSpec, TransferSetting
from adaptrans.runs.evaluation import EvaluateSpec, execute_together, sharing_a_load
from adaptrans.runs.language_adapter import language_runs
from adaptrans.runs.store import Run
from adaptrans.runs.train import TrainSpec, answers_below, fitting, is_retrieval, shot_specs
from adaptrans.runs.training_args import EvaluationConfig, TrainingConfig
from adaptrans.runs.workspace import Workspace
from adaptrans.task_types.rows import Prefixes
from adaptrans.tasks.loading import HUB, listed
from adaptrans.tasks.names import TaskRef
from adaptrans.tasks.schema import Task
from adaptrans.utils.io import canonical_json

ConfigFor = Callable[[str, bool], TrainingConfig]
"""Options of a run, from its task's name and whether it trains the whole model."""


def exact(spec: TrainSpec) -> Run:
    """The run of exactly these inputs, whether or not it exists."""
    return spec.run


def stored(spec: TrainSpec, tell: Callable[[str], None] = lambda text: None) -> Run:
    """The only finished run of the same task, setup, method, seed and parents, whatever its options.

    So `adaptrans target` takes the adapter that `adaptrans intermediate` made, and `adaptrans evaluate`
    needs no training data. Where there is none, the run of exactly these inputs. `tell` is told which
    intermediate run was taken.

    Raises:
        ArtifactError: If several such runs are finished and none has exactly these inputs; says how to
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
    move = "move the folders of those that are not meant out of"
    one = f"name one: '{spec.task.name}#{found[-1].key}' in a setup, or --run {found[-1].key}"
    raise ArtifactError(
        f"{spec.reference} was trained several times: {names}",
        remedy=f"{move} {found[-1].path.parent}, or give each its --store" if spec.others else one,
    )


@dataclass(frozen=True)
class Planner:
    """What all runs of a plan share.

    Args:
        workspace: Where they work.
        config_for: Training options by task and method.
        evaluation_for: Evaluation options by task.
        languages: Test languages; empty for all that have data.
        choose: Which run answers for a training spec: by default the one of exactly its inputs.
        present: Leave out test languages of which there are no data, instead of refusing them.
        target_dev: Select the weights of target runs on the test languages' dev sets.
        shots_for: Options of the further training on a few examples; by default as `config_for`.
        tell: Told what is pulled from a hub.
        sizes: Training examples of an intermediate, by its reference, where its options do not say.
    """

    workspace: Workspace
    config_for: ConfigFor
    evaluation_for: Callable[[str], EvaluationConfig] = lambda task: EvaluationConfig()
    method: str = DEFAULT_METHOD
    seed: int = 1
    languages: tuple[str, ...] = ()
    choose: Callable[[TrainSpec], Run] = exact
    present: bool = False
    target_dev: bool = False
    shots_for: ConfigFor | None = None
    tell: Callable[[str], None] = lambda text: None
    sizes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # One spelling per method, so that the same options make the same key.
        object.__setattr__(self, "method", str(adapter_methods.parse(self.method)))

    def intermediate(
        self, reference: Reference, whole_model: bool, above_language: bool = False
    ) -> TrainSpec:
        """The run that trains what a reference names, the whole model or an adapter.

        With `above_language` a language adapter stands below it.
        """
        task = self.workspace.task(reference.name)
        _require_training(task)
        spec = TrainSpec(
            self.workspace,
            "intermediate",
            parse("full" if whole_model else "{lang} > target" if above_language else "adapter"),
            task,
            self.method,
            self._of_intermediate(task.name, whole_model, [reference]),
            self.seed,
            languages=reference.languages,
        )
        return self.above_language(spec) if above_language else spec

    def _of_intermediate(
        self, name: str, whole_model: bool, references: Sequence[Reference]
    ) -> TrainingConfig:
        """The options of an intermediate run: only a target has test languages to select on."""
        sizes = {self.sizes[str(item)] for item in references if str(item) in self.sizes}
        more = {"limit_train": max(sizes)} if sizes else {}
        return self.config_for(name, whole_model).model_copy(update={"select": "source_dev", **more})

    def above_language(self, spec: TrainSpec) -> TrainSpec:
        """The same run above the language adapter of its training data."""
        if len(spec.train_languages) != 1:
            raise ConfigError(
                f"{spec.reference} is trained in {len(spec.train_languages)} languages, {{lang}} is one",
                remedy=f"name one, as {spec.task.name}[{spec.train_languages[0]}]",
            )
        (language,) = spec.train_languages
        return replace(spec, parents={**spec.parents, **self.language_below(language, spec.setup)})

    def language_below(self, language: str, setup: Setup) -> dict[str, Run]:
        """The language adapter below a setup, as one of its parents.

        Raises:
            ArtifactError: If there is none of the language.
        """
        if language not in self.language_runs:
            raise ArtifactError(
                f"{setup}: the store has no language adapter of {language}",
                remedy=f"train it: adaptrans language {language} --text DIR",
            )
        return {language_parent(language): self.language_runs[language]}

    def untrained_language(self, setup: Setup) -> str:
        """The language whose adapter stands below a setup without training: that of its tasks, or English."""
        for reference, *_ in setup.parents():
            if reference.run is not None:
                names = self.named(reference).config().get("parents", {})
            else:
                names = self.intermediate(reference, False, True).parents
            for language in filter(None, map(parent_language, names)):
                return language
        return "en"

    @functools.cached_property
    def language_runs(self) -> Mapping[str, Run]:
        """The language adapters at hand, by language."""
        return language_runs(self.workspace)

    def mix(
        self, sources: tuple[Reference, ...], whole_model: bool = True, above_language: bool = False
    ) -> TrainSpec:
        """The run that trains the whole model, or one adapter, on several tasks at once."""
        config = self._of_intermediate(mix_name(sources), whole_model, sources)
        config = fitting(config, [str(source) for source in sources])
        first, *others = (
            replace(self.intermediate(source, whole_model, above_language), config=config)
            for source in sources
        )
        for other in others:
            if above_language and other.train_languages != first.train_languages:
                raise ConfigError(
                    f"{first.reference} and {other.reference} are in different languages, {{lang}} is one",
                    remedy="name the same language for every task of the mix",
                )
        return replace(first, others=tuple(others))

    def parents(self, setup: Setup) -> tuple[dict[str, Run], list[TrainSpec]]:
        """Runs that a setup builds on, by reference, and those of them that this plan trains."""
        runs: dict[str, Run] = {}
        specs: list[TrainSpec] = []
        for sources in setup.parents():
            if sources[0].run is not None and len(sources) == 1:
                runs[str(sources[0])] = self.named(sources[0])
                continue
            how = setup.is_full, setup.has_language
            spec = self.mix(sources, *how) if len(sources) > 1 else self.intermediate(sources[0], *how)
            run = runs[spec.reference] = self.choose(spec)
            if not run.is_done or self.choose is exact:
                specs.append(spec)
        return runs, specs

    def settled(self, setup: Setup) -> Setup:
        """The setup with the runs that its addresses name, pulled into the store where it lacks them.

        What a run is built on, and so its key, does not depend on where it was fetched from.
        """

        def run_of(reference: Reference) -> Reference:
            if reference.address is None:
                return reference
            # Only an address needs the hub, and reading what the hub needs takes longer than a plan.
            from adaptrans.hub.pull import resolve

            where = self.workspace
            run = resolve(reference.address, where.store, where.backbone, self.tell)
            return Reference(TaskRef.parse(str(run.config().get("task", ""))).name, run=run.key)

        return setup.with_references(run_of)

    def named(self, reference: Reference) -> Run:
        """A finished run named by its key."""
        assert reference.run is not None
        run = self.workspace.store.find(reference.run)
        task = run.config().get("task", "")
        if TaskRef.parse(task).name != reference.name:
            raise ArtifactError(f"run {run.name} was trained on {task}, not on {reference.name}")
        return run

    def target(self, setup: Setup, task: Task) -> tuple[TrainSpec, list[TrainSpec]]:
        """The run that trains a setup on a target, and the runs before it."""
        _require_training(task)
        if task.type.plain_text:
            raise SetupError(
                f"{task.name} is text to train on before a target, and no target itself",
                remedy=f"name it in the setup, as 'full({task.name})'",
            )
        check(setup, self.method)
        # How it is tested does not matter to how it is trained.
        setup = replace(self.settled(setup), policy=None)
        runs, before = self.parents(setup)
        config = self.config_for(task.name, setup.is_full)
        if self.target_dev:
            config = config.model_copy(update={"select": "target_dev"})
        tested = self.languages if config.select == "target_dev" else ()
        spec = TrainSpec(
            self.workspace, "target", setup, task, self.method, config, self.seed, runs, tested=tested
        )
        return self.above_language(spec) if setup.has_language else spec, before

    def evaluate(self, setup: Setup, task: Task) -> tuple[EvaluateSpec, list[TrainSpec]]:
        """The evaluation of a setup on a target, and all the training before it, in order."""
        setup = self.settled(setup)
        if not answers_below(task):
            spec, before = self.target(setup, task)
            trained = self.choose(spec)
            transfer = TransferSetting(target_dev=spec.config.select == "target_dev")
            found = self.evaluation_of(setup, task, trained, {}, transfer, spec.prefixes)
            return found, self._before(before, spec, trained)
        check(setup, self.method, retrieval=True)
        if not self.finds_lender(setup, task):
            raise task.formulation.refusal(setup)
        runs, before = self.parents(setup)
        if setup.has_language:
            runs |= self.language_below(self.untrained_language(setup), setup)
        return self.evaluation_of(setup, task, None, runs), before

    def finds_lender(self, setup: Setup, task: Task) -> bool:
        """Whether a setup has the head that a task's formulation answers under untrained, if it needs one."""
        form = task.formulation
        if form is None or not form.needs_lender:
            return True
        tasks = [self.workspace.task(source.name) for source in setup.references() if source.name]
        # What an address names is known when it is fetched.
        return len(tasks) < len(setup.references()) or any(
            form.lends(str(own.type.head), own.labels) for own in tasks
        )

    def _before(self, before: Sequence[TrainSpec], spec: TrainSpec, trained: Run) -> list[TrainSpec]:
        """The training that a plan shows before an evaluation: of a finished run what exists, to be seen."""
        if not trained.is_done:
            return [*before, spec]
        return [*(other for other in before if other.run.is_done), spec] if self.choose is exact else []

    def few_shot(self, setup: Setup, task: Task, shots: int) -> tuple[EvaluateSpec | None, list[RunSpec]]:
        """The evaluation of a setup after further training on a few examples of each language.

        Returns:
            The evaluation, None where no language has examples to draw; and all the training before it.
        """
        setup = self.settled(setup)
        base, before = self.target(setup, task)
        start = self.choose(base)
        zero_shot = self.evaluation_of(setup, task, start, {}, prefixes=base.prefixes)
        config = (self.shots_for or self.config_for)(task.name, setup.is_full)
        specs = shot_specs(base, start, zero_shot.wanted_languages, shots, config)
        if not specs:
            return None, []
        own = {spec.language: spec for spec in specs}
        found = replace(zero_shot, languages=tuple(own), shots=own, transfer=specs[0].transfer)
        return found, [*self._before(before, base, start), *specs]

    def evaluation_of(
        self,
        setup: Setup,
        task: Task,
        trained: Run | None,
        parents: dict[str, Run],
        transfer: TransferSetting | None = None,
        prefixes: Prefixes | None = None,
    ) -> EvaluateSpec:
        """The evaluation of a trained run, or for retrieval of the runs below the target.

        What is known of a run that is not done is given.
        """
        made = trained.config() if trained is not None and trained.is_done else None
        if transfer is None:
            transfer = TransferSetting.of(made or {})
        if made is not None or prefixes is None:
            prefixes = Prefixes.of_key((made or {}).get("text_prefix"))
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
            self.language_runs if setup.has_language else {},
            transfer=transfer,
            trained_with=prefixes if task.type.takes_prefix else Prefixes(),
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
        method: Adapter method where it is named in the row; empty for the first or only one.
        factors: Values of the factors of an experiment that has some.
        told: What tells its row from others of the same setup, such as the size of the intermediate's data.
        formulation: How the target is put, as it is written; empty where it is put as its type puts it.
    """

    setup: str
    target: str
    evaluation: EvaluateSpec
    method: str = ""
    factors: tuple[tuple[str, Any], ...] = ()
    told: str = ""
    formulation: str = ""

    @property
    def transfer(self) -> TransferSetting:
        """What was seen of the target languages."""
        return self.evaluation.transfer

    @property
    def row(self) -> str:
        """The name of its row."""
        more = ", ".join(filter(None, (self.method, self.told)))
        named = f"{self.setup} ({more})" if more else self.setup
        return self.transfer.row(formulated(named, self.formulation))

    @property
    def against(self) -> str:
        """The row that a formulation is compared with: the same setup with the task as its type puts it."""
        return replace(self, formulation="").row if self.formulation else ""


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
    formulations: Sequence[str] = (HEAD,),
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
        formulations: How every target is put, each in rows of its own; one that does not fit a target leaves
            its cells empty.

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
        for task, written in product(tasks, formulations):
            if task.name not in chosen.get(str(setup), targets):
                continue
            try:
                own = task.put(written, planner.workspace.folders)
            except SetupError as error:
                left_out.append(error.message)
                continue
            # The same with every adapter method: a whole model, or the bare backbone.
            if named and (setup.is_full or (answers_below(own) and not setup.below_target())):
                continue
            reason = _no_cell(setup, own, shots, planner.target_dev, named)
            if reason is None and not planner.finds_lender(setup, own):
                reason = own.formulation.refusal(setup).message
            if reason is not None:
                left_out.append(reason)
                continue
            planned = planner.few_shot(setup, own, shots) if shots else planner.evaluate(setup, own)
            evaluation, before = planned
            if evaluation is None:
                lacks = "no target language has train or dev data"
                left_out.append(f"{task.name} has no {shots}-shot row: {lacks}")
                continue
            for spec in before:
                training.setdefault(spec.run.path, spec)
            form = "" if own.formulation is None else str(own.formulation)
            cells.append(Cell(str(setup), task.name, evaluation, named, formulation=form))
    return Plan(tuple(training.values()), tuple(cells), tuple(dict.fromkeys(left_out)))


def _no_cell(setup: Setup, task: Task, shots: int, target_dev: bool, named: str) -> str | None:
    """Why a setup has no score on a target, or none with the adapter method that is named; or None."""
    if is_retrieval(task):
        if shots or target_dev:
            return f"{task.name} has no training, so only zero-shot rows"
        if setup.fusions:
            return f"{setup} has no score on {task.name}, which has no training for a fusion"
    elif task.type.untrained:
        if shots or target_dev:
            return f"{task.shown} is not trained, so only zero-shot rows"
        if setup.fusions:
            return f"{setup} has no score on {task.shown}, for which a fusion is not trained"
    if shots and setup.has_language:
        return f"{setup} has no few-shot rows: its language adapter is another one in each language"
    try:
        if named:
            check(setup, named, retrieval=answers_below(task))
    except SetupError as error:
        return f"no rows with {named} for {error.message}"
    return None


@dataclass(frozen=True)
class Job:
    """What an engine computes at once: one run of a plan, or several evaluations that answer side by side.

    Args:
        done: Whether the store has it.
        what: What it computes, in words.
        needs: Folders of the runs that it builds on.
        beside: Further runs that `compute` computes in the same pass.
    """

    run: Run
    done: bool
    what: str
    compute: Callable[[], Any]
    needs: frozenset[Path] = frozenset()
    beside: tuple[Job, ...] = ()


def jobs_of(plan: Plan, together: bool = False) -> list[Job]:
    """Every run of a plan once, in order.

    Args:
        plan: The plan.
        together: Evaluations that answer the same inputs are one job, computed in one pass over them; the
            results are the same. Those of one setup on the same target, perturbed and not, always are one.
    """
    told = _telling(plan.specs)
    items = {}
    for spec in plan.specs:
        needs = frozenset(run.path for run in spec.needs)
        what = f"{spec.describe()}{told(spec)}"
        items[spec.run.path] = Job(spec.run, spec.is_done, what, spec.execute, needs)
    for first, *others in sharing_a_load([cell.evaluation for cell in plan.cells], together):
        if others:
            beside = [items.pop(spec.run.path) for spec in others]
            one = items[first.run.path]
            needs = one.needs.union(*(item.needs for item in beside))
            compute = partial(execute_together, [first, *others])
            items[first.run.path] = replace(one, compute=compute, needs=needs, beside=tuple(beside))
    return list(items.values())


def _telling(specs: Sequence[RunSpec]) -> Callable[[RunSpec], str]:
    """What tells a run from those of other seeds, methods and backbones, where a plan has several."""

    def method(spec: RunSpec) -> str:
        return "" if spec.effective_method in ("full", "none") else spec.effective_method

    seeds = len({spec.seed for spec in specs}) > 1
    methods = len({method(spec) for spec in specs} - {""}) > 1
    names = {spec.workspace.backbone.name for spec in specs}
    backbones = len({control_of(name) or name for name in names}) > 1

    def examples(spec: RunSpec) -> int | None:
        return getattr(spec.config, "limit_train", None) if spec.phase == "intermediate" else None

    sizes = len({examples(spec) for spec in specs if spec.phase == "intermediate"}) > 1

    def told(spec: RunSpec) -> str:
        seed, name = spec.inputs["seed"], spec.workspace.backbone.name
        parts = [f", {method(spec)}"] if methods and method(spec) else []
        parts += [f", {examples(spec)} examples"] if sizes and examples(spec) is not None else []
        parts += [f", seed {seed}"] if seeds and seed is not None else []
        parts += [f" [{name}]"] if backbones or control_of(name) is not None else []
        return "".join(parts)

    return told


def planned_tables(
    planned: Plan, targets: Sequence[str], baseline: str, cache: Path
) -> tuple[list[TargetTable], list[str]]:
    """The tables of a plan whose cells are done, p-values corrected over them, and the targets without one.

    Rows that are not zero-shot stand in tables of their own, beside the baseline of their own kind. Tables
    are kept in the folder `cache`.
    """
    names = {_backbone(cell) for cell in planned.cells}
    own = [cell for cell in planned.cells if control_of(_backbone(cell)) not in names]
    tables, unscored = [], []
    backbones, transfers = dict.fromkeys(map(_backbone, own)), dict.fromkeys(cell.transfer for cell in own)
    for backbone, transfer, target in product(backbones, transfers, targets):
        both = (backbone, control_name(backbone))
        found = [
            cell
            for cell in planned.cells
            if (cell.target, cell.transfer) == (target, transfer) and _backbone(cell) in both
        ]
        entries = row_entries(found, backbone)
        made = tables_of(entries, transfer.row(str(parse(baseline))), cache) if entries else []
        tables += made
        if entries and not made:
            unscored.append(transfer.row(target))
    lacking = [name for name in targets if name not in {cell.target for cell in own}]
    return corrected(tables), list(dict.fromkeys([*unscored, *lacking]))


def row_entries(cells: Sequence[Cell], backbone: str) -> list[Entry]:
    """The rows of one target on a backbone: all seeds of a setup, each with its shuffled-weights baseline."""
    rows: dict[str, list[Cell]] = {}
    controls: dict[str, list[Cell]] = {}
    for cell in cells:
        (rows if _backbone(cell) == backbone else controls).setdefault(cell.row, []).append(cell)
    found = []
    for row, own in rows.items():
        asked = [cell.evaluation.wanted_languages for cell in own]
        order = tuple(code for code in asked[0] if all(code in codes for codes in asked))
        others = tuple(cell.evaluation.run for cell in controls.get(row, []))
        runs = tuple(cell.evaluation.run for cell in own)
        found.append(Entry(row, runs, order, others, own[0].against))
    return found


def _backbone(cell: Cell) -> str:
    return cell.evaluation.workspace.backbone.name
