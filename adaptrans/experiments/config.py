"""An experiment file: which setups are compared on which targets. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, ValidationError, model_validator

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.experiments.expand import expanded
from adaptrans.experiments.files import EXTENDS, read_experiment
from adaptrans.experiments.overrides import overridden, place_of
from adaptrans.models.methods import DEFAULT_METHOD
from adaptrans.models.setup import mix_name, parents_of, parse, references
from adaptrans.runs import presets
from adaptrans.runs.config import EvaluationConfig, TrainingConfig
from adaptrans.runs.layers import COMMAND_LINE, Layer, Resolved, resolve
from adaptrans.tasks import catalogue
from adaptrans.tasks.schema import Names, Strict, Task
from adaptrans.tasks.yamlfile import KeyPath, explained

FILE = "file"
"""What is called the place of values that stand in an experiment file."""

SHOTS = {"epochs": 10, "batch_size": 8, "warmup": 0.0}
"""Further training on a few examples where nothing else is said; ours."""


def _alone(value: Any) -> Any:
    """A lone value stands for a list of one."""
    return (value,) if isinstance(value, int | str) else value


Seeds = Annotated[tuple[Annotated[int, Field(ge=0, le=2**63 - 1)], ...], BeforeValidator(_alone)]
Shots = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_alone)]
Selection = Literal["source_dev", "target_dev"]


METHODS = ("full", "adapter")
"""What a section of training options may be told apart by."""


class TrainingSection(Strict):
    """Training options in layers: `defaults`, then `full` or `adapter`, then the task's own likewise."""

    defaults: dict[str, Any] = Field(default={}, description="for every run")
    full: dict[str, Any] = Field(default={}, description="for runs that train the whole model")
    adapter: dict[str, Any] = Field(default={}, description="for runs that train an adapter")
    tasks: dict[str, dict[str, Any]] = Field(
        default={}, description="for runs on one task; under full or adapter there, for these runs on it"
    )
    shots: dict[str, Any] = Field(default={}, description="for the further training on a few examples")

    def layers(self, task: str, whole_model: bool) -> Iterator[Layer]:
        """The layers that hold for a run."""
        method = "full" if whole_model else "adapter"
        yield Layer(f"{FILE}: training.defaults", self.defaults)
        yield Layer(f"{FILE}: training.{method}", self.full if whole_model else self.adapter)
        own = self.tasks.get(task, {})
        of_method = own.get(method) or {}
        if not isinstance(of_method, Mapping):
            raise ConfigError(
                f"training.tasks.{task}.{method} holds no options", remedy="as full: {learning_rate: 1.0e-4}"
            )
        yield Layer(f"{FILE}: training.tasks.{task}", {k: v for k, v in own.items() if k not in METHODS})
        yield Layer(f"{FILE}: training.tasks.{task}.{method}", of_method)

    def config(self, task: str, whole_model: bool, given: Mapping[str, Any]) -> TrainingConfig:
        """The options of a run; `given` are those of the command line, which win."""
        layers = [*self.layers(task, whole_model), Layer(COMMAND_LINE, given)]
        return resolve(TrainingConfig, layers, f"training of {task}").config


class EvaluationSection(EvaluationConfig):
    """Evaluation options for every target; see `EvaluationConfig`."""

    tasks: dict[str, dict[str, Any]] = Field(default={}, description="other values for one target")

    def layers(self, task: str) -> Iterator[Layer]:
        """The layers that hold for a target."""
        yield Layer(f"{FILE}: evaluation", self.model_dump(exclude={"tasks"}, exclude_unset=True))
        yield Layer(f"{FILE}: evaluation.tasks.{task}", self.tasks.get(task, {}))

    def config(self, task: str, given: Mapping[str, Any]) -> EvaluationConfig:
        """The options of a target's evaluation; `given` are those of the command line, which win."""
        layers = [*self.layers(task), Layer(COMMAND_LINE, given)]
        return resolve(EvaluationConfig, layers, f"evaluation of {task}").config


