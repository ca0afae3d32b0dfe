"""An experiment file: which setups are compared on which targets. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.models.methods import DEFAULT_METHOD
from adaptrans.models.setup import mix_name, parents_of, parse, references
from adaptrans.runs.config import EvaluationConfig, TrainingConfig, evaluation_config, training_config
from adaptrans.tasks import catalogue
from adaptrans.tasks.schema import Names, Strict, Task
from adaptrans.tasks.yamlfile import KeyPath, explained, load_yaml


class TrainingSection(Strict):
    """Training options in layers: `defaults`, then `full` or `adapter`, then the task's own."""

    defaults: dict[str, Any] = Field(default={}, description="for every run")
    full: dict[str, Any] = Field(default={}, description="for runs that train the whole model")
    adapter: dict[str, Any] = Field(default={}, description="for runs that train an adapter")
    tasks: dict[str, dict[str, Any]] = Field(default={}, description="for runs on one task")

    def config(self, task: str, whole_model: bool, given: Mapping[str, Any]) -> TrainingConfig:
        """The options of a run; `given` are those of the command line, which win."""
        method = self.full if whole_model else self.adapter
        return training_config(
            self.defaults, method, self.tasks.get(task, {}), given, where=f"training of {task}"
        )


class EvaluationSection(EvaluationConfig):
    """Evaluation options for every target; see `EvaluationConfig`."""

    tasks: dict[str, dict[str, Any]] = Field(default={}, description="other values for one target")

    def config(self, task: str, given: Mapping[str, Any]) -> EvaluationConfig:
        """The options of a target's evaluation; `given` are those of the command line, which win."""
        shared = self.model_dump(exclude={"tasks"}, exclude_unset=True)
        return evaluation_config(shared, self.tasks.get(task, {}), given, where=f"evaluation of {task}")


class Experiment(Strict):
    """One comparison: setups in rows, targets in columns."""

    name: str
    description: str = ""
    backbone: str | None = Field(default=None, description="folder or hub id; the command line wins")
    setups: Names = Field(min_length=1, description="setup expressions, one row each")
    targets: Names = Field(min_length=1, description="target tasks, one column each")
    only: dict[str, Names] = Field(default={}, description="targets of a setup that has not all of them")
    control: Literal["random"] | None = Field(
        default=None, description="random: the same runs on the backbone with its weights shuffled"
    )
    baseline: str = Field(default="full", description="the setup that differences are taken to")
    method: str = Field(default=DEFAULT_METHOD, description="adapter method of all adapter setups")
    seed: int = 1
    languages: Names = Field(default=(), description="test languages; empty: all that have data")
    tasks: dict[str, dict[str, Any]] = Field(default={}, description="tasks of this experiment only")
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()

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
            UnknownNameError: If a task name or an option is unknown.
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
        named = {reference.name for setup in setups for reference in references(setup)}
        mixes = {mix_name(sources) for setup in setups for sources in parents_of(setup) if len(sources) > 1}
        known = {*self.targets, *self.tasks, *named, *mixes}
        for section in (self.training.tasks, self.evaluation.tasks):
            for task in section:
                if task not in known:
                    raise UnknownNameError(f"task in {where}", task, known)
        for task in known:
            self.training.config(task, True, {})
            self.training.config(task, False, {})
            self.evaluation.config(task, {})


def load_experiment(path: Path) -> Experiment:
    """Read and check an experiment file.

    Raises:
        ConfigError: If it is missing, not YAML, or has an unknown key or an impossible value;
            names file and line.
    """
    if not path.is_file():
        raise ConfigError(f"there is no experiment file {path}", remedy="see configs/ for examples")
    data, lines = load_yaml(path)
    try:
        experiment = Experiment.model_validate(data)
    except ValidationError as problem:
        raise explained(problem, str(path), lines, _known_keys) from None
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
