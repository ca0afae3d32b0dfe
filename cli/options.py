"""Groups of options that several commands take, declared once.

A command declares a group as one parameter; `grouped` turns it into the options of the group and hands the
command the group filled in.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from adaptrans.hub.store import DEFAULT_STORE
from adaptrans_cli import common

if TYPE_CHECKING:
    from adaptrans.runs.workspace import Workspace

C = TypeVar("C", bound=Callable[..., None])


@dataclass(frozen=True)
class Place:
    """Where a command works: backbone, store and device."""

    backbone: common.Backbone = None
    store: common.StoreFolder = DEFAULT_STORE
    device: common.Device = "auto"

    def workspace(self, backbone: str | None = None, shown: bool = False) -> Workspace:
        """The workspace of a command.

        Args:
            backbone: Taken where none is given on the command line.
            shown: For a plan that is only shown: backbone and data may be absent.
        """
        return common.workspace(self.backbone or backbone, None, self.store, None, self.device, shown=shown)


@dataclass(frozen=True)
class TaskPlace(Place):
    """Where a command works that knows tasks."""

    data: common.Data = None
    tasks: common.TaskFolders = None

    def workspace(self, backbone: str | None = None, shown: bool = False) -> Workspace:
        """The workspace of a command; see `Place.workspace`."""
        chosen = self.backbone or backbone
        return common.workspace(
            chosen, self.data, self.store, self.tasks, self.device, self.skips_bad_rows, shown
        )

    @property
    def skips_bad_rows(self) -> bool:
        """Whether rows that do not fit are left out and listed."""
        return False


@dataclass(frozen=True)
class DataPlace(TaskPlace):
    """Where a command works that reads the rows of tasks."""

    skip_bad_rows: common.SkipBadRows = False

    @property
    def skips_bad_rows(self) -> bool:
        """Whether rows that do not fit are left out and listed."""
        return self.skip_bad_rows


@dataclass(frozen=True)
class Training:
    """Options of one training run; what is not given is left to the defaults."""

    seed: common.Seed = 1
    precision: common.Precision = None
    learning_rate: common.LearningRate = None
    epochs: common.Epochs = None
    max_steps: common.MaxSteps = None
    batch_size: common.BatchSize = None
    max_length: common.MaxLength = None
    trim_vocabulary: common.TrimVocabulary = None
    quantise: common.Quantise = None
    set_: common.Settings = None

    def given(self) -> dict[str, Any]:
        """The training options that were given, those of `--set` too; the seed is none of them."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        pairs, _ = named.pop("set_"), named.pop("seed")
        return common.settings(pairs, **named)


@dataclass(frozen=True)
class TaskTraining(Training):
    """Options of one training run on tasks."""

    limit_train: common.LimitTrain = None
    memory_budget: common.MemoryBudget = None
    preset: common.Preset = None

    def given(self) -> dict[str, Any]:
        """The training options that were given; neither seed nor preset is one of them."""
        return {name: value for name, value in super().given().items() if name != "preset"}


@dataclass(frozen=True)
class Printing:
    """What a command shows, and as what."""

    dry_run: common.DryRun = False
    as_json: common.Json = False


def grouped(command: C) -> C:
    """Turn each parameter whose type is a group into the options of that group.

    Raises:
        TypeError: If two groups, or a group and the command, have an option of the same name.

    Example:
        >>> def show(name: str, what: Printing) -> None: ...
        >>> list(inspect.signature(grouped(show)).parameters)
        ['name', 'dry_run', 'as_json']
    """
    hints = get_type_hints(command, include_extras=True)
    own: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(hints[name]):
            groups[name] = hints[name]
        else:
            own.append(parameter.replace(annotation=hints[name]))
    parameters = own + [option for group in groups.values() for option in _options(group)]
    names = [parameter.name for parameter in parameters]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TypeError(f"{command.__name__} has options twice: {', '.join(sorted(twice))}")

    def filled(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
        command(**given)

    filled.__name__, filled.__doc__, filled.__module__ = command.__name__, command.__doc__, command.__module__
    filled.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    filled.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return filled  # type: ignore[return-value]


def _options(group: type) -> list[inspect.Parameter]:
    """The fields of a group as parameters of a command."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
