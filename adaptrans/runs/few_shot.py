"""A few examples of a target language: which they are, and the run that trains on them. Torch-free."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from adaptrans.modeling.backbone import check_length
from adaptrans.modeling.manifest import read_manifest
from adaptrans.modeling.setup.validation import UNQUANTIZED
from adaptrans.runs.base import FEW_SHOT, RunProfile, TrainingSpec, TransferSetting
from adaptrans.runs.store import Run
from adaptrans.runs.train import TrainSpec
from adaptrans.runs.training_args import TrainingConfig
from adaptrans.runs.workspace import Workspace
from adaptrans.tasks.schema import Task
from adaptrans.utils.formats import FEW_SHOT_DRAW, RECIPE
from adaptrans.utils.io import canonical_json

PHASE = "shots"

SPLITS = ("train", "dev")
"""Where the examples are drawn from: the first of them that the language has."""


def shot_split(where: Workspace, task: Task, language: str) -> str | None:
    """The split that a language's examples are drawn from; None where it has neither.

    Args:
        where: The workspace.
        task: The target.
        language: The language.
    """
    for split in SPLITS:
        if split not in task.splits or language not in task.languages_of(split):
            continue
        if where.data is None or language in where.languages_here(task, split):
            return split
    return None


def drawn(labels: Sequence[Any] | int, shots: int, seed: int) -> list[int]:
    """Places of the examples that are drawn, in the order of the data.

    Fewer shots of the same seed are a part of more.

    Args:
        labels: Label of each example, of which each gets so many; or the number of examples where they
            have none.
        shots: How many of each label.
        seed: Seed of the draw.

    Example:
        >>> drawn(["a", "b", "a", "a", "b"], 1, seed=1), drawn(5, 2, seed=1)
        ([0, 1], [1, 4])
    """
    many = isinstance(labels, int)
    number = labels if isinstance(labels, int) else len(labels)
    order = np.random.default_rng([seed, FEW_SHOT_DRAW]).permutation(number)
    taken: dict[str, list[int]] = {}
    for place in order.tolist():
        label = "" if many else canonical_json(labels[place])  # type: ignore[index]
        members = taken.setdefault(label, [])
        if len(members) < shots:
            members.append(place)
    return sorted(place for members in taken.values() for place in members)


@dataclass(frozen=True)
class ShotSpec(TrainingSpec):
    """Further training of a finished target run on a few examples of one language.

    Args:
        base: The target run that it goes on from, before it runs.
        start: That run.
        language: The language.
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

    def __post_init__(self) -> None:
        check_length(self.workspace.backbone, self.max_length, f"{self.task.name} ({self.setup})")

    @property
    def workspace(self) -> Workspace:
        """Where it works."""
        return self.base.workspace

    @property
    def task(self) -> Task:
        """The target."""
        return self.base.task

    @property
    def seed(self) -> int:
        """Seed of the draw, the batches and dropout."""
        return self.base.seed

    @property
    def phase(self) -> str:
        """Its phase."""
        return PHASE

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

    @property
    def max_length(self) -> int:
        """Pieces per model input."""
        return self.config.max_length or self.task.max_length

    def places(self, examples: Sequence[Any], gold: Callable[[Any], Any]) -> list[int]:
        """Places of the drawn examples among those of the split."""
        # Of examples without one label each, so many sentences or questions are drawn.
        balanced = self.task.type.one_label
        return drawn([gold(item) for item in examples] if balanced else len(examples), self.shots, self.seed)

    @functools.cached_property
    def inputs(self) -> dict[str, Any]:
        """All that can change the result."""
        return {
            "recipe": RECIPE,
            "phase": PHASE,
            "setup": str(self.base.setup),
            "method": self.base.effective_method,
            "task": str(self.task),
            "definition": self.workspace.definition(self.task),
            "shots": self.shots,
            "rule": FEW_SHOT_DRAW,
            "start_target_dev": self.transfer.target_dev,
            "language": self.language,
            "split": self.split,
            "train": self.data_keys("train"),
            "config": replace_selection(self.config).inputs(self.base.whole_model),
            "max_length": self.max_length,
            "seed": self.seed,
            "backbone": self.workspace.backbone.fingerprint,
            "tokenizer": self.workspace.tokenizer_key,
            "parents": {"start": self.start.key},
        }

    @property
    def label(self) -> str:
        """Readable part of the folder's name."""
        return f"{self.task.name}.{self.base.setup}.{self.shots}-shot.{self.language}.s{self.seed}"

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
        return f"{PHASE}: train {self.setup} on {self.task.name} {self.language}"

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
