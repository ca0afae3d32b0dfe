"""The run that trains a language adapter on plain text, before it runs. Torch-free."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from adaptrans import languages
from adaptrans.errors import ArtifactError, MissingDataError
from adaptrans.modeling import adapter_methods
from adaptrans.runs.base import TRAINING, RunProfile, TrainingSpec
from adaptrans.runs.store import Run
from adaptrans.runs.training_args import TrainingConfig
from adaptrans.runs.workspace import Workspace
from adaptrans.utils.formats import MLM_MASKS
from adaptrans.utils.io import cached_sha256

PHASE = "language"

METHOD = "seq_bn_inv[reduction_factor=2]"
"""MAD-X: a bottleneck of half the width and an invertible part (Pfeiffer et al. 2020, arXiv 2005.00052)."""

MAX_LENGTH = 128
"""Pieces per block of text."""


@dataclass(frozen=True)
class LanguageSpec(TrainingSpec):
    """One language adapter.

    Args:
        text: A text file, or a folder that holds `LANGUAGE.txt` or `LANGUAGE/*.txt`, plain or `.gz`.
        seed: Seed of weights, masks and batches.
    """

    workspace: Workspace
    language: str
    text: Path
    config: TrainingConfig
    method: str = METHOD
    seed: int = 1

    PREPARE: ClassVar[str] = "adaptrans.training.train:language_adapter"
    phase: ClassVar[str] = PHASE

    def __post_init__(self) -> None:
        languages.get(self.language)
        object.__setattr__(self, "method", str(adapter_methods.parse(self.method)))
        super().__post_init__()

    @property
    def about(self) -> str:
        """The language adapter."""
        return f"the language adapter {self.language}"

    @functools.cached_property
    def files(self) -> tuple[Path, ...]:
        """The text files, in order.

        Raises:
            MissingDataError: If there is none.
        """
        if self.text.is_file():
            return (self.text,)
        names = (f"{self.language}.txt", f"{self.language}.txt.gz")
        found = [self.text / name for name in names if (self.text / name).is_file()]
        for pattern in ("*.txt", "*.txt.gz"):
            found += sorted((self.text / self.language).rglob(pattern))
        if not found:
            raise MissingDataError(
                f"{self.text} has no text in {self.language}",
                remedy=f"put it into {names[0]} or {self.language}/*.txt there, or name one file",
            )
        return tuple(found)

    @property
    def max_length(self) -> int:
        """Subword tokens per block."""
        return self.config.max_length or MAX_LENGTH

    @property
    def own_inputs(self) -> dict[str, Any]:
        """The text, its masks and the options."""
        return {
            "phase": PHASE,
            "language": self.language,
            "text": cached_sha256(self.files),
            "masks": MLM_MASKS,
            "config": self.config.inputs(whole_model=False),
        }

    @property
    def label(self) -> str:
        """Readable part of the folder's name."""
        return f"{self.language}.{self.method}.s{self.seed}"

    @property
    def effective_method(self) -> str:
        """The adapter method."""
        return self.method

    @property
    def parents(self) -> Mapping[str, Run]:
        """None: it stands on the backbone."""
        return {}

    def describe(self) -> str:
        """What it computes, in words."""
        return f"{PHASE}: train a language adapter of {self.language}"

    def profile(self, known: Mapping[str, float]) -> RunProfile:  # noqa: ARG002
        """What its cost depends on; how many blocks a text has is not known before it is read."""
        return RunProfile.of(self, TRAINING, self.language, PHASE, self.max_length, None)


def language_runs(where: Workspace) -> Mapping[str, Run]:
    """The finished language adapters of a workspace's backbone, by language.

    Raises:
        ArtifactError: If a language has several.
    """
    found: dict[str, Run] = {}
    for run in where.store.runs(PHASE):
        config = run.config()
        if config["backbone"] != where.backbone.fingerprint:
            continue
        if config["language"] in found:
            names = f"{found[config['language']].name}, {run.name}"
            raise ArtifactError(
                f"the store has several language adapters of {config['language']}: {names}",
                remedy=f"move the folder of the one that is not meant out of {run.path.parent}",
            )
        found[config["language"]] = run
    return found
