"""What every kind of run says of itself before it runs; users of runs never ask for the kind. Torch-free."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from adaptrans.errors import ConfigError
from adaptrans.modeling.backbone import Backbone, check_length, control_of
from adaptrans.modeling.efficiency.memory_case import Case
from adaptrans.modeling.setup.nodes import Setup
from adaptrans.modeling.setup.validation import check_quantized
from adaptrans.runs.store import Run
from adaptrans.runs.training_args import AS_TRAINED, EvaluationConfig, TrainingConfig
from adaptrans.runs.workspace import Workspace
from adaptrans.task_types.rows import Prefixes
from adaptrans.tasks.schema import Task
from adaptrans.utils.formats import RECIPE
from adaptrans.utils.io import canonical_json

NOT_ZERO_SHOT = "not zero-shot"


@dataclass(frozen=True, order=True)
class TransferSetting:
    """What a score has seen of the target languages: nothing (zero-shot), a few examples, their dev sets.

    Scores of different settings stand in tables of their own.

    Args:
        target_dev: Whether weights were selected on their dev sets.
        shots: Examples per label on which training went on; 0 for none.

    Example:
        >>> found = TransferSetting(target_dev=True, shots=1)
        >>> TransferSetting().label, TransferSetting(shots=5).label, found.label
        ('', '+5-shot', '+target-dev +1-shot')
        >>> TransferSetting(shots=5).words
        'not zero-shot: went on training on 5 examples per label of each target language'
    """

    target_dev: bool = False
    shots: int = 0

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> TransferSetting:
        """The setting of a training run, from the inputs that make its key.

        Example:
            >>> TransferSetting.of({"config": {"select": "target_dev"}})
            TransferSetting(target_dev=True, shots=0)
        """
        on_dev = inputs.get("config", {}).get("select") == "target_dev"
        return cls(on_dev or bool(inputs.get("start_target_dev")), int(inputs.get("shots", 0)))

    @property
    def zero_shot(self) -> bool:
        """Whether nothing with labels was seen."""
        return not self.target_dev and not self.shots

    @property
    def label(self) -> str:
        """What follows the name of a setup; empty for zero-shot."""
        parts = ["+target-dev"] if self.target_dev else []
        return " ".join([*parts, *([f"+{self.shots}-shot"] if self.shots else [])])

    @property
    def words(self) -> str:
        """What tables say; empty for zero-shot."""
        parts = ["weights selected on the target languages' dev sets"] if self.target_dev else []
        if self.shots:
            parts.append(f"went on training on {self.shots} examples per label of each target language")
        return f"{NOT_ZERO_SHOT}: {', '.join(parts)}" if parts else ""

    def row(self, setup: str) -> str:
        """The name of a setup's row.

        Example:
            >>> TransferSetting(shots=5).row("mnli > target"), TransferSetting().row("full")
            ('mnli > target +5-shot', 'full')
        """
        return f"{setup} {self.label}".rstrip()


ZERO_SHOT = TransferSetting()


class RunSpec(ABC):
    """One run before it runs: what goes in, the key that follows from it, and how it is carried out.

    A subclass is a frozen dataclass. `EXECUTE` names the function that carries it out as
    `module:function`, so that a plan loads no model: it is given the spec and its run.
    """

    EXECUTE: ClassVar[str]

    if TYPE_CHECKING:
        # Fields or properties of the subclasses; as real attributes they would be defaults of the fields.

        @property
        def workspace(self) -> Workspace:
            """Where it works."""

        @property
        def phase(self) -> str:
            """The folder of the store that it lies in."""

        @property
        def seed(self) -> int:
            """Its seed."""

        @property
        def parents(self) -> Mapping[str, Run]:
            """Runs whose artifacts it builds on, by name."""

        @property
        def task(self) -> Task:
            """What it is trained or evaluated on; without one, `about` and `max_length` are its own."""

        @property
        def setup(self) -> Setup | str:
            """What is trained or evaluated."""

        @property
        def config(self) -> TrainingConfig | EvaluationConfig:
            """Its options."""

    def __post_init__(self) -> None:
        # Refused before anything is planned, fetched or read.
        check_length(self.workspace.backbone, self.max_length, self.about)

    @property
    def about(self) -> str:
        """What it is for, in messages."""
        return f"{self.task.name} ({self.setup})"

    @property
    def max_length(self) -> int:
        """Subword tokens per model input."""
        return self.config.max_length or self.task.max_length

    @property
    @abstractmethod
    def label(self) -> str:
        """Readable part of the folder's name."""

    @property
    @abstractmethod
    def effective_method(self) -> str:
        """`full`, the adapter method, or `none` where the bare backbone answers."""

    @property
    @abstractmethod
    def own_inputs(self) -> dict[str, Any]:
        """What can change the result besides what all kinds of runs share."""

    @property
    def shared_inputs(self) -> dict[str, Any]:
        """What enters the key of every kind of run, its options left out."""
        return {
            "recipe": RECIPE,
            "method": self.effective_method,
            "seed": self.seed,
            "backbone": self.workspace.backbone.fingerprint,
            "tokenizer": self.workspace.tokenizer_key,
        }

    @functools.cached_property
    def inputs(self) -> dict[str, Any]:
        """All that can change the result; the key is a hash of it."""
        return {**self.shared_inputs, "max_length": self.max_length, **self.own_inputs}

    @property
    def parent_keys(self) -> dict[str, str]:
        """Keys of the runs it builds on, by name."""
        return {name: run.key for name, run in sorted(self.parents.items())}

    @property
    def aside(self) -> dict[str, Any]:
        """What is recorded with the run and is no part of its key."""
        return {}

    @property
    def record(self) -> dict[str, Any]:
        """The inputs and, outside the key, the backbone's name and what else is worth to know."""
        return {**self.inputs, "backbone_name": self.workspace.backbone.name, **self.aside}

    @functools.cached_property
    def run(self) -> Run:
        """The run of these inputs in the store."""
        return self.workspace.store.run(self.phase, self.label, self.inputs)

    @property
    def needs(self) -> tuple[Run, ...]:
        """Runs that have to be done before this one."""
        return tuple(self.parents.values())

    @property
    def is_done(self) -> bool:
        """Whether the store has it."""
        return self.run.is_done

    @abstractmethod
    def describe(self) -> str:
        """What it computes, in words."""

    @abstractmethod
    def profile(self, known: Mapping[str, float]) -> RunProfile:
        """What its cost depends on; `known` are examples that past runs counted, by `data_of`."""

    @property
    def open_splits(self) -> tuple[tuple[Task, str], ...]:
        """Tasks and splits that are read in all languages that there are."""
        return ()

    def memory_case(
        self,
        precision: Literal["fp32", "bf16"] = "fp32",  # noqa: ARG002
    ) -> Case | None:
        """The pass through the model that takes the most memory; None where it is not forecast.

        Args:
            precision: What `auto` stands for.
        """
        return None

    def execute(self) -> Run:
        """Carry it out, unless the store has it; go on where a killed process stopped.

        Raises:
            BusyError: If another process is at work on the same run.
        """
        compute = functools.partial(imported(self.EXECUTE), self)
        return self.workspace.store.once(self.run, self.record, compute)