class Experiment(Strict):
    """One comparison: setups in rows, targets in columns."""

    name: str
    description: str = ""
    extends: str | None = Field(
        default=None, description="another experiment, a file or a bundled one; this one says what differs"
    )
    backbone: str | None = Field(default=None, description="folder or hub id; the command line wins")
    backbones: Names = Field(default=(), description="several of them, each with tables of its own")
    preset: str | None = Field(default=None, description="options of a study; what the file says wins")
    intermediates: Names = Field(
        default=(), description="tasks that {intermediate} and {intermediates} in setups stand for; or nine"
    )
    setups: Names = Field(min_length=1, description="setup expressions, one row each")
    targets: Names = Field(min_length=1, description="target tasks, one column each, or a benchmark's name")
    only: dict[str, Names] = Field(default={}, description="targets of a setup that has not all of them")
    control: Literal["random"] | None = Field(
        default=None, description="random: the same runs on the backbone with its weights shuffled"
    )
    baseline: str = Field(default="full", description="the setup that differences are taken to")
    method: str = Field(default=DEFAULT_METHOD, description="adapter method of all adapter setups")
    methods: Names = Field(
        default=(), description="several of them: adapter setups have a row for each, the first one's plain"
    )
    seed: int = Field(default=1, ge=0, le=2**63 - 1, description="seed of weights, batches and dropout")
    seeds: Seeds = Field(default=(), description="several of them; tables show the median over seeds")
    shots: Shots = Field(
        default=(),
        description="also rows that go on training on so many examples per label of each target language",
    )
    select: Annotated[tuple[Selection, ...], BeforeValidator(_alone)] = Field(
        default=("source_dev",),
        min_length=1,
        description="where target runs select: source_dev, or target_dev, which is not zero-shot; or both",
    )
    languages: Names = Field(default=(), description="test languages; empty: all that have data")
    tasks: dict[str, dict[str, Any]] = Field(default={}, description="tasks of this experiment only")
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()

    @property
    def first_backbone(self) -> str | None:
        """The backbone, or the first of several; None where the command line has to say it."""
        return next(iter(self.backbones), self.backbone)

    def on(self, backbone: str | None) -> Experiment:
        """The experiment on the backbone of the command line, which wins; as it is where there is none."""
        return self if backbone is None else self.model_copy(update={"backbones": (), "backbone": backbone})

    _given: dict[KeyPath, str] = PrivateAttr(default_factory=dict)

    @property
    def given(self) -> Mapping[KeyPath, str]:
        """The values that came from the command line, by their keys."""
        return self._given

    @model_validator(mode="before")
    @classmethod
    def _expanded(cls, data: Any) -> Any:
        return expanded(data) if isinstance(data, Mapping) else data

    @property
    def adapter_methods(self) -> tuple[str, ...]:
        """The adapter methods, of which there is at least one."""
        return tuple(dict.fromkeys(self.methods)) or (self.adapter_method,)

    @property
    def adapter_method(self) -> str:
        """The adapter method: the file's, else the preset's; the first of several."""
        if self.methods:
            return self.methods[0]
        if self.preset is None or "method" in self.model_fields_set:
            return self.method
        return presets.get(self.preset).method

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds, of which there is at least one."""
        return tuple(dict.fromkeys(self.seeds)) or (self.seed,)

    def training_of(
        self,
        task: str,
        kind: str,
        whole_model: bool,
        depth: int,
        given: Mapping[str, Any],
        shots: bool = False,
    ) -> Resolved[TrainingConfig]:
        """The options of a training run and where they came from.

        Args:
            task: Its task, or the names of a mix.
            kind: Kind of the task.
            whole_model: Whether every weight is trained.
            depth: Layers of the backbone.
            given: Options of the command line, which win.
            shots: Whether it goes on training on a few examples.
        """
        layers: list[Layer] = []
        if self.preset is not None:
            preset = presets.get(self.preset)
            layers += preset.training_layers(task, kind, whole_model=whole_model, depth=depth)
        layers += self.training.layers(task, whole_model)
        if shots:
            layers += [
                Layer("default of shots", SHOTS),
                Layer(f"{FILE}: training.shots", self.training.shots),
            ]
        return resolve(TrainingConfig, [*layers, Layer(COMMAND_LINE, given)], f"training of {task}")

    def evaluation_of(self, task: str, kind: str, given: Mapping[str, Any]) -> Resolved[EvaluationConfig]:
        """The options of a target's evaluation and where they came from."""
        layers = [] if self.preset is None else list(presets.get(self.preset).evaluation_layers(task, kind))
        layers += [*self.evaluation.layers(task), Layer(COMMAND_LINE, given)]
        return resolve(EvaluationConfig, layers, f"evaluation of {task}")

    def inline_tasks(self, folders: tuple[Path, ...]) -> dict[str, Task]:
        """The experiment's own tasks, resolved in their order; later ones may use earlier ones."""
        found: dict[str, Task] = {}
        for name, values in self.tasks.items():
            found[name] = catalogue.resolve(values, name=name, folders=folders, known=found)
        return found

    def check(self, where: str) -> None:
        """Refuse options of tasks that do not occur, and options that cannot be, before anything runs.

        Raises:
            ConfigError: If the baseline is no setup.
            UnknownNameError: If a task name, a preset or an option is unknown.
        """
        setups = [parse(text) for text in self.setups]
        if str(parse(self.baseline)) not in map(str, setups):
            raise ConfigError(
                f'{where}: baseline "{self.baseline}" is not among setups',
                remedy="add it, or name one of them",
            )
        for setup, chosen in self.only.items():
            if str(parse(setup)) not in map(str, setups):
                raise UnknownNameError(f"setup under only in {where}", setup, self.setups)
            for target in chosen:
                if target not in self.targets:
                    raise UnknownNameError(f"target of {setup} under only in {where}", target, self.targets)
        if self.preset is not None:
            presets.get(self.preset)
        named = {reference.name for setup in setups for reference in references(setup)}
        mixes = {mix_name(sources) for setup in setups for sources in parents_of(setup) if len(sources) > 1}
        known = {*self.targets, *self.tasks, *named, *mixes}
        if self.given or self.extends:
            # The command line, or a file that extends another, may leave out what there are options for.
            known |= set(catalogue.names())
        for section in (self.training.tasks, self.evaluation.tasks):
            for task in section:
                if task not in known:
                    raise UnknownNameError(f"task in {where}", task, known)
        resolve(TrainingConfig, [Layer(FILE, self.training.shots)], "training.shots")
        # The last one stands for every task without options of its own.
        for task in (*self.training.tasks, *self.evaluation.tasks, ""):
            self.training.config(task, True, {})
            self.training.config(task, False, {})
            self.evaluation.config(task, {})


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read and check an experiment file.

    Args:
        path: The file.
        overrides: Values that win over it, as `training.full.epochs=2`.

    Raises:
        ConfigError: If it is missing, not YAML, or has an unknown key or an impossible value;
            names file and line, or the override.
    """
    if not path.is_file():
        raise ConfigError(
            f"there is no experiment file {path}",
            remedy="see configs/ for examples, or adaptrans config list",
        )
    data, lines = read_experiment(path)
    data, places = overridden(data, overrides)
    if (EXTENDS,) in places:
        raise ConfigError(
            f'"{places[(EXTENDS,)]}": a file extends, the command line does not', remedy="name that file"
        )
    try:
        experiment = Experiment.model_validate(data)
    except ValidationError as problem:
        # What was said on the command line has no line in the file.
        given = place_of(tuple(problem.errors()[0]["loc"]), places)
        if given is not None:
            raise explained(problem, f'"{given}"', {}, _known_keys) from None
        raise explained(problem, str(path), lines, _known_keys) from None
    experiment._given = places
    experiment.check(str(path))
    return experiment


def _known_keys(at: KeyPath) -> list[str]:
    """Keys that may stand where the unknown key at this path stands."""
    model: type[BaseModel] = Experiment
    for key in at[:-1]:
        inner = model.model_fields[str(key)].annotation if str(key) in model.model_fields else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)
