"""An evaluation before it runs: what goes in, and the key and folder that follow from it. Torch-free."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from adaptrans.errors import ConfigError, MissingDataError
from adaptrans.languages import unknown
from adaptrans.modeling.adapter_methods import DEFAULT_METHOD
from adaptrans.modeling.backbone import Backbone
from adaptrans.modeling.setup.nodes import Policy, Setup
from adaptrans.perturbations.base import Perturbation, perturbation_of
from adaptrans.runs.base import (
    ANSWERING,
    RETRIEVAL,
    ZERO_SHOT,
    RunProfile,
    RunSpec,
    TransferSetting,
    imported,
    prefixes_of,
    published_size,
)
from adaptrans.runs.store import Run
from adaptrans.runs.train import ShotSpec, answers_below, compares_vectors, is_retrieval, tag
from adaptrans.runs.training_args import EvaluationConfig
from adaptrans.runs.workspace import Workspace
from adaptrans.task_types.rows import Prefixes
from adaptrans.tasks import loading
from adaptrans.tasks.schema import Task
from adaptrans.utils.io import read_json

PHASE = "evaluate"

BARE = "backbone"
"""What answers for a retrieval target when a setup has nothing below its target."""


def default_layer(depth: int) -> int:
    """The layer for retrieval where none is given: 14 of 24, and in proportion for other depths.

    Source: jiant's XTREME guide takes `hidden_states[14]` of XLM-R Large.

    Example:
        >>> default_layer(24), default_layer(12), default_layer(4)
        (14, 7, 2)
    """
    return round(depth * 14 / 24)


def retrieval_layer(backbone: Backbone) -> int:
    """The layer for retrieval where none is given: the one the backbone recommends, or `default_layer`."""
    return default_layer(backbone.depth) if backbone.retrieval_layer is None else backbone.retrieval_layer


@dataclass(frozen=True)
class EvaluateSpec(RunSpec):
    """Zero-shot evaluation of one setup on one target.

    Args:
        setup: The setup as written.
        trained: The target run to evaluate; None where what is below the target answers.
        parents: Without training, the runs below the target, by reference.
        languages: Languages to evaluate; empty for all that have data.
        method: Adapter method of the setup.
        seed: Seed of the runs it evaluates.
        language_runs: For a setup with `{lang}`, the language adapters at hand, by language.
        shots: For a few-shot row, the run that answers in each language, instead of `trained`.
        transfer: What was seen of the target languages.
        trained_with: What stood before texts in training, and does in answering; retrieval says its own.
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
    shots: Mapping[str, ShotSpec] = field(default_factory=dict)
    transfer: TransferSetting = ZERO_SHOT
    trained_with: Prefixes = field(default_factory=Prefixes)

    EXECUTE: ClassVar[str] = "adaptrans.evaluation.evaluator:evaluate_all"
    phase: ClassVar[str] = PHASE

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
                raise unknown(f"language of {self.task.name}", language, self.task.languages)
        wanted = self.languages or self.workspace.languages_with(self.task, self.config.split)
        for language in wanted:
            # Looking for it raises the error that says what to fetch.
            self.workspace.data_key(self.task, self.config.split, language)
        return wanted

    @property
    def answering(self) -> str:
        """What of the setup answers for this task: all of it, or what is below `target` without training.

        Setups with the same text are one run: `full` and `adapter` both leave the bare backbone.
        """
        if not answers_below(self.task):
            return str(self.setup)
        below = self.setup.below_target()
        return str(Setup(below)) if below else BARE

    @functools.cached_property
    def prefixes(self) -> Prefixes:
        """What stands before texts: as in training, or as the options of retrieval say."""
        if is_retrieval(self.task):
            return prefixes_of(self.task, self.config, self.workspace.backbone)
        return self.trained_with

    @functools.cached_property
    def perturbation(self) -> Perturbation | None:
        """What changes the examples before they are answered.

        Raises:
            UnknownNameError: If there is no such perturbation.
            ConfigError: If it cannot change examples of this type.
        """
        text = self.config.perturb
        return None if text is None else perturbation_of(text, self.task.kind)

    @property
    def unperturbed(self) -> EvaluateSpec:
        """The same on the test set as it is; what has the same one loads the same model."""
        return replace(self, config=self.config.model_copy(update={"perturb": None}))

    def examples(self, language: str, notes: list[str]) -> Iterator[Any]:
        """The examples of a language as they are answered, changed where the evaluation says so."""
        config = self.config
        found = self.workspace.stream(self.task, config.split, language, config.limit, notes)
        return found if self.perturbation is None else self.perturbation.changed(found)

    @property
    def effective_method(self) -> str:
        """`full`, the adapter method, or nothing for the bare backbone."""
        if self.answering == BARE:
            return "none"
        return "full" if self.setup.is_full else self.method

    @functools.cached_property
    def layer(self) -> int | None:
        """The layer whose vectors are compared; None where the best one is chosen, see `Select`."""
        if self.config.layer == "best":
            return None
        backbone = self.workspace.backbone
        depth = backbone.depth
        layer = retrieval_layer(backbone) if self.config.layer is None else self.config.layer
        if not 0 <= layer <= depth:
            raise ConfigError(f"layer {layer} of a model with {depth} layers", remedy=f"choose 0 to {depth}")
        return layer

    @property
    def own_inputs(self) -> dict[str, Any]:
        """All that can change a prediction, except the languages' data, which is recorded with each."""
        values: dict[str, Any] = {
            "setup": self.answering,
            "task": str(self.task),
            "definition": self.workspace.definition(self.task),
            **self.task.formulation_inputs,
            "seed": None if self.answering == BARE else self.seed,
            "split": self.config.split,
            "limit": self.config.limit,
            **loading.rule(self.config.limit),
            "precision": self.config.precision,
            "samples": self.config.samples,
            "trained": self.trained.key if self.trained else None,
            "parents": self.parent_keys,
        }
        if self.perturbation is not None:
            values |= {"perturbation": self.perturbation.inputs}
        if self.config.quantize is not None:
            values |= {"quantize": self.config.quantize}
        if self.shots:
            values |= {"shots": {code: spec.run.key for code, spec in sorted(self.shots.items())}}
        if self.setup.has_language:
            swapped = self.language_runs if self.policy == "swap" else {}
            further = self.task.type.other_languages(self.task.languages)
            spoken = (*self.wanted_languages, *further)
            used = {code: swapped[code].key for code in spoken if code in swapped}
            values |= {"policy": self.policy, "language_adapters": used}
        if is_retrieval(self.task):
            values |= {"layer": self.layer, "pooling": self.config.pooling}
        if self.prefixes:
            values |= {"text_prefix": self.prefixes.key}
        if self.task.type.mines:
            values |= {"threshold": self.config.threshold, "tuned_on": self._tuned_on}
        if self.config.select is not None and is_retrieval(self.task):
            language = self.config.select.language
            if language not in self.task.languages:
                raise unknown(f"language of {self.task.name}", language, self.task.languages)
            half = {"data": self.workspace.data_key(self.task, self.config.split, language)}
            values |= {"layer": "best", "select": {**self.config.select.model_dump(), **half}}
        return values

    @property
    def _tuned_on(self) -> dict[str, str]:
        """Mining: fingerprints of the dev data that the threshold is tuned on."""
        tuned = self.config.threshold == "dev" and self.config.split != "dev"
        found: dict[str, str] = {}
        for language in self.wanted_languages if tuned else ():
            with contextlib.suppress(MissingDataError):
                found[language] = self.workspace.data_key(self.task, "dev", language)
        return found

    @property
    def aside(self) -> dict[str, Any]:
        """What was seen of the target languages."""
        return {} if self.transfer.zero_shot else {"regime": self.transfer.label}

    @property
    def label(self) -> str:
        """Readable part of the folder's name."""
        seed = "" if self.answering == BARE else f".s{self.seed}"
        answering = self.transfer.row(self.answering).replace(" +", ".")
        changed = "" if self.perturbation is None else f".{self.perturbation}".replace(":", "-")
        return f"{self.task.name}{tag(self.task)}{changed}.{answering}.{self.effective_method}{seed}"

    @property
    def needs(self) -> tuple[Run, ...]:
        """The runs that answer, and those below a target."""
        own = (self.trained,) if self.trained else ()
        return (*self.parents.values(), *own, *(shot.run for shot in self.shots.values()))

    @property
    def missing(self) -> dict[str, str]:
        """Fingerprints of the data, as they are now, of the wanted languages that are not done."""
        split = self.config.split
        keys = {code: self.workspace.data_key(self.task, split, code) for code in self.wanted_languages}
        return {code: key for code, key in keys.items() if _scored_data(self.run, code) != key}

    @property
    def is_done(self) -> bool:
        """Whether every wanted language is there, on the data as they are now."""
        return self.run.is_done and not self.missing

    def describe(self) -> str:
        """What it computes, in words."""
        answering = self.transfer.row(self.answering)
        changed = "" if self.perturbation is None else f" ({self.perturbation})"
        return f"evaluate: {answering} on {self.task.shown}{changed}, {len(self.wanted_languages)} languages"

    def profile(self, known: Mapping[str, float]) -> RunProfile:  # noqa: ARG002
        """What its cost depends on."""
        phase = RETRIEVAL if is_retrieval(self.task) else ANSWERING
        inputs = published_size(self.task, self.config.split, self.wanted_languages, self.config.limit)
        return RunProfile.of(self, phase, self.task.name, self.answering, self.max_length, inputs)

    @property
    def open_splits(self) -> tuple[tuple[Task, str], ...]:
        """The split it scores, where no languages were chosen."""
        return () if self.languages else ((self.task, self.config.split),)

    def execute(self) -> Run:
        """Score every wanted language that is not done, see `execute_together`."""
        execute_together([self])
        return self.run

    def fits_beside(self, other: EvaluateSpec) -> bool:
        """Whether two setups answer the same inputs, around the same frozen backbone.

        Of untrained formulations: whether they are two of the same task on the same encoder.
        """
        if self.task.type.untrained or other.task.type.untrained:
            return self._is_same_encoder(other)
        alone = any(
            spec.shots or spec.setup.is_full or spec.setup.has_language or spec.setup.fusions
            for spec in (self, other)
        )
        return (
            not alone
            and not compares_vectors(self.task)
            and not self.task.type.fills_masks
            and (self.task, self.config, self.prefixes) == (other.task, other.config, other.prefixes)
            and self.workspace.backbone.fingerprint == other.workspace.backbone.fingerprint
            and (self.workspace.data, self.workspace.device) == (other.workspace.data, other.workspace.device)
            and self.missing == other.missing
        )

    def _is_same_encoder(self, other: EvaluateSpec) -> bool:
        """Whether another untrained formulation of the same task is answered by the same model."""
        one, two = self.task.formulation, other.task.formulation
        plain = [spec.task.model_copy(update={"formulation": None}) for spec in (self, other)]
        inputs = [{**spec.inputs, "formulation": None} for spec in (self, other)]
        return (
            one is not None
            and two is not None
            and one.answers_beside(two)
            and not self.setup.has_language
            and plain[0] == plain[1]
            and inputs[0] == inputs[1]
            and (self.workspace.data, self.workspace.device) == (other.workspace.data, other.workspace.device)
            and (self.config, self.missing) == (other.config, other.missing)
        )