class TrainingSpec(RunSpec):
    """A run that trains. `PREPARE` names what makes data and model ready, see `adaptrans.training.train`."""

    EXECUTE: ClassVar[str] = "adaptrans.training.train:train"
    PREPARE: ClassVar[str]

    if TYPE_CHECKING:

        @property
        def config(self) -> TrainingConfig:
            """Its options."""

    def __post_init__(self) -> None:
        check_quantized(self.config.quantize, self.effective_method, self.about)
        super().__post_init__()

    @property
    def whole_model(self) -> bool:
        """Whether every weight is trained."""
        return self.effective_method == "full"

    @property
    def quantize(self) -> str:
        """How the linear layers of the base are kept: `none`, `8bit` or `4bit`."""
        return self.config.quantize


def imported(target: str) -> Any:
    """The attribute that `module:attribute` names.

    Example:
        >>> imported("math:pi")
        3.141592653589793
    """
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def asked_prefixes(text: str, passage: str | None, backbone: Backbone) -> Prefixes:
    """What stands before texts and passages, as two options say.

    Raises:
        ConfigError: If they ask for what the backbone was trained with, and that is not known.
    """
    if text != AS_TRAINED:
        return Prefixes(text, text if passage is None else passage)
    if not backbone.prefixes:
        raise ConfigError(
            f"text_prefix {AS_TRAINED}: nothing is known of prefixes that {backbone.name} was trained with",
            remedy="write the text itself, or put text_prefixes into its config.json",
        )
    first, last = backbone.prefixes[0], backbone.prefixes[-1]
    return Prefixes(first, last if passage is None else passage)


