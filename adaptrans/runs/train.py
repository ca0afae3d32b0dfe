"""Training runs before they run: on a task or a mix of several, and further on a few examples of a language.

What goes in, and the key and folder that follow from it. Torch-free.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, ClassVar, Literal

import numpy as np

from adaptrans.errors import ConfigError, MissingDataError, UnknownNameError
from adaptrans.languages import unknown
from adaptrans.modeling.efficiency.memory_case import TRIMMED_ROWS, Case, shape_of
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.setup.nodes import Reference, Setup, mix_name
from adaptrans.modeling.setup.validation import UNQUANTIZED
from adaptrans.runs.base import (
    FEW_SHOT,
    TRAINING,
    RunProfile,
    TrainingSpec,
    TransferSetting,
    data_of,
    passes,
    prefixes_of,
    published_size,
)
from adaptrans.runs.store import Run
from adaptrans.runs.training_args import TrainingConfig
from adaptrans.runs.workspace import Workspace
from adaptrans.task_types.rows import Prefixes
from adaptrans.tasks import loading
from adaptrans.tasks.schema import Task
from adaptrans.utils.formats import FEW_SHOT_DRAW
from adaptrans.utils.io import canonical_json

ROUNDING = 1e-9


def fitting(config: TrainingConfig, names: Sequence[str]) -> TrainingConfig:
    """The options with weights and shares by the names of the tasks of a mix, as a setup writes them.

    In the options a task may be named without its languages where no other has its name.

    Raises:
        UnknownNameError: If a weight or a share is for a task that is not there.
        ConfigError: If a task has no weight, or the shares leave nothing for the others.
    """
    found: dict[str, dict[str, float]] = {}
    for option in ("mixing_weights", "mixing_shares"):
        for text, value in (getattr(config, option) or {}).items():
            alike = [name for name in names if text in (name, name.partition("[")[0])]
            if len(alike) != 1:
                raise UnknownNameError(f"task in {option}", text, names)
            found.setdefault(option, {})[alike[0]] = value
    own = found.get("mixing_shares", {})
    if config.mixing_weights is not None:
        for name in sorted(set(names) - found.get("mixing_weights", {}).keys() - own.keys()):
            raise ConfigError(f"mixing_weights has no weight for {name}", remedy="give every task one")
    total = sum(own.values())
    every = len(own) == len(set(names))
    if total > 1 + ROUNDING or (not every and total > 1 - ROUNDING):
        raise ConfigError(f"mixing_shares add up to {total:g}", remedy="leave some steps for the others")
    if every and total < 1 - ROUNDING:
        raise ConfigError(f"mixing_shares of all tasks add up to {total:g}, not 1", remedy="leave one out")
    return config.model_copy(update=found)


def selecting(parts: Sequence[TrainSpec]) -> list[bool]:
    """Which tasks' dev scores select the weights: those with a dev set, text only where no other has one."""
    labeled = any(part.has_dev and not part.task.type.plain_text for part in parts)
    return [part.has_dev and not (labeled and part.task.type.plain_text) for part in parts]


def provenance(parts: Sequence[TrainSpec]) -> dict[str, dict[str, list[str]]]:
    """Who wrote the training data, by task and language: `native`, `human`, `machine`; as far as known."""
    return {
        str(Reference(part.task.name, part.languages)): {
            language: list(found)
            for language in part.train_languages
            if (found := part.task.provenance_of("train", language))
        }
        for part in parts
    }


OF_EACH_TASK = ("task", "definition", "max_length", "languages", "train", "dev")
"""What of the inputs differs between the tasks of a multi-task run."""


def compares_vectors(task: Task) -> bool:
    """Whether a task is answered by comparing vectors with each other, trained or not."""
    return task.type.compares_vectors


def tag(task: Task) -> str:
    """What the name of a folder says of a formulation; empty where the task is put as its type puts it."""
    return "" if task.formulation is None else f".{task.formulation}".replace("/", "-").replace(":", "-")


def answers_below(task: Task) -> bool:
    """Whether what is below the target answers: for retrieval, and for untrained formulations."""
    return is_retrieval(task) or task.type.untrained


def is_retrieval(task: Task) -> bool:
    """Whether a task is evaluated without training."""
    return not task.type.trainable


