"""An experiment file: which setups are compared on which targets. Torch-free."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, ValidationError, model_validator

from adaptrans import benchmarks, samples
from adaptrans.analysis.study.base import AnalysisEntry
from adaptrans.analysis.study.covariates import Distances
from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.experiments.vary import Variant, Vary
from adaptrans.formulations.written import Written, split_name
from adaptrans.modeling.adapter_methods import DEFAULT_METHOD
from adaptrans.modeling.setup.nodes import NINE, mix_name
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs import presets
from adaptrans.runs.presets import MIX
from adaptrans.runs.training_args import (
    COMMAND_LINE,
    DEFAULT,
    EvaluationConfig,
    Layer,
    Resolved,
    TrainingConfig,
    resolve,
)
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.tasks import catalogue
from adaptrans.tasks.schema import Names, Strict, Task
from adaptrans.utils.renames import OPTIONS, current
from adaptrans.utils.yaml import KeyPath, explained, load_yaml, plain_value

EXTENDS = "extends"
REMEDY = "adaptrans config list shows bundled ones"


@cache
def bundled() -> dict[str, Path]:
    """The experiments that ship, by name; subfolders are part of it.

    Example:
        >>> "quickstart" in bundled()
        True
    """
    folder = Path(str(files("adaptrans_configs")))
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}
    return {name: path for name, path in sorted(found.items()) if "setups:" in path.read_text("utf-8")}


def experiment_file(name: str, beside: Path | None = None) -> Path:
    """The file of this path, looked for `beside` a file first, or the bundled experiment of this name.

    Raises:
        ConfigError: If there is no such file.
        UnknownNameError: If there is no such experiment; the nearest name is suggested.
    """
    path, known = Path(name), bundled()
    for place in ([beside / path] if beside is not None else []) + [path]:
        if place.is_file():
            return place
    if name in known:
        return known[name]
    if path.suffix or path.is_absolute() or name.startswith("."):
        raise ConfigError(f"there is no experiment file {name}", remedy=REMEDY)
    raise UnknownNameError("experiment", name, known, remedy=REMEDY)


def read_experiment(path: Path, through: tuple[Path, ...] = ()) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """The keys of an experiment file and the line of each; what it extends is filled in, without lines.

    Args:
        path: The file.
        through: The files that extend it.

    Raises:
        ConfigError: If a file is missing, not YAML, or extends itself.
    """
    if path.resolve() in through:
        raise ConfigError(f"{path} extends itself", remedy="take one extends out")
    data, lines = load_yaml(path)
    if data.get(EXTENDS) is None:
        return data, lines
    try:
        base = experiment_file(str(data[EXTENDS]), beside=path.parent)
    except (ConfigError, UnknownNameError) as error:
        raise ConfigError(f"{path}:{lines[(EXTENDS,)]}: {error.message}", remedy=error.remedy) from None
    return merged(read_experiment(base, (*through, path.resolve()))[0], data), lines


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Keys over inherited ones: sections are joined key by key, any other value replaces, null takes away.

    Example:
        >>> merged({"a": {"x": 1, "y": 2}, "b": [1], "c": 3}, {"a": {"y": 5}, "b": [2], "c": None})
        {'a': {'x': 1, 'y': 5}, 'b': [2]}
    """
    found = dict(base)
    for key, value in own.items():
        before = found.get(key)
        if value is None:
            found.pop(key, None)
        elif isinstance(before, Mapping) and isinstance(value, Mapping):
            found[key] = merged(before, value)
        else:
            found[key] = value
    return found


ONE, ALL = "{intermediate}", "{intermediates}"
ALL_NINE = "nine"
_AT_ONCE = re.compile(r"((?:full|mix)\(\s*)\{intermediates\}")