def prefixes_of(task: Task, config: TrainingConfig | EvaluationConfig, backbone: Backbone) -> Prefixes:
    """What stands before the texts of a task, as the options say.

    Raises:
        ConfigError: If they ask for what the backbone was trained with, and that is not known.
    """
    if not task.type.takes_prefix:
        return Prefixes()
    found = asked_prefixes(config.text_prefix, getattr(config, "passage_prefix", None), backbone)
    return found if "passage" in task.type.takes_prefix else Prefixes(found.text, found.text)


TRAINING, FEW_SHOT, ANSWERING, RETRIEVAL = "training", "shots", "answering", "retrieval"
"""What costs alike."""


@dataclass(frozen=True)
class RunProfile:
    """What the cost of a run depends on.

    Args:
        phase: `training`, `shots`, `answering` or `retrieval`.
        backbone: Name of the backbone; its shuffled-weights baseline costs the same.
        fingerprint: Hash of the backbone.
        task: Name of the task, or of those of a mix.
        method: `full`, an adapter method, or `none`.
        length: Subword tokens per input at most.
        inputs: Inputs that pass through the model, training passes counted; None where that is not known.
    """

    phase: str
    backbone: str
    fingerprint: str
    task: str
    method: str
    setup: str
    length: int
    inputs: float | None

    @classmethod
    def of(
        cls, spec: RunSpec, phase: str, task: str, setup: str, length: int, inputs: float | None
    ) -> RunProfile:
        """The profile of a planned run."""
        backbone = spec.workspace.backbone
        name = control_of(backbone.name) or backbone.name
        return cls(phase, name, backbone.fingerprint, task, spec.effective_method, setup, length, inputs)

    def fits(self, past: RunProfile) -> bool:
        """Whether a past run tells anything about this one."""
        same = self.fingerprint == past.fingerprint or self.backbone == past.backbone
        # Mining and nearest neighbors grow with the square of a corpus, so only the same one tells.
        return same and self.phase == past.phase and (self.phase != RETRIEVAL or self.task == past.task)

    def nearness(self, past: RunProfile) -> tuple[bool, ...]:
        """How like a past run is; a larger value is nearer."""
        whole = (self.method == "full") == (past.method == "full")
        return (
            whole,
            self.task == past.task,
            self.method == past.method,
            self.setup == past.setup,
            self.length == past.length,
        )


def data_of(train: Mapping[str, str], limit: int | None) -> str:
    """What a run is trained on: fingerprints by language, and the limit."""
    return canonical_json([dict(train), limit])


def passes(config: Mapping[str, Any], examples: float) -> float:
    """Inputs that a training run with these options sees of so many examples.

    Example:
        >>> passes({"epochs": 3, "max_steps": None}, 100)
        300.0
        >>> passes({"epochs": 3, "max_steps": 2, "batch_size": 8}, 100)
        16.0
    """
    seen = float(config["epochs"]) * examples
    return min(seen, float(config["max_steps"] * config["batch_size"])) if config.get("max_steps") else seen


def published_size(task: Task, split: str, languages: Sequence[str], limit: int | None) -> float | None:
    """Examples of a split as its authors count them, of each language no more than a limit.

    Returns:
        Their number; None where it is not published and there is no limit.
    """
    counts = [_count(task, split, language) for language in languages]
    if limit is None and None in counts:
        return None
    return sum(min(inf if count is None else count, limit or inf) for count in counts)


def _count(task: Task, split: str, language: str) -> float | None:
    """Published examples of a split in a language, through what it is made of."""
    definition = task.split(split)
    own = definition.count(language)
    if own is not None:
        return float(own)
    if definition.holdout:
        whole = _count(task, definition.holdout.of, language)
        return None if whole is None else whole * definition.holdout.share
    total = 0.0
    for part in definition.parts():
        origin = task.origin(part)
        if part.language in (None, language) and language in origin.languages_of(part.split):
            count = _count(origin, part.split, language)
            if count is None:
                return None
            total += count
    return total or None