@dataclass(frozen=True)
class TrainSpec(TrainingSpec):
    """One training run of the intermediate or target phase.

    Args:
        phase: `intermediate` or `target`; `head`, see `adaptrans.runs.masked_lm_head`.
        setup: What is trained: `full`, `adapter`, `mnli > target`, ...
        task: What it is trained on.
        method: Adapter method; ignored where the setup trains the whole model.
        parents: Runs whose artifacts it builds on, by reference as written in the setup.
        languages: Languages of the training data; by default English, or the task's only one.
        tested: Test languages asked for, where weights are selected on their dev sets; empty for all.
        others: For a multi-task run, a spec of each further task; a step trains one of all of them.
    """

    workspace: Workspace
    phase: Literal["intermediate", "target", "head"]
    setup: Setup
    task: Task
    method: str
    config: TrainingConfig
    seed: int
    parents: Mapping[str, Run] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    others: tuple[TrainSpec, ...] = ()
    tested: tuple[str, ...] = ()

    PREPARE: ClassVar[str] = "adaptrans.training.train:tasks"
    split: ClassVar[str] = "train"

    @property
    def parts(self) -> tuple[TrainSpec, ...]:
        """One spec for each task, this one's first."""
        return (replace(self, others=()), *self.others)

    @property
    def reference(self) -> str:
        """The tasks with their languages, as a setup names them."""
        return mix_name(tuple(Reference(part.task.name, part.languages) for part in self.parts))

    @functools.cached_property
    def train_languages(self) -> tuple[str, ...]:
        """Languages of the training data.

        Raises:
            UnknownNameError: If there is no such training language.
            ConfigError: If there are several, none of them English, and none was chosen.
            MissingDataError: If its data are nowhere.
        """
        published = self.task.languages_of("train")
        if self.task.type.plain_text and not self.languages:
            return self.workspace.languages_with(self.task, "train")
        if not self.languages and "en" not in published and len(published) > 1:
            raise ConfigError(
                f"{self.task.name} has training data in {len(published)} languages and none in English",
                remedy=f"say which, as {self.task.name}[{published[0]}]",
            )
        wanted = self.languages or (("en",) if "en" in published else published)
        for language in wanted:
            if language not in published:
                raise unknown(f"training language of {self.task.name}", language, published)
            # Looking for it raises the error that says what to fetch.
            self.workspace.data_key(self.task, "train", language)
        return wanted

    @functools.cached_property
    def dev_languages(self) -> tuple[str, ...]:
        """Languages whose dev sets select the weights: those of the training data, or the test languages.

        Raises:
            MissingDataError: If the test languages are to select and none has a dev set.
        """
        if self.config.select == "source_dev":
            return self._with_own_dev or self.train_languages
        there = self.workspace.languages_with(self.task, "dev") if "dev" in self.task.splits else ()
        found = tuple(code for code in there if not self.tested or code in self.tested)
        if not found:
            raise MissingDataError(
                f"{self.task.name} has no dev set in the test languages to select on",
                remedy="say select: source_dev",
            )
        return found

    @functools.cached_property
    def has_dev(self) -> bool:
        """Whether there is a dev set to select on."""
        return bool(self.dev_languages if self.config.select == "target_dev" else self._with_own_dev)

    @functools.cached_property
    def _with_own_dev(self) -> tuple[str, ...]:
        """Training languages that have a dev set."""
        if "dev" not in self.task.splits:
            return ()
        here = self.workspace.languages_here(self.task, "train")
        there = self.workspace.languages_here(self.task, "dev") if here else self.task.languages_of("dev")
        return tuple(language for language in self.train_languages if language in there)

    @property
    def heads(self) -> tuple[int, ...]:
        """For each task the number of the task whose head it learns under: its own, or an earlier one.

        Tasks share a head if their files name the same one and they have the same kind and labels.
        """
        found: list[int] = []
        tasks = [part.task for part in self.parts]
        for number, task in enumerate(tasks):
            found.append(next((place for place in found if task.shares_head(tasks[place])), number))
        return tuple(found)

    def data_keys(self, split: str) -> dict[str, str]:
        """Fingerprints of a split's data by language."""
        languages = self.dev_languages if split == "dev" else self.train_languages
        return {language: self.workspace.data_key(self.task, split, language) for language in languages}

    @functools.cached_property
    def prefixes(self) -> Prefixes:
        """What stands before the texts of its task."""
        return prefixes_of(self.task, self.config, self.workspace.backbone)

    @property
    def own_inputs(self) -> dict[str, Any]:
        """The tasks with their data, the setup and the options."""
        before = next((part.prefixes for part in self.parts if part.prefixes), None)
        others = [{name: other.inputs[name] for name in OF_EACH_TASK} for other in self.others]
        return {
            "phase": self.phase,
            "setup": str(self.setup),
            "task": str(self.task),
            "definition": self.workspace.definition(self.task),
            **self.task.formulation_inputs,
            "config": self.config.inputs(
                self.whole_model,
                fusion=bool(self.setup.fusions),
                mix=bool(self.others),
                text=any(part.task.type.plain_text for part in self.parts),
            ),
            "parents": self.parent_keys,
            "languages": list(self.languages),
            "train": self.data_keys("train"),
            "dev": self.data_keys("dev") if self.has_dev else {},
            **loading.rule(self.config.limit_train, self.config.limit_dev),
            **({"mix": others} if others else {}),
            **({"text_prefix": before.key} if before else {}),
            **({"heads": list(self.heads)} if len(set(self.heads)) < len(self.heads) else {}),
        }

    @property
    def effective_method(self) -> str:
        """`full`, or the adapter method."""
        return "full" if self.setup.is_full else self.method

    def differs_in_options(self, inputs: Mapping[str, Any]) -> bool:
        """Whether a run differs from this spec in its options alone; data count where they are at hand."""
        tasks = [(str(other.task), list(other.languages)) for other in self.others]
        if tasks != [(other["task"], other["languages"]) for other in inputs.get("mix", [])]:
            return False
        own = {
            **self.shared_inputs,
            "setup": str(self.setup),
            "task": str(self.task),
            "parents": self.parent_keys,
            "languages": list(self.languages),
            "formulation": self.task.formulation_inputs.get("formulation"),
        }
        with contextlib.suppress(MissingDataError):
            own["train"] = self.data_keys("train")
        return all(inputs.get(name) == value for name, value in own.items())

    @property
    def aside(self) -> dict[str, Any]:
        """Who wrote the training data."""
        return {"provenance": provenance(self.parts)}

    @property
    def label(self) -> str:
        """Readable part of the folder's name."""
        name = mix_name(tuple(Reference(part.task.name) for part in self.parts)).replace(" + ", "+")
        return f"{name}{tag(self.task)}.{self.setup}.{self.effective_method}.s{self.seed}"

    def describe(self) -> str:
        """What it computes, in words."""
        return f"{self.phase}: train {self.setup} on {self.task.shown}"

    @property
    def open_splits(self) -> tuple[tuple[Task, str], ...]:
        """The texts among its tasks that are read in all languages that there are."""
        return tuple(
            (part.task, "train") for part in self.parts if part.task.type.plain_text and not part.languages
        )

    def profile(self, known: Mapping[str, float]) -> RunProfile:
        """What its cost depends on; training examples as a past run counted them, else as published."""
        examples = self._examples(known)
        inputs = None if examples is None else passes(self.config.model_dump(), examples)
        return RunProfile.of(self, TRAINING, self.reference, str(self.setup), self.max_length, inputs)

    def _examples(self, known: Mapping[str, float]) -> float | None:
        limit, cap = self.config.limit_train, self.config.mixing_cap if self.others else None
        total = 0.0
        for part in self.parts:
            count = known.get(data_of(part.data_keys("train"), limit))
            count = count or published_size(part.task, "train", part.train_languages, limit)
            if count is None:
                return None
            total += min(count, cap or inf)
        return total

    def memory_case(self, precision: Literal["fp32", "bf16"] = "fp32") -> Case:
        """The forward and backward pass that takes the most: all inputs as long as they may be."""
        shape = shape_of(self.workspace.backbone)
        config, length = self.config, self.max_length
        kind = self.task.type
        assert kind.head is not None, "what has no head is not trained"
        at_once = max(1, config.tokens_per_batch // (length * kind.rows_per_input))
        return Case(
            shape,
            setup=str(self.setup),
            method=self.method,
            head=kind.head,
            labels=kind.head_size(self.task, shape.width),
            items=min(config.batch_size, at_once),
            length=min(length, shape.positions - 2),
            precision=precision if config.precision == "auto" else config.precision,
            checkpointing=config.gradient_checkpointing is True,
            quantize=config.quantize,
            vocabulary=TRIMMED_ROWS if config.trims(self.whole_model) and not kind.plain_text else None,
        )


SHOTS = "shots"
"""The phase of further training on a few examples."""


def shot_split(where: Workspace, task: Task, language: str) -> str | None:
    """The split that a language's examples are drawn from, train or else dev; None where it has neither."""
    for split in ("train", "dev"):
        published = split in task.splits and language in task.languages_of(split)
        if published and (where.data is None or language in where.languages_here(task, split)):
            return split
    return None


def drawn(labels: Sequence[Any] | int, shots: int, seed: int) -> list[int]:
    """Places of the examples that are drawn, in the order of the data; fewer shots are a part of more.

    Args:
        labels: Label of each example, of which each gets so many; or the number of examples where they
            have none.
        shots: How many of each label.
        seed: Seed of the draw.

    Example:
        >>> drawn(["a", "b", "a", "a", "b"], 1, seed=1), drawn(5, 2, seed=1)
        ([0, 1], [1, 4])
    """
    every = [None] * labels if isinstance(labels, int) else labels
    taken: dict[str, list[int]] = {}
    for place in np.random.default_rng([seed, FEW_SHOT_DRAW]).permutation(len(every)).tolist():
        members = taken.setdefault(canonical_json(every[place]), [])
        if len(members) < shots:
            members.append(place)
    return sorted(place for members in taken.values() for place in members)


@dataclass(frozen=True)
class ShotSpec(TrainingSpec):
    """Further training of a finished target run on a few examples of one language.

    Args:
        base: The target run that it goes on from, before it runs.
        start: That run.
        split: Where the examples are drawn from.
        shots: How many per label; of sentences or questions where examples have no one label.
        config: Its options; nothing is selected, the weights are those of the last step.
    """

    base: TrainSpec
    start: Run
    language: str
    split: str
    shots: int
    config: TrainingConfig

    PREPARE: ClassVar[str] = "adaptrans.training.train:few_shot"
    phase: ClassVar[str] = SHOTS

    @property
    def workspace(self) -> Workspace:
        """Where it works."""
        return self.base.workspace

    @property
    def task(self) -> Task:
        """The target."""
        return self.base.task

    @property
    def prefixes(self) -> Prefixes:
        """What stands before the texts: what the run that it goes on from was trained with."""
        return (
            Prefixes.of_key(self.start.config().get("text_prefix"))
            if self.start.is_done
            else self.base.prefixes
        )

    @property
    def seed(self) -> int:
        """Seed of the draw, the batches and dropout."""
        return self.base.seed

    @property
    def setup(self) -> str:
        """What is trained, as tables name it."""
        return self.transfer.row(str(self.base.setup))

    @property
    def transfer(self) -> TransferSetting:
        """What it saw of the target languages."""
        return TransferSetting(self.base.config.select == "target_dev", self.shots)

    @property
    def parents(self) -> Mapping[str, Run]:
        """The run it goes on from."""
        return {"start": self.start}

    @property
    def parts(self) -> tuple[ShotSpec, ...]:
        """The one task that it trains."""
        return (self,)

    @property
    def train_languages(self) -> tuple[str, ...]:
        """The language of the examples."""
        return (self.language,)

    def data_keys(self, split: Literal["train"]) -> dict[str, str]:  # noqa: ARG002
        """Fingerprint of the data that the examples are drawn from, by language."""
        return {self.language: self.workspace.data_key(self.task, self.split, self.language)}

    def places(self, examples: Sequence[Any], gold: Callable[[Any], Any]) -> list[int]:
        """Places of the drawn examples among those of the split."""
        # Of examples without one label each, so many sentences or questions are drawn.
        balanced = self.task.type.one_label
        return drawn([gold(item) for item in examples] if balanced else len(examples), self.shots, self.seed)

    @property
    def own_inputs(self) -> dict[str, Any]:
        """The examples, the run that it goes on from, and the options."""
        return {
            "phase": SHOTS,
            "setup": str(self.base.setup),
            "task": str(self.task),
            "definition": self.workspace.definition(self.task),
            **self.task.formulation_inputs,
            "shots": self.shots,
            "rule": FEW_SHOT_DRAW,
            "start_target_dev": self.transfer.target_dev,
            "language": self.language,
            "split": self.split,
            "train": self.data_keys("train"),
            "config": replace_selection(self.config).inputs(self.whole_model),
            "parents": self.parent_keys,
        }

    @property
    def label(self) -> str:
        """Readable part of the folder's name."""
        name = f"{self.task.name}{tag(self.task)}"
        return f"{name}.{self.base.setup}.{self.shots}-shot.{self.language}.s{self.seed}"

    @property
    def effective_method(self) -> str:
        """`full`, or the adapter method."""
        return self.base.effective_method

    @property
    def quantize(self) -> str:
        """It goes on around the base that it was trained on, unless another one is asked for."""
        own = self.config.quantize
        return read_manifest(self.start.artifact).quantize if own == UNQUANTIZED else own

    def describe(self) -> str:
        """What it computes, in words."""
        return f"{SHOTS}: train {self.setup} on {self.task.shown} {self.language}"

    def profile(self, known: Mapping[str, float]) -> RunProfile:  # noqa: ARG002
        """What its cost depends on."""
        inputs = self.config.epochs * self.shots * max(1, len(self.task.labels))
        return RunProfile.of(self, FEW_SHOT, self.task.name, self.setup, self.max_length, inputs)


def replace_selection(config: TrainingConfig) -> TrainingConfig:
    """Options of a run without a dev set, in which nothing is selected."""
    return config.model_copy(update={"select": "source_dev", "keep_best": False})


def shot_specs(
    base: TrainSpec, start: Run, languages: Sequence[str], shots: int, config: TrainingConfig
) -> list[ShotSpec]:
    """The further training of one target run, a run for each language that has examples to draw.

    The languages of its own training data are left out: there it has seen many examples.
    """
    found = []
    for language in languages:
        split = None if language in base.train_languages else shot_split(base.workspace, base.task, language)
        if split is not None:
            found.append(ShotSpec(base, start, language, split, shots, config))
    return found