def execute_together(specs: Sequence[EvaluateSpec]) -> None:
    """Carry out some evaluations; what those share that fit beside each other is computed once."""
    imported(EvaluateSpec.EXECUTE)(specs)


def side_by_side(specs: Sequence[EvaluateSpec]) -> list[list[EvaluateSpec]]:
    """What is to do of some evaluations, each run once; those of a group are computed together."""
    groups: list[list[EvaluateSpec]] = []
    met: set[Path] = set()
    for spec in specs:
        if spec.run.path in met or spec.is_done:
            continue
        met.add(spec.run.path)
        group = next((group for group in groups if group[0].fits_beside(spec)), None)
        if group is None:
            groups.append([spec])
        else:
            group.append(spec)
    return groups


def sharing_a_load(specs: Sequence[EvaluateSpec], together: bool) -> list[list[EvaluateSpec]]:
    """What is to do of some evaluations, each run once, in groups that load their models once.

    Args:
        specs: The evaluations.
        together: Whether setups that answer the same inputs are in one group, see `side_by_side`; those that
            differ in nothing but the perturbation always are.
    """
    alike = side_by_side(specs) if together else []
    if not any(spec.perturbation for spec in specs):
        return alike
    if not together:
        once = {spec.run.path: spec for spec in specs if not spec.is_done}
        alike = [[spec] for spec in once.values()]
    groups: dict[tuple[Path, ...], list[EvaluateSpec]] = {}
    for group in alike:
        groups.setdefault(tuple(spec.unperturbed.run.path for spec in group), []).extend(group)
    return list(groups.values())


def _scored_data(run: Run, language: str) -> str | None:
    """Fingerprint of the data that a language was scored on; None where it was not scored."""
    path = run.path / "scores" / f"{language}.json"
    return str(read_json(path)["data"]) if path.is_file() else None
