"""Options that several commands share, and how they print."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, get_type_hints

import typer

from adaptrans.modeling.adapter_methods import DEFAULT_METHOD as DEFAULT_METHOD
from adaptrans.runs.store import DEFAULT_STORE as DEFAULT_STORE
from adaptrans_cli import completion

if TYPE_CHECKING:
    from adaptrans.experiments.plan import Job
    from adaptrans.runs.workspace import Workspace


Backbone: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        envvar="ADAPTRANS_BACKBONE",
        help="Folder, hub id or short name of an encoder: mini is bundled, adaptrans backbones list.",
        autocompletion=completion.backbone,
    ),
]
Data: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="ADAPTRANS_DATA",
        help="Folder of original data files or hub copies; samples is bundled.",
    ),
]
StoreFolder: TypeAlias = Annotated[
    Path, typer.Option("--store", envvar="ADAPTRANS_STORE", help="Folder of the runs.")
]
TaskFolders: TypeAlias = Annotated[
    list[Path] | None, typer.Option("--tasks", help="Folder of own task files; may be repeated.")
]
Device: TypeAlias = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
Method: TypeAlias = Annotated[
    str,
    typer.Option(
        "--method",
        help="Adapter method, such as seq_bn, lora, lora\\[r=4].",
        autocompletion=completion.method,
    ),
]
MethodOrPreset: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--method",
        help="Adapter method: seq_bn, lora, ...; by default the preset's, or seq_bn.",
        autocompletion=completion.method,
    ),
]
LARGEST_SEED = 2**63 - 1
"""What the generators of torch take."""


def possible_seed(seed: int | None) -> int | None:
    """A seed as it was given.

    Raises:
        ConfigError: If it is larger than a generator takes.
    """
    from adaptrans.errors import ConfigError

    if seed is not None and seed > LARGEST_SEED:
        raise ConfigError(f"--seed {seed} is too large", remedy=f"choose one up to {LARGEST_SEED}")
    return seed


Seed: TypeAlias = Annotated[
    int,
    typer.Option("--seed", min=0, callback=possible_seed, help="Seed of weights, batches and dropout."),
]
OwnSeed: TypeAlias = Annotated[
    int | None,
    typer.Option("--seed", min=0, callback=possible_seed, help="Seed; wins over the file's."),
]
SetupText: TypeAlias = Annotated[
    str,
    typer.Option(
        "--setup",
        help="full, full(mnli), adapter, continue(mnli), 'mnli > target', ...",
        autocompletion=completion.setup,
    ),
]
Precision: TypeAlias = Annotated[
    str | None, typer.Option("--precision", help="auto, fp32 or bf16; auto takes bf16 where it is fast.")
]
LimitTrain: TypeAlias = Annotated[
    int | None, typer.Option("--limit-train", min=1, help="Train on N examples, a fixed random part.")
]
LimitEval: TypeAlias = Annotated[
    int | None, typer.Option("--limit-eval", min=1, help="Score N examples a language, a fixed random part.")
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other option of it, as weight_decay=0.01; may be repeated."),
]
Preset: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Options of a study, which options given by hand win over: config list.",
        autocompletion=completion.preset,
    ),
]
SkipBadRows: TypeAlias = Annotated[
    bool,
    typer.Option("--skip-bad-rows", help="Leave out and list bad rows instead of stopping at the first."),
]
Control: TypeAlias = Annotated[
    str | None,
    typer.Option("--control", help="random: also the same runs on shuffled weights, as a baseline."),
]
Jobs: TypeAlias = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="Runs at a time, each in a process with its share of the cores."),
]
Engine: TypeAlias = Annotated[
    str, typer.Option("--engine", help="local, or ray: on all machines of a Ray cluster.")
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Of a running Ray cluster: auto, or HOST:PORT; without it or RAY_ADDRESS Ray starts here.",
    ),
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be computed, and compute nothing.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
LearningRate: TypeAlias = Annotated[
    float | None, typer.Option("--learning-rate", help="Peak rate; 2e-5 for full, 1e-4 for adapters.")
]
Epochs: TypeAlias = Annotated[float | None, typer.Option("--epochs", help="Passes over the training data.")]
TrimVocabulary: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--trim-vocabulary/--no-trim",
        help="Load the embeddings of tokens in the data alone, with the same results; adapters: on.",
    ),
]
Quantize: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--quantize",
        help="none, 8bit or 4bit: linear layers of the frozen encoder; needs adaptrans\\[quant].",
    ),
]
MemoryBudget: TypeAlias = Annotated[
    str | None,
    typer.Option("--memory-budget", help="As 8GB: train such that the forecast of memory stays below it."),
]
MaxSteps: TypeAlias = Annotated[int | None, typer.Option("--max-steps", help="Stop after N optimizer steps.")]
BatchSize: TypeAlias = Annotated[int | None, typer.Option("--batch-size", help="Inputs per optimizer step.")]
MaxLength: TypeAlias = Annotated[int | None, typer.Option("--max-length", help="Subword tokens per input.")]


def codes(text: str | None) -> list[str]:
    """Codes of languages with commas between them, none where nothing is given."""
    return [code.strip() for code in (text or "").split(",") if code.strip()]


def settings(given: Sequence[str] | None, **named: Any) -> dict[str, Any]:
    """Options from `--set name=value` and from command-line options of their own, which win.

    Raises:
        ConfigError: If a setting is not of the form key=value.
    """
    values: dict[str, Any] = {}
    for text in given or ():
        # Most commands are given none, and the parser comes with what reads experiment files.
        from adaptrans.experiments.config import parsed

        path, value = parsed(text, called="--set ", example="--set patience=3")
        values[".".join(path).replace("-", "_")] = value
    return {**values, **{name: value for name, value in named.items() if value is not None}}


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output; pydantic's models and dataclasses too."""
    from pydantic_core import to_json

    print(to_json(value, indent=2, inf_nan_mode="constants").decode())


