"""Runs before they run: what goes in, and the key and folder that follow from it. Torch-free.

The key of a run is the hash of its inputs: versions of task and format, content
of the data, backbone, setup, options, seed, and the keys of the runs it builds on.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from adaptrans.errors import ConfigError, MissingDataError, UnknownNameError
from adaptrans.files import digest
from adaptrans.hub.store import Run
from adaptrans.models.backbone import tokenizer_fingerprint
from adaptrans.models.methods import DEFAULT_METHOD
from adaptrans.models.setup import (
    Policy,
    Reference,
    Setup,
    below_target,
    has_fusion,
    has_language,
    is_full,
    mix_name,
)
from adaptrans.runs.config import EvaluationConfig, TrainingConfig
from adaptrans.runs.workspace import Workspace
from adaptrans.tasks import sources
from adaptrans.tasks.schema import Task

RECIPE = 2
"""Raised when training or evaluation changes in a way that can change a result."""

OF_EACH_TASK = ("task", "definition", "max_length", "languages", "train", "dev")
"""What of the inputs differs between the tasks of a multi-task run."""

UNTRAINED_KINDS = ("bitext_retrieval", "bitext_mining")


def is_retrieval(task: Task) -> bool:
    """Whether a task is evaluated without training."""
    return task.kind in UNTRAINED_KINDS


def definition(task: Task) -> str:
    """Hash of what a task file says of scoring and labels; the data have fingerprints of their own."""
    said = task.model_dump(
        mode="json",
        include={"kind", "labels", "label_map", "tag_on", "scores", "parallel", "languages", "max_length"},
    )
    return digest(said)


BARE = "backbone"
"""What answers for a retrieval target when a setup has nothing below its target."""


def answering(setup: Setup, task: Task) -> str:
    """What of a setup answers for a task: all of it, or what is below `target` for retrieval.

    Setups with the same text are one run: `full` and `adapter` both leave the bare backbone.
    """
    if not is_retrieval(task):
        return str(setup)
    below = below_target(setup)
    return str(Setup(below)) if below else BARE


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
        if not self.languages and "en" not in published and len(published) > 1:
            raise ConfigError(
                f"{self.task.name} has training data in {len(published)} languages and none in English",
                remedy=f"say which, as {self.task.name}[{published[0]}]",
            )
        wanted = self.languages or (("en",) if "en" in published else published)
        for language in wanted:
            if language not in published:
                raise UnknownNameError(f"training language of {self.task.name}", language, published)
            # Looking for it raises the error that says what to fetch.
            self.workspace.data_key(self.task, "train", language)
        return wanted

    @functools.cached_property
    def has_dev(self) -> bool:
        """Whether there is a dev set to select on in the training languages."""
        if "dev" not in self.task.splits:
            return False
        data = self.workspace.data
        local = [] if data is None else sources.available_languages(self.task, "dev", data)
        if data is None or not sources.available_languages(self.task, "train", data):
            return all(language in self.task.languages_of("dev") for language in self.train_languages)
        return all(language in local for language in self.train_languages)

    def data_keys(self, split: str) -> dict[str, str]:
        """Fingerprints of a split's data by language."""
        return {
            language: self.workspace.data_key(self.task, split, language) for language in self.train_languages
        }

    @functools.cached_property
    def inputs(self) -> dict[str, Any]:
        """All that can change the result."""
        others = [{name: other.inputs[name] for name in OF_EACH_TASK} for other in self.others]
        return {
            "recipe": RECIPE,
            "phase": self.phase,
            "setup": str(self.setup),
            "task": str(self.task),
            "definition": definition(self.task),
            "method": self.trained_method,
            "config": self.config.inputs(
                self.whole_model, fusion=has_fusion(self.setup), mix=bool(self.others)
            ),
            "max_length": self.max_length,
            "seed": self.seed,
            "backbone": self.workspace.backbone.fingerprint,
            "tokenizer": tokenizer_fingerprint(self.workspace.backbone),
            "parents": self.parent_keys,
            "languages": list(self.languages),
            "train": self.data_keys("train"),
            "dev": self.data_keys("dev") if self.has_dev else {},
            **({"mix": others} if others else {}),
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
            "tokenizer": tokenizer_fingerprint(self.workspace.backbone),
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
        """The inputs and, outside the key, the backbone's name."""
        return {**self.inputs, "backbone_name": self.workspace.backbone.name}

    @functools.cached_property
    def run(self) -> Run:
        """The run of these inputs in the store."""
        name = "+".join(part.task.name for part in self.parts)
        label = f"{name}.{self.setup}.{self.trained_method}.s{self.seed}"
        return self.workspace.store.run(self.phase, label, self.inputs)


def default_layer(depth: int) -> int:
    """The layer for retrieval where none is given: 14 of 24, and in proportion for other depths.

    Source: jiant's XTREME guide takes `hidden_states[14]` of XLM-R Large.

    Example:
        >>> default_layer(24), default_layer(12), default_layer(4)
        (14, 7, 2)
    """
    return round(depth * 14 / 24)


@dataclass(frozen=True)
class EvaluateSpec:
    """Zero-shot evaluation of one setup on one target.

    Args:
        workspace: Where it works.
        setup: The setup as written.
        task: The target task.
        config: Its options.
        trained: The target run to evaluate; None for retrieval, which has none.
        parents: For retrieval, the runs below the target, by reference.
        languages: Languages to evaluate; empty for all that have data.
        method: Adapter method of the setup.
        seed: Seed of the runs it evaluates.
        language_runs: For a setup with `{lang}`, the language adapters at hand, by language.
    """

    workspace: Workspace
    setup: Setup
    task: Task
    config: EvaluationConfig
    trained: Run | None
    parents: Mapping[str, Run] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    method: str = DEFAULT_METHOD
    seed: int = 1
    language_runs: Mapping[str, Run] = field(default_factory=dict)

    @property
    def policy(self) -> Policy:
        """Which language adapter is used at test time."""
        return self.setup.policy or "swap"

    @functools.cached_property
    def wanted_languages(self) -> tuple[str, ...]:
        """The languages to evaluate.

        Raises:
            UnknownNameError: If the task has no such language.
            MissingDataError: If there is no data for any.
        """
        for language in self.languages:
            if language not in self.task.languages:
                raise UnknownNameError(f"language of {self.task.name}", language, self.task.languages)
        there = self.workspace.languages_with(self.task, self.config.split)
        wanted = self.languages or there
        for language in wanted:
            # Looking for it raises the error that says what to fetch.
            self.workspace.data_key(self.task, self.config.split, language)
        return wanted

    @property
    def answering(self) -> str:
        """What of the setup answers for this task."""
        return answering(self.setup, self.task)

    @property
    def answering_method(self) -> str:
        """`full`, the adapter method, or nothing for the bare backbone."""
        if self.answering == BARE:
            return "none"
        return "full" if is_full(self.setup) else self.method

    @functools.cached_property
    def layer(self) -> int | None:
        """The layer whose vectors are compared; None where the best one is chosen, see `Select`."""
        if self.config.layer == "best":
            return None
        depth = self.workspace.backbone.depth
        layer = default_layer(depth) if self.config.layer is None else self.config.layer
        if not 0 <= layer <= depth:
            raise ConfigError(f"layer {layer} of a model with {depth} layers", remedy=f"choose 0 to {depth}")
        return layer

    @functools.cached_property
    def inputs(self) -> dict[str, Any]:
        """All that can change a prediction, except the languages' data, which is recorded with each."""
        values: dict[str, Any] = {
            "recipe": RECIPE,
            "setup": self.answering,
            "method": self.answering_method,
            "task": str(self.task),
            "definition": definition(self.task),
            "seed": None if self.answering == BARE else self.seed,
            "split": self.config.split,
            "limit": self.config.limit,
            "precision": self.config.precision,
            "max_length": self.config.max_length or self.task.max_length,
            "backbone": self.workspace.backbone.fingerprint,
            "tokenizer": tokenizer_fingerprint(self.workspace.backbone),
            "samples": self.config.samples,
            "trained": self.trained.key if self.trained else None,
            "parents": {name: run.key for name, run in sorted(self.parents.items())},
        }
        if has_language(self.setup):
            swapped = self.language_runs if self.policy == "swap" else {}
            used = {code: swapped[code].key for code in self.wanted_languages if code in swapped}
            values |= {"policy": self.policy, "language_adapters": used}
        if is_retrieval(self.task):
            values |= {"layer": self.layer, "pooling": self.config.pooling}
        if self.task.kind == "bitext_mining":
            values |= {"threshold": self.config.threshold, "tuned_on": self._tuned_on}
        if self.config.select is not None and is_retrieval(self.task):
            language = self.config.select.language
            if language not in self.task.languages:
                raise UnknownNameError(f"language of {self.task.name}", language, self.task.languages)
            half = {"data": self.workspace.data_key(self.task, self.config.split, language)}
            values |= {"layer": "best", "select": {**self.config.select.model_dump(), **half}}
        return values

    @property
    def _tuned_on(self) -> dict[str, str]:
        """Mining: fingerprints of the dev data that the threshold is tuned on."""
        found: dict[str, str] = {}
        if self.config.threshold == "dev" and self.config.split != "dev":
            for language in self.wanted_languages:
                with contextlib.suppress(MissingDataError):
                    found[language] = self.workspace.data_key(self.task, "dev", language)
        return found

    @property
    def record(self) -> dict[str, Any]:
        """The inputs and, outside the key, the backbone's name."""
        return {**self.inputs, "backbone_name": self.workspace.backbone.name}

    @functools.cached_property
    def run(self) -> Run:
        """The run of these inputs in the store."""
        seed = "" if self.answering == BARE else f".s{self.seed}"
        label = f"{self.task.name}.{self.answering}.{self.answering_method}{seed}"
        return self.workspace.store.run("evaluate", label, self.inputs)