def expanded(data: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of an experiment, as written, with wildcards and benchmark names filled in.

    Raises:
        ConfigError: If a setup has a wildcard and there are no intermediates.

    Example:
        >>> expanded({"setups": ["full", "{intermediate} > target"], "intermediates": ["a", "b"]})["setups"]
        ['full', 'a > target', 'b > target']
        >>> expanded({"targets": "xtreme-r"})["targets"][-3:]
        ['tatoeba_r', 'mewslix', 'lareqa']
    """
    found = dict(data)
    given = names_of(data.get("intermediates"))
    tasks = [name for text in given for name in (NINE if text == ALL_NINE else (text,))]
    if "setups" in found:
        found["setups"] = [text for setup in names_of(found["setups"]) for text in filled(setup, tasks)]
    if isinstance(found.get("only"), Mapping):
        found["only"] = {
            text: targets_of(targets, data)
            for setup, targets in found["only"].items()
            for text in filled(str(setup), tasks)
        }
    control = found.get("control")
    if isinstance(control, Mapping) and control.get(RANDOM) is not None:
        own = [text for setup in names_of(control[RANDOM]) for text in filled(str(setup), tasks)]
        found["control"] = {**control, RANDOM: own}
    if "targets" in found:
        found["targets"] = targets_of(found["targets"], data)
    return found


def is_mix(task: str) -> bool:
    """Whether a name is that of several tasks at once.

    Example:
        >>> is_mix("mnli + squad"), is_mix("nine"), is_mix("mnli")
        (True, True, False)
    """
    return " + " in task or task == ALL_NINE


def filled(setup: str, tasks: Sequence[str]) -> list[str]:
    """A setup with its wildcards filled in: one for each task, or one with all of them.

    Raises:
        ConfigError: If there is a wildcard and there are no tasks.

    Example:
        >>> filled("fuse({intermediates}) > target", ["a", "b"]), filled("full({intermediates})", ["a", "b"])
        (['fuse(a, b) > target'], ['full(a + b)'])
    """
    if ONE not in setup and ALL not in setup:
        return [setup]
    if not tasks:
        raise ConfigError(
            f"the setup '{setup}' has a wildcard and there are no intermediates",
            remedy="add intermediates: [mnli, squad], or intermediates: nine",
        )
    joined = _AT_ONCE.sub(lambda match: match[1] + " + ".join(tasks), setup).replace(ALL, ", ".join(tasks))
    return [joined.replace(ONE, task) for task in tasks] if ONE in joined else [joined]


def targets_of(value: Any, data: Mapping[str, Any]) -> Any:
    """Targets with the name of a benchmark replaced by its tasks; a task of the experiment's own wins."""
    own = data.get("tasks") or {}
    found: dict[str, None] = {}
    for name in names_of(value):
        whole = name in benchmarks.names() and name not in own
        found.update(dict.fromkeys(benchmarks.get(name).targets if whole else [name]))
    return list(found)


def names_of(value: Any) -> Any:
    """A lone text as a list of one, nothing as an empty list; anything else as it is, to be refused later.

    Example:
        >>> names_of("xnli"), names_of(None), names_of(["a"])
        (['xnli'], [], ['a'])
    """
    return [value] if isinstance(value, str) else [] if value is None else value


def parsed(
    text: str, called: str = "", example: str = "training.full.epochs=2"
) -> tuple[tuple[str, ...], Any]:
    """The path of keys and the value of one override, the only reading of `key=value` on command lines.

    The value is YAML, read as in files: `no` is Norwegian. Messages put `called`, such as `--set `, before
    the override and show an example.

    Raises:
        ConfigError: If it is not of the form key=value, or the value is no YAML.

    Example:
        >>> parsed("training.full.epochs=2"), parsed("targets=[xnli, udpos]")
        ((('training', 'full', 'epochs'), 2), (('targets',), ['xnli', 'udpos']))
    """
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise ConfigError(f'{called}"{text}" is not of the form key=value', remedy=f"as {example}")
    try:
        return path, plain_value(value)
    except yaml.YAMLError:
        raise ConfigError(f'{called}"{text}" has no readable value', remedy=f"as {example}") from None


def overridden(
    data: Mapping[str, Any], overrides: Sequence[str]
) -> tuple[dict[str, Any], dict[KeyPath, str]]:
    """The keys of a file with the overrides put in, and the override that each path came from.

    Raises:
        ConfigError: If an override is not of the form key=value, or names a key below a plain value.

    Example:
        >>> overridden({"seed": 1, "training": {"full": {"epochs": 3}}}, ["training.full.epochs=1"])[0]
        {'seed': 1, 'training': {'full': {'epochs': 1}}}
    """
    found = copy.deepcopy(dict(data))
    places: dict[KeyPath, str] = {}
    for text in overrides:
        path, value = parsed(text)
        at: Any = found
        for key in path[:-1]:
            if at.get(key) is None:
                at[key] = {}
            at = at[key]
            if not isinstance(at, dict):
                raise ConfigError(f'"{text}": {key} holds a value, not keys', remedy=f"set {key} itself")
        at[path[-1]] = value
        places[path] = text
    return found, places


def place_of(at: KeyPath, places: Mapping[KeyPath, str]) -> str | None:
    """The override that a path of keys belongs to, if any."""
    return next((text for path, text in places.items() if at[: len(path)] == path), None)


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


class EvaluationSection(EvaluationConfig):
    """Evaluation options for every target; see `EvaluationConfig`."""

    tasks: dict[str, dict[str, Any]] = Field(default={}, description="other values for one target")

    @model_validator(mode="before")
    @classmethod
    def _current(cls, data: Any) -> Any:
        return current(data, OPTIONS) if isinstance(data, Mapping) else data

    def layers(self, task: str) -> Iterator[Layer]:
        """The layers that hold for a target."""
        yield Layer(f"{FILE}: evaluation", self.model_dump(exclude={"tasks"}, exclude_unset=True))
        yield Layer(f"{FILE}: evaluation.tasks.{task}", self.tasks.get(task, {}))


RANDOM = "random"
"""The control: the same runs on the backbone with its weights shuffled."""


class Control(Strict):
    """Which runs have a control."""

    random: Annotated[Names, Field(min_length=1)] | None = Field(
        description="these setups alone, on the backbone with its weights shuffled"
    )

    def __str__(self) -> str:
        return RANDOM if self.random is None else f"{RANDOM}: {', '.join(self.random)}"


def _as_control(value: Any) -> Any:
    """Its name alone stands for a control of all setups."""
    if value == RANDOM:
        return Control(random=None)
    if value is None or isinstance(value, Control):
        return value
    if isinstance(value, Mapping) and (RANDOM not in value or value[RANDOM]):
        return value
    raise ValueError("write random, or {random: [SETUP, ...]} for these setups alone")


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
    vary: Vary | None = Field(default=None, description="setups for every combination of factors")
    distances: Distances | None = Field(default=None, description="distances of languages, for analyses")
    analysis: tuple[AnalysisEntry, ...] = Field(default=(), description="analyses of the scores")
    control: Annotated[
        Control | None,
        BeforeValidator(_as_control, json_schema_input_type=Literal["random"] | Control | None),
    ] = Field(
        default=None,
        description="random: the same runs on the backbone with its weights shuffled; or of some setups",
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
    formulations: Names = Field(
        default=(), description="how targets are put, a row each: head, cloze:en, cloze:own/untrained, ..."
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
    def variants(self) -> list[Variant]:
        """The setups that come from factors."""
        if self.vary is None:
            return []
        inline = self.inline_tasks((samples.TASKS,))

        def spoken(name: str) -> str:
            try:
                task = inline[name] if name in inline else catalogue.get(name, (samples.TASKS,))
            except UnknownNameError:
                # A task of a folder that the experiment does not know of.
                return ""
            published = task.languages_of("train") if "train" in task.splits else ()
            return "en" if "en" in published or not published else published[0]

        return self.vary.variants(self.intermediates, spoken)

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

    @property
    def controlled(self) -> tuple[str, ...]:
        """The setups that have a control, as they are named; all where it says no more than its name."""
        if self.control is None:
            return ()
        return self.setups if self.control.random is None else self.control.random

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
        layers = list(self.training.layers(task, whole_model))
        if self.preset is not None:
            preset = presets.get(self.preset)
            layers[:0] = preset.training_layers(task, kind, whole_model=whole_model, depth=depth)
        if shots:
            own = Layer(f"{FILE}: training.shots", self.training.shots)
            layers += [Layer("default of shots", SHOTS), own]
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
        varied = [parse(variant.setup) for variant in self.variants]
        texts = {str(setup) for setup in setups}
        if str(parse(self.baseline)) not in texts:
            raise ConfigError(
                f'{where}: baseline "{self.baseline}" is not among setups',
                remedy="add it, or name one of them",
            )
        for text in self.formulations:
            Written.parse(text)
        for target in self.targets:
            if split_name(target)[1]:
                raise ConfigError(
                    f"{where}: a target has no formulation of its own, as {target}",
                    remedy=f"say formulations: [head, {split_name(target)[1]}]",
                )
        for text, chosen in self.only.items():
            if str(parse(text)) not in texts:
                raise UnknownNameError(f"setup under only in {where}", text, self.setups)
            for target in chosen:
                if target not in self.targets:
                    raise UnknownNameError(f"target of {text} under only in {where}", target, self.targets)
        for text in self.controlled:
            if str(parse(text)) not in texts:
                raise UnknownNameError(f"setup under control in {where}", text, self.setups)
        if self.preset is not None:
            presets.get(self.preset)
        every = [*setups, *varied]
        named = {reference.name for setup in every for reference in setup.references()}
        mixes = {mix_name(sources) for setup in every for sources in setup.parents() if len(sources) > 1}
        known = {*self.targets, *self.tasks, *named, *mixes}
        if self.given or self.extends:
            # The command line, or a file that extends another, may leave out what there are options for.
            known |= set(catalogue.names())
        for task in (*self.training.tasks, *self.evaluation.tasks):
            if task not in known:
                raise UnknownNameError(f"task in {where}", task, known)
        resolve(TrainingConfig, [Layer(FILE, self.training.shots)], "training.shots")
        # The last one stands for every task without options of its own.
        for task in (*self.training.tasks, *self.evaluation.tasks, ""):
            for whole_model in (True, False):
                resolve(TrainingConfig, list(self.training.layers(task, whole_model)), f"training of {task}")
            resolve(EvaluationConfig, list(self.evaluation.layers(task)), f"evaluation of {task}")


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
        where, known = (f'"{given}"', {}) if given is not None else (str(path), lines)
        raise explained(problem, where, known, _known_keys) from None
    experiment._given = places
    experiment.check(str(path))
    return experiment


def _known_keys(at: KeyPath) -> list[str]:
    """Keys that may stand where the unknown key at this path stands."""
    model: type[BaseModel] = Experiment
    for key in at[:-1]:
        inner = model.model_fields[str(key)].annotation if str(key) in model.model_fields else None
        for kind in (inner, *get_args(inner)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                model = kind
    return list(model.model_fields)


def experiment_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of an experiment file, training options and preset names included.

    Example:
        >>> found = experiment_schema()
        >>> "setups" in found["required"], found["properties"]["preset"]["enum"][0]
        (True, 'composable-sft')
    """
    found = Experiment.model_json_schema()
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found["title"] = "adaptrans experiment"
    found["properties"]["preset"] |= {"enum": [*presets.names(), None]}
    for values in found["properties"].values():
        if "items" in values:
            # A lone value may stand for a list of one.
            listed = {name: values.pop(name) for name in ("type", "items", "minItems") if name in values}
            values["anyOf"] = [listed, listed["items"]]
    options = TrainingConfig.model_json_schema()
    found["$defs"] |= options.pop("$defs", {})
    found["$defs"]["TrainingOptions"] = options
    section = found["$defs"]["TrainingSection"]["properties"]
    own = {"$ref": "#/$defs/TrainingOptions"}
    for name in ("defaults", "full", "adapter", "shots"):
        section[name] = {**own, "description": section[name].get("description", "")}
    found["$defs"]["TaskOptions"] = {
        **options,
        "properties": {**options["properties"], **dict.fromkeys(METHODS, own)},
    }
    section["tasks"]["additionalProperties"] = {"$ref": "#/$defs/TaskOptions"}
    return found


BASE_DEPTH = 12
"""Layers of XLM-R base, for which options are shown where no backbone is named."""


@dataclass(frozen=True)
class Explained:
    """The options of one run, or of several that are alike: name, value and origin of each."""

    what: str
    rows: list[tuple[str, Any, str]]

    def given(self) -> list[tuple[str, Any, str]]:
        """The options that are no defaults."""
        return [row for row in self.rows if row[2] != DEFAULT]


def explain_experiment(
    experiment: Experiment, folders: Sequence[Path] = (), depth: int = BASE_DEPTH
) -> list[Explained]:
    """The options of every training and evaluation of an experiment, on a backbone of so many layers.

    `folders` are those of own task files.
    """
    folders = (*folders, samples.TASKS)
    inline = experiment.inline_tasks(folders)

    def kind(task: str) -> str:
        if is_mix(task):
            return MIX
        return (inline[task] if task in inline else catalogue.get(task, folders)).kind

    given = experiment.given
    found = [_setting(experiment)]
    for phase, task, whole in dict.fromkeys(_trainings(experiment, kind)):
        options = experiment.training_of(task, kind(task), whole, depth, {})
        method = "full" if whole else experiment.adapter_method
        found.append(_explained(f"{phase}: {task}, {method}", options, given, whole))
    for target in experiment.targets:
        options_ = experiment.evaluation_of(target, kind(target), {})
        found.append(_explained(f"evaluate: {target}", options_, given))
    return found


def _trainings(experiment: Experiment, kind: Callable[[str], str]) -> Iterator[tuple[str, str, bool]]:
    """Phase, task and whether the whole model is trained, of every training run."""
    setups = [parse(text) for text in experiment.setups]
    for setup in setups:
        for sources in setup.parents():
            if not any(source.run or source.address for source in sources):
                names = mix_name(sources) if len(sources) > 1 else sources[0].name
                yield "intermediate", names, setup.is_full
    for target in experiment.targets:
        if TASK_TYPES[kind(target)].trainable:
            yield from (("target", target, setup.is_full) for setup in setups)


def _setting(experiment: Experiment) -> Explained:
    """What holds for the whole experiment."""
    named = ("preset", "method", "seeds", "shots", "select", "baseline", "languages", "control")
    values = {name: getattr(experiment, name) for name in named}
    values |= {"control": None if experiment.control is None else str(experiment.control)}
    values |= {"method": ", ".join(experiment.adapter_methods), "seeds": experiment.all_seeds}
    said = set(experiment.model_fields_set) | ({"method"} if experiment.methods else set())
    said |= {"seeds"} if "seed" in said and not experiment.seeds else set()
    origins = {name: FILE if name in said else DEFAULT for name in named}
    origins |= {name: COMMAND_LINE for name in named if (name,) in experiment.given}
    if experiment.preset is not None and origins["method"] == DEFAULT:
        origins["method"] = f"preset {experiment.preset}"
    return Explained(f"experiment {experiment.name}", [(name, values[name], origins[name]) for name in named])


def explain_preset(name: str, depth: int = BASE_DEPTH) -> list[Explained]:
    """The options that a preset gives, by kind of task and for the tasks that it names.

    Raises:
        UnknownNameError: If there is no such preset.
    """
    preset = presets.get(name)
    parts = [part for options in (preset.training, *preset.sizes.values()) for part in options.parts]
    named = sorted({task for part in parts for task in part.tasks})
    kinds = {kind: kind for kind in (*(name for name in TASK_TYPES if TASK_TYPES[name].trainable), MIX)}
    kinds |= {task: catalogue.get(task).kind for task in named}
    found = []
    for (task, kind), whole in product(kinds.items(), (True, False)):
        layers = preset.training_layers(task, kind, whole_model=whole, depth=depth)
        options = resolve(TrainingConfig, layers, f"preset {name}")
        method = "full" if whole else preset.method
        found.append(_explained(f"training: {task}, {method}", options, whole_model=whole))
    for kind in TASK_TYPES.names():
        options_ = resolve(EvaluationConfig, preset.evaluation_layers(kind, kind), f"preset {name}")
        found.append(_explained(f"evaluate: {kind}", options_))
    return found


def _explained(
    what: str,
    options: Resolved[Any],
    given: Mapping[KeyPath, str] | None = None,
    whole_model: bool | None = None,
) -> Explained:
    """The options with their origins, those of the command line set apart from the file's.

    Of a training, of which it is known whether it trains the whole model, every rate is filled in.
    """
    config, origins = options.config, {}
    values = config.model_dump() if whole_model is None else config.resolved(whole_model).model_dump()
    for name in values:
        origin = options.origin(name)
        path = (*origin.removeprefix(f"{FILE}: ").split("."), name)
        said = origin.startswith(FILE) and place_of(path, given or {}) is not None
        origins[name] = COMMAND_LINE if said else origin
    if "fusion_learning_rate" in origins and "fusion_learning_rate" not in options.origins:
        # Where none is given for fusions, the rate that is given holds for them too.
        origins["fusion_learning_rate"] = origins["learning_rate"]
    return Explained(what, [(name, value, origins[name]) for name, value in values.items()])