def say(text: str) -> None:
    """Print a line about what is going on, on standard error."""
    print(text, file=sys.stderr)


def announce(item: Job, place: int, total: int) -> None:
    """Say which run is computed now."""
    say(f"[{place}/{total}] {item.what}")


def show_plan(items: Sequence[Job], as_json: bool) -> None:
    """Print what a command would compute."""
    rows = [
        {"run": item.run.name, "what": item.what, "done": item.done, "folder": str(item.run.path)}
        for item in items
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{'done ' if row['done'] else 'to do'}  {row['what']}  [{row['run']}]")
    print(f"{sum(not item.done for item in items)} of {len(items)} runs to compute")


C = TypeVar("C", bound=Callable[..., None])


@dataclass(frozen=True)
class ParamSource:
    """Where a command works: backbone, store and device."""

    backbone: Backbone = None
    store: StoreFolder = DEFAULT_STORE
    device: Device = "auto"

    def workspace(self, backbone: str | None = None, shown: bool = False) -> Workspace:
        """The workspace of a command.

        Args:
            backbone: Taken where none is given on the command line.
            shown: For a plan that is only shown: backbone and data may be absent.
        """
        from adaptrans.experiments.commands import workspace

        given = {name: value for name, value in vars(self).items() if value is not None}
        return workspace(**{**given, "backbone": self.backbone or backbone}, shown=shown)


@dataclass(frozen=True)
class TaskPlace(ParamSource):
    """Where a command works that knows tasks."""

    data: Data = None
    tasks: TaskFolders = None


@dataclass(frozen=True)
class DataPlace(TaskPlace):
    """Where a command works that reads the rows of tasks."""

    skip_bad_rows: SkipBadRows = False


@dataclass(frozen=True)
class Training:
    """Options of one training run; what is not given is left to the defaults."""

    seed: Seed = 1
    precision: Precision = None
    learning_rate: LearningRate = None
    epochs: Epochs = None
    max_steps: MaxSteps = None
    batch_size: BatchSize = None
    max_length: MaxLength = None
    trim_vocabulary: TrimVocabulary = None
    quantize: Quantize = None
    set_: Settings = None

    def given(self) -> dict[str, Any]:
        """The training options that were given, those of `--set` too; neither seed nor preset is one."""
        others = ("set_", "seed", "preset")
        return settings(
            self.set_, **{name: value for name, value in vars(self).items() if name not in others}
        )


@dataclass(frozen=True)
class TaskTraining(Training):
    """Options of one training run on tasks."""

    limit_train: LimitTrain = None
    memory_budget: MemoryBudget = None
    preset: Preset = None


@dataclass(frozen=True)
class Printing:
    """What a command shows, and as what."""

    dry_run: DryRun = False
    as_json: Json = False


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
