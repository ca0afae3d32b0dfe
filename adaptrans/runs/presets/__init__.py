"""Presets as data: one YAML file each with the options of a study, and where they stand. Torch-free.

An option given by hand wins: command line, then experiment file, then preset, then default.

Example:
    >>> found = get("jiant-stilts")
    >>> found.training_layers("xnli", "classification", whole_model=True)[-1]
    Layer(origin='preset jiant-stilts, full', values={'learning_rate': 1e-05})
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.modeling import adapter_methods
from adaptrans.modeling.adapter_methods import DEFAULT_METHOD
from adaptrans.runs.training_args import Layer, evaluation_config, training_config
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.tasks.schema import Names, Strict
from adaptrans.utils.yaml import KeyPath, explained, load_yaml

HERE = Path(__file__).parent

MIX = "mix"
"""What stands for the kind of several tasks that are trained at once."""

Size = Literal["small", "base", "large"]


class Part(Strict):
    """Options in layers, later ones winning: `defaults`, the kind's, the task's."""

    defaults: dict[str, Any] = Field(default={}, description="for every run")
    kinds: dict[str, dict[str, Any]] = Field(default={}, description="for tasks of one kind")
    tasks: dict[str, dict[str, Any]] = Field(default={}, description="for one task")

    def layers(self, origin: str, task: str, kind: str) -> Iterator[Layer]:
        """The layers that hold for a run and say anything."""
        if kind in TASK_TYPES:
            kind = TASK_TYPES[kind].options_like or kind
        own, kinds = self.tasks.get(task), self.kinds.get(kind)
        for part, values in (("", self.defaults), (f", {kind}", kinds), (f", {task}", own)):
            if values:
                yield Layer(f"{origin}{part}", values)


class Options(Part):
    """Options of every run, then those of one method, which win."""

    full: Part = Field(default=Part(), description="for runs that train the whole model")
    adapter: Part = Field(default=Part(), description="for runs that train an adapter")

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its groups of options."""
        return (self, self.full, self.adapter)

    def method_layers(self, origin: str, task: str, kind: str, whole_model: bool) -> Iterator[Layer]:
        """The layers that hold for a run of a method and say anything."""
        yield from self.layers(origin, task, kind)
        own, name = (self.full, "full") if whole_model else (self.adapter, "adapter")
        yield from own.layers(f"{origin}, {name}", task, kind)


class Preset(Strict):
    """The options of a study."""

    name: str
    title: str
    source: str = Field(description="paper and scripts that the values stand in")
    ours: str = Field(default="", description="what of it the source leaves open and is chosen here")
    lacks: str = Field(default="", description="what the source does and this version does not")
    setups: Names = Field(default=(), description="the setups that the source trains")
    method: str = Field(default=DEFAULT_METHOD, description="adapter method of its adapter setups")
    training: Options = Options()
    sizes: dict[Size, Options] = Field(default={}, description="training options by size of the backbone")
    evaluation: Part = Part()

    def training_layers(
        self, task: str, kind: str, *, whole_model: bool, depth: int = 12
    ) -> tuple[Layer, ...]:
        """Training options of a run on a backbone of so many layers, later ones winning."""
        size = size_of(depth)
        found = [*self.training.method_layers(f"preset {self.name}", task, kind, whole_model)]
        if size in self.sizes:
            found += self.sizes[size].method_layers(f"preset {self.name}, {size}", task, kind, whole_model)
        return tuple(found)

    def evaluation_layers(self, task: str, kind: str) -> tuple[Layer, ...]:
        """Evaluation options of a target, later layers winning."""
        return tuple(self.evaluation.layers(f"preset {self.name}", task, kind))

    def check(self, where: str) -> None:
        """Refuse options that do not exist.

        Raises:
            UnknownNameError: If an option, a kind or the method is unknown.
            ConfigError: If a value is impossible.
        """
        adapter_methods.parse(self.method)
        options = (self.training, *self.sizes.values())
        training = [(part, training_config) for group in options for part in group.parts]
        for part, config in (*training, (self.evaluation, evaluation_config)):
            for kind in part.kinds:
                if kind not in (*TASK_TYPES.names(), MIX):
                    raise UnknownNameError(f"kind in {where}", kind, TASK_TYPES.names())
            for values in (part.defaults, *part.kinds.values(), *part.tasks.values()):
                config(values, where=where)


def size_of(depth: int) -> Size:
    """What presets call a backbone of so many layers: XLM-R base has 12, large 24.

    Example:
        >>> size_of(4), size_of(12), size_of(24)
        ('small', 'base', 'large')
    """
    return "small" if depth <= 6 else "base" if depth <= 12 else "large"


def names() -> list[str]:
    """Names of all presets, sorted.

    Example:
        >>> names()
        ['composable-sft', 'fast', 'jiant-stilts', 'madx', 'xtreme']
    """
    return sorted(path.stem for path in HERE.glob("*.yaml"))


@cache
def get(name: str) -> Preset:
    """The preset of a name.

    Raises:
        UnknownNameError: If there is none; the nearest name is suggested.
    """
    if name not in names():
        raise UnknownNameError("preset", name, names(), remedy="adaptrans config list shows them")
    return load(HERE / f"{name}.yaml")


def load(path: Path) -> Preset:
    """The preset of a file.

    Raises:
        ConfigError: If it is not a valid preset, with file and line.
    """
    mapping, lines = load_yaml(path)
    try:
        found = Preset.model_validate(mapping)
    except ValidationError as problem:
        raise explained(problem, str(path), lines, _known_keys) from None
    if found.name != path.stem:
        raise ConfigError(f'{path}: the file holds the preset "{found.name}"', remedy="give both one name")
    found.check(str(path))
    return found


def _known_keys(at: KeyPath) -> list[str]:
    model: type[BaseModel] = Preset if len(at) == 1 else Options
    return list(model.model_fields)
