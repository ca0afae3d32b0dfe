"""From a setup and a task to the runs they take, each after those it builds on. Torch-free."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from adaptrans.errors import ArtifactError, ConfigError, SetupError
from adaptrans.modeling import adapter_methods
from adaptrans.modeling.adapter_methods import DEFAULT_METHOD
from adaptrans.modeling.setup.nodes import (
    Reference,
    Setup,
    has_language,
    is_full,
    language_parent,
    mix_name,
    parents_of,
)
from adaptrans.modeling.setup.parser import parse, with_references
from adaptrans.modeling.setup.validation import check
from adaptrans.runs.base import RunSpec
from adaptrans.runs.evaluation import EvaluateSpec
from adaptrans.runs.few_shot import shot_specs
from adaptrans.runs.language_adapter import language_runs
from adaptrans.runs.store import Run
from adaptrans.runs.train import TrainSpec, fitting, is_retrieval, is_text
from adaptrans.runs.training_args import EvaluationConfig, TrainingConfig
from adaptrans.runs.transfer_setting import Regime, regime_of
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
        method: Adapter method.
        seed: Seed.
        languages: Test languages; empty for all that have data.
        choose: Which run answers for a training spec: by default the one of exactly its inputs.
        present: Leave out test languages of which there are no data, instead of refusing them.
        target_dev: Select the weights of target runs on the test languages' dev sets.
        shots_for: Options of the further training on a few examples; by default as `config_for`.
        tell: Told what is pulled from a hub.
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

    def __post_init__(self) -> None:
        # One spelling per method, so that the same options make the same key.
        object.__setattr__(self, "method", str(adapter_methods.parse(self.method)))

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
            # Only a target has test languages to select on.
            self.config_for(task.name, whole_model).model_copy(update={"select": "source_dev"}),
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
        for reference, *_ in parents_of(setup):
            if reference.run is not None:
                names = self.named(reference).config().get("parents", {})
            else:
                names = self.intermediate(reference, False, True).parents
            found = next((name.strip("{}") for name in names if name.startswith("{")), None)
            if found is not None:
                return found
        return "en"

    @functools.cached_property
    def language_runs(self) -> Mapping[str, Run]:
        """The language adapters at hand, by language."""
        return language_runs(self.workspace)

    def mix(
        self, sources: tuple[Reference, ...], whole_model: bool = True, above_language: bool = False
    ) -> TrainSpec:
        """The run that trains the whole model, or one adapter, on several tasks at once."""
        config = self.config_for(mix_name(sources), whole_model)
        config = config.model_copy(update={"select": "source_dev"})
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
        for sources in parents_of(setup):
            if len(sources) > 1:
                spec = self.mix(sources, is_full(setup), has_language(setup))
                runs[spec.reference] = self.choose(spec)
                if not runs[spec.reference].is_done or self.choose is exact:
                    specs.append(spec)
                continue
            (reference,) = sources
            if reference.run is not None:
                runs[str(reference)] = self.named(reference)
                continue
            spec = self.intermediate(reference, is_full(setup), has_language(setup))
            runs[str(reference)] = self.choose(spec)
            if not runs[str(reference)].is_done or self.choose is exact:
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
            from adaptrans.hub.resolve import resolve

            where = self.workspace
            run = resolve(reference.address, where.store, where.backbone, self.tell)
            return Reference(str(run.config().get("task", "")).partition("@")[0], run=run.key)

        return with_references(setup, run_of)

    def named(self, reference: Reference) -> Run:
        """A finished run named by its key."""
        assert reference.run is not None
        run = self.workspace.store.find(reference.run)
        task = run.config().get("task", "")
        if task.partition("@")[0] != reference.name:
            raise ArtifactError(f"run {run.name} was trained on {task}, not on {reference.name}")
        return run

    def target(self, setup: Setup, task: Task) -> tuple[TrainSpec, list[TrainSpec]]:
        """The run that trains a setup on a target, and the runs before it."""
        _require_training(task)
        if is_text(task):
            raise SetupError(
                f"{task.name} is text to train on before a target, and no target itself",
                remedy=f"name it in the setup, as 'full({task.name})'",
            )
        check(setup, self.method)
        setup = self.settled(setup)
        runs, before = self.parents(setup)
        config = self.config_for(task.name, is_full(setup))
        if self.target_dev:
            config = config.model_copy(update={"select": "target_dev"})
        tested = self.languages if config.select == "target_dev" else ()
        # How it is tested does not matter to how it is trained.
        setup = replace(setup, policy=None)
        spec = TrainSpec(
            self.workspace, "target", setup, task, self.method, config, self.seed, runs, tested=tested
        )
        return self.above_language(spec) if has_language(setup) else spec, before

    def evaluate(self, setup: Setup, task: Task) -> tuple[EvaluateSpec, list[TrainSpec]]:
        """The evaluation of a setup on a target, and all the training before it, in order."""
        setup = self.settled(setup)
        if is_retrieval(task):
            check(setup, self.method, retrieval=True)
            runs, before = self.parents(setup)
            if has_language(setup):
                runs |= self.language_below(self.untrained_language(setup), setup)
            trained = None
        else:
            spec, before = self.target(setup, task)
            runs, trained = {}, self.choose(spec)
            before = self._before(before, spec, trained)
            regime = Regime(target_dev=spec.config.select == "target_dev")
            return self.evaluation_of(setup, task, trained, runs, regime), before
        return self.evaluation_of(setup, task, trained, runs), before

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
        zero_shot = self.evaluation_of(setup, task, start, {})
        config = (self.shots_for or self.config_for)(task.name, is_full(setup))
        specs = shot_specs(base, start, zero_shot.wanted_languages, shots, config)
        if not specs:
            return None, []
        found = replace(
            zero_shot,
            languages=tuple(spec.language for spec in specs),
            shots={spec.language: spec for spec in specs},
            regime=specs[0].regime,
        )
        return found, [*self._before(before, base, start), *specs]

    def evaluation_of(
        self,
        setup: Setup,
        task: Task,
        trained: Run | None,
        parents: dict[str, Run],
        regime: Regime | None = None,
    ) -> EvaluateSpec:
        """The evaluation of a trained run, or for retrieval of the runs below the target."""
        if regime is None:
            regime = regime_of(trained.config()) if trained is not None and trained.is_done else Regime()
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
            regime=regime,
        )


def _require_training(task: Task) -> None:
    if is_retrieval(task):
        raise SetupError(
            f"{task.name} is a retrieval task and has no training", remedy="evaluate it directly"
        )
    if "train" not in task.splits:
        raise SetupError(f"{task.name} has no training split", remedy="name a task that has one")
