"""Training runs before they run: what goes in, and the key and folder that follow from it. Torch-free.

The key of a run is the hash of its inputs: versions of task and format, content
of the data, backbone, setup, options, seed, and the keys of the runs it builds on.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from adaptrans.errors import ConfigError, MissingDataError
from adaptrans.hub.store import Run
from adaptrans.languages import unknown
from adaptrans.models.backbone import check_length
from adaptrans.models.bits import check_quantised
from adaptrans.models.setup import (
    Reference,
    Setup,
    has_fusion,
    is_full,
    mix_name,
)
from adaptrans.runs.config import TrainingConfig
from adaptrans.runs.mixes import head_places, is_text, provenance
from adaptrans.runs.workspace import Workspace
from adaptrans.tasks import subset
from adaptrans.tasks.schema import Task

RECIPE = 5
"""Raised when training or evaluation changes in a way that can change a result."""

OF_EACH_TASK = ("task", "definition", "max_length", "languages", "train", "dev")
"""What of the inputs differs between the tasks of a multi-task run."""

UNTRAINED_KINDS = ("bitext_retrieval", "bitext_mining")


def compares_vectors(task: Task) -> bool:
    """Whether a task is answered by comparing vectors with each other, trained or not."""
    return is_retrieval(task) or task.kind == "passage_ranking"


def is_retrieval(task: Task) -> bool:
    """Whether a task is evaluated without training."""
    return task.kind in UNTRAINED_KINDS


@dataclass(frozen=True)
class TrainSpec:
    """One training run of the intermediate or target phase.

    Args:
        workspace: Where it works.
        phase: `intermediate` or `target`.
        setup: What is trained: `full`, `adapter`, `mnli > target`, ...
        task: What it is trained on.
        method: Adapter method; ignored where the setup trains the whole model.
        config: Its options.
        seed: Its seed.
        parents: Runs whose artefacts it builds on, by reference as written in the setup.
        languages: Languages of the training data; by default English, or the task's only one.
        tested: Test languages asked for, where weights are selected on their dev sets; empty for all.
        others: For a multi-task run, a spec of each further task; a step trains one of all of them.
    """

    workspace: Workspace
    phase: Literal["intermediate", "target"]
    setup: Setup
    task: Task
    method: str
    config: TrainingConfig
    seed: int
    parents: Mapping[str, Run] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    others: tuple[TrainSpec, ...] = ()
    tested: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Refused before anything is planned, fetched or read.
        what = f"{self.task.name} ({self.setup})"
        check_quantised(self.config.quantise, self.trained_method, what)
        check_length(self.workspace.backbone, self.max_length, what)

    @property
    def parts(self) -> tuple[TrainSpec, ...]:
        """One spec for each task, this one's first."""
        return (replace(self, others=()), *self.others)

    @property
    def reference(self) -> str:
        """The tasks with their languages, as a setup names them."""
        return mix_name(tuple(Reference(part.task.name, part.languages) for part in self.parts))

    @property
    def whole_model(self) -> bool:
        """Whether every weight is trained."""
        return is_full(self.setup)

    @functools.cached_property
    def train_languages(self) -> tuple[str, ...]:
        """Languages of the training data.

        Raises:
            UnknownNameError: If there is no such training language.
            ConfigError: If there are several, none of them English, and none was chosen.
            MissingDataError: If its data are nowhere.
        """
        published = self.task.languages_of("train")
        if is_text(self.task) and not self.languages:
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
        if self.config.select == "target_dev":
            return bool(self.dev_languages)
        return bool(self._with_own_dev)

    @functools.cached_property
    def _with_own_dev(self) -> tuple[str, ...]:
        """Training languages that have a dev set."""
        if "dev" not in self.task.splits:
            return ()
        if self.workspace.languages_here(self.task, "train"):
            there = self.workspace.languages_here(self.task, "dev")
        else:
            there = self.task.languages_of("dev")
        return tuple(language for language in self.train_languages if language in there)

    @property
    def heads(self) -> tuple[int, ...]:
        """The task whose head each task learns under, by number; see `head_places`."""
        return head_places(self.parts)

    def data_keys(self, split: str) -> dict[str, str]:
        """Fingerprints of a split's data by language."""
        languages = self.dev_languages if split == "dev" else self.train_languages
        return {language: self.workspace.data_key(self.task, split, language) for language in languages}

    @functools.cached_property
    def inputs(self) -> dict[str, Any]:
        """All that can change the result."""
        others = [{name: other.inputs[name] for name in OF_EACH_TASK} for other in self.others]
        return {
            "recipe": RECIPE,
            "phase": self.phase,
            "setup": str(self.setup),
            "task": str(self.task),
            "definition": self.workspace.definition(self.task),
            "method": self.trained_method,
            "config": self.config.inputs(
                self.whole_model,
                fusion=has_fusion(self.setup),
                mix=bool(self.others),
                text=any(is_text(part.task) for part in self.parts),
            ),
            "max_length": self.max_length,
            "seed": self.seed,
            "backbone": self.workspace.backbone.fingerprint,
            "tokenizer": self.workspace.tokenizer_key,
            "parents": self.parent_keys,
            "languages": list(self.languages),
            "train": self.data_keys("train"),
            "dev": self.data_keys("dev") if self.has_dev else {},
            **subset.rule(self.config.limit_train, self.config.limit_dev),
            **({"mix": others} if others else {}),
            **({"heads": list(self.heads)} if len(set(self.heads)) < len(self.heads) else {}),
        }

    @property
    def trained_method(self) -> str:
        """`full`, or the adapter method."""
        return "full" if self.whole_model else self.method

    @property
    def parent_keys(self) -> dict[str, str]:
        """Keys of the runs it builds on, by reference."""
        return {name: run.key for name, run in sorted(self.parents.items())}

    def differs_in_options(self, inputs: Mapping[str, Any]) -> bool:
        """Whether a run differs from this spec in its options alone; data count where they are at hand."""
        own = {
            "recipe": RECIPE,
            "setup": str(self.setup),
            "task": str(self.task),
            "method": self.trained_method,
            "seed": self.seed,
            "backbone": self.workspace.backbone.fingerprint,
            "tokenizer": self.workspace.tokenizer_key,
            "parents": self.parent_keys,
            "languages": list(self.languages),
        }
        with contextlib.suppress(MissingDataError):
            own["train"] = self.data_keys("train")
        if [(str(other.task), list(other.languages)) for other in self.others] != [
            (other["task"], other["languages"]) for other in inputs.get("mix", [])
        ]:
            return False
        return all(inputs.get(name) == value for name, value in own.items())

    @property
    def max_length(self) -> int:
        """Pieces per model input."""
        return self.config.max_length or self.task.max_length

    @property
    def record(self) -> dict[str, Any]:
        """The inputs and, outside the key, the backbone's name and who wrote the training data."""
        return {
            **self.inputs,
            "backbone_name": self.workspace.backbone.name,
            "provenance": provenance(self.parts),
        }

    @functools.cached_property
    def run(self) -> Run:
        """The run of these inputs in the store."""
        name = mix_name(tuple(Reference(part.task.name) for part in self.parts)).replace(" + ", "+")
        label = f"{name}.{self.setup}.{self.trained_method}.s{self.seed}"
        return self.workspace.store.run(self.phase, label, self.inputs)
