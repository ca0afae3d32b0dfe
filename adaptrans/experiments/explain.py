"""Every option of an experiment or a preset as it will hold, and where it came from. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptrans import samples
from adaptrans.experiments.config import FILE, Experiment, is_mix, place_of
from adaptrans.modeling.setup.nodes import is_full, mix_name, parents_of
from adaptrans.modeling.setup.parser import parse
from adaptrans.runs import presets
from adaptrans.runs.presets import MIX
from adaptrans.runs.train import UNTRAINED_KINDS
from adaptrans.runs.training_args import (
    COMMAND_LINE,
    DEFAULT,
    EvaluationConfig,
    Resolved,
    TrainingConfig,
    resolve,
)
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.tasks import catalogue
from adaptrans.utils.yaml import KeyPath

BASE_DEPTH = 12
"""Layers of XLM-R base, for which options are shown where no backbone is named."""


@dataclass(frozen=True)
class Explained:
    """The options of one run, or of several that are alike.

    Args:
        what: The runs, in words.
        values: Every option.
        origins: Where each came from.
    """

    what: str
    values: dict[str, Any]
    origins: dict[str, str]

    def given(self) -> list[tuple[str, Any, str]]:
        """Name, value and origin of the options that are no defaults."""
        return [row for row in self.rows() if row[2] != DEFAULT]

    def rows(self) -> list[tuple[str, Any, str]]:
        """Name, value and origin of every option."""
        return [(name, value, self.origins[name]) for name, value in self.values.items()]


def explain_experiment(
    experiment: Experiment, folders: Sequence[Path] = (), depth: int = BASE_DEPTH
) -> list[Explained]:
    """The options of every training and evaluation of an experiment.

    Args:
        experiment: The experiment.
        folders: Folders of own task files.
        depth: Layers of the backbone.
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
        found.append(_explained(f"{phase}: {task}, {method}", _with_rates(options, whole), given))
    for target in experiment.targets:
        options_ = experiment.evaluation_of(target, kind(target), {})
        found.append(_explained(f"evaluate: {target}", options_, given))
    return found


def _trainings(experiment: Experiment, kind: Callable[[str], str]) -> Iterator[tuple[str, str, bool]]:
    """Phase, task and whether the whole model is trained, of every training run."""
    setups = [parse(text) for text in experiment.setups]
    for setup in setups:
        for sources in parents_of(setup):
            if not any(source.run or source.address for source in sources):
                names = mix_name(sources) if len(sources) > 1 else sources[0].name
                yield "intermediate", names, is_full(setup)
    for target in experiment.targets:
        if kind(target) not in UNTRAINED_KINDS:
            yield from (("target", target, is_full(setup)) for setup in setups)


def _setting(experiment: Experiment) -> Explained:
    """What holds for the whole experiment."""
    named = ("preset", "method", "seeds", "shots", "select", "baseline", "languages", "control")
    values = {name: getattr(experiment, name) for name in named}
    values |= {"method": ", ".join(experiment.adapter_methods), "seeds": experiment.all_seeds}
    origins = {name: FILE if name in experiment.model_fields_set else DEFAULT for name in named}
    if "seed" in experiment.model_fields_set and not experiment.seeds:
        origins["seeds"] = FILE
    if experiment.methods:
        origins["method"] = FILE
    origins |= {name: COMMAND_LINE for name in named if (name,) in experiment.given}
    if experiment.preset is not None and origins["method"] == DEFAULT:
        origins["method"] = f"preset {experiment.preset}"
    return Explained(f"experiment {experiment.name}", values, origins)


def explain_preset(name: str, depth: int = BASE_DEPTH) -> list[Explained]:
    """The options that a preset gives, by kind of task and for the tasks that it names.

    Raises:
        UnknownNameError: If there is no such preset.
    """
    preset = presets.get(name)
    parts = [part for options in (preset.training, *preset.sizes.values()) for part in options.parts]
    named = {task for part in parts for task in part.tasks}
    kinds = {task: catalogue.get(task).kind for task in sorted(named)}
    found = []
    trained = {kind: kind for kind in (*TASK_TYPES.names(), MIX) if kind not in UNTRAINED_KINDS}
    for task, kind in (trained | kinds).items():
        for whole in (True, False):
            layers = preset.training_layers(task, kind, whole_model=whole, depth=depth)
            options = resolve(TrainingConfig, layers, f"preset {name}")
            method = "full" if whole else preset.method
            found.append(_explained(f"training: {task}, {method}", _with_rates(options, whole)))
    for kind in TASK_TYPES.names():
        options_ = resolve(EvaluationConfig, preset.evaluation_layers(kind, kind), f"preset {name}")
        found.append(_explained(f"evaluate: {kind}", options_))
    return found


def _with_rates(options: Resolved[TrainingConfig], whole: bool) -> Resolved[TrainingConfig]:
    """The options with the rates that hold where none is given."""
    return Resolved(options.config.resolved(whole), options.origins)


def _explained(what: str, options: Resolved[Any], given: Mapping[KeyPath, str] | None = None) -> Explained:
    """The options with their origins, those of the command line set apart from the file's."""
    values = options.config.model_dump()
    origins = {name: options.origin(name) for name in values}
    for name, origin in origins.items():
        path = (*origin.removeprefix(f"{FILE}: ").split("."), name)
        if origin.startswith(FILE) and place_of(path, given or {}) is not None:
            origins[name] = COMMAND_LINE
    if "fusion_learning_rate" in origins and "fusion_learning_rate" not in options.origins:
        # Where none is given for fusions, the rate that is given holds for them too.
        origins["fusion_learning_rate"] = origins["learning_rate"]
    return Explained(what, values, origins)
