"""The finished runs of a store as a forecast sees them: what each was like, and what it took. Torch-free."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adaptrans.cost import Cost, cost_of, size_of
from adaptrans.errors import ArtefactError
from adaptrans.files import canonical_json, read_json
from adaptrans.hub.store import Run, Store
from adaptrans.models.control import control_of
from adaptrans.models.nodes import Reference, mix_name
from adaptrans.runs.shots import PHASE as SHOTS

TRAINING, ANSWERING, RETRIEVAL = "training", "answering", "retrieval"


@dataclass(frozen=True)
class Like:
    """What the cost of a run depends on.

    Args:
        phase: `training`, `shots`, `answering` or `retrieval`.
        backbone: Name of the backbone; its control costs the same.
        fingerprint: Hash of the backbone.
        task: Name of the task, or of those of a mix.
        method: `full`, an adapter method, or `none`.
        setup: The setup.
        length: Pieces per input at most.
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

    def fits(self, past: Like) -> bool:
        """Whether a past run tells anything about this one."""
        same = self.fingerprint == past.fingerprint or self.backbone == past.backbone
        # Mining and nearest neighbours grow with the square of a corpus, so only the same one tells.
        return same and self.phase == past.phase and (self.phase != RETRIEVAL or self.task == past.task)

    def nearness(self, past: Like) -> tuple[bool, ...]:
        """How like a past run is; a larger value is nearer."""
        whole = (self.method == "full") == (past.method == "full")
        return (
            whole,
            self.task == past.task,
            self.method == past.method,
            self.setup == past.setup,
            self.length == past.length,
        )


@dataclass(frozen=True)
class Past:
    """A finished run and what it took.

    Args:
        run: The run.
        like: What its cost depends on.
        device: Family of the device that it ended on; empty where that is not known.
        cost: What it took, as far as it was measured.
        data: What it was trained on, and the limit; equal texts, equal numbers of examples.
        examples: Number of its training examples, before any pass.
    """

    run: Run
    like: Like
    device: str
    cost: Cost
    data: str
    examples: float | None

    @property
    def disk(self) -> int:
        """Bytes of its folder."""
        return size_of(self.run.path) if self.cost.disk is None else self.cost.disk

    @property
    def inputs(self) -> float | None:
        """Inputs that passed through its model."""
        return _answered(self.run.path) if self.like.inputs is None else self.like.inputs


def pasts_of(store: Store) -> list[Past]:
    """The finished runs of a store, oldest first, without those that cannot be read."""
    return [past for run in store.runs() if (past := _past(run)) is not None]


def data_of(train: Mapping[str, str], limit: int | None) -> str:
    """What a run is trained on: fingerprints by language, and the limit."""
    return canonical_json([dict(train), limit])


def passes(config: Mapping[str, Any], examples: float) -> float:
    """Inputs that a training run sees.

    Args:
        config: Its options.
        examples: Its training examples.

    Example:
        >>> passes({"epochs": 3, "max_steps": None}, 100)
        300.0
        >>> passes({"epochs": 3, "max_steps": 2, "batch_size": 8}, 100)
        16.0
    """
    seen = float(config["epochs"]) * examples
    return min(seen, float(config["max_steps"] * config["batch_size"])) if config.get("max_steps") else seen


def _past(run: Run) -> Past | None:
    """A finished run; None where its record cannot be read."""
    try:
        config, result = run.config(), run.result()
        options = config.get("config", {})
        cost, examples = cost_of(run.path) or Cost(), result.get("examples")
        name = str(config["backbone_name"])
        like = Like(
            _phase(run.phase, config),
            control_of(name) or name,
            str(config["backbone"]),
            _tasks(config),
            str(config["method"]),
            str(config["setup"]),
            int(config["max_length"]),
            passes(options, examples) if examples and options else None,
        )
        data = data_of(config.get("train", {}), options.get("limit_train"))
    except (ArtefactError, ValueError, LookupError, TypeError, AttributeError, OSError):
        return None
    # The training loop adds up its own time over all processes that were at work on the run.
    evaluated = cost.seconds if cost.whole else None
    seconds = evaluated if run.phase == "evaluate" else result.get("seconds")
    return Past(run, like, _device(run.path), replace(cost, seconds=seconds), data, examples)


def _phase(phase: str, config: Mapping[str, Any]) -> str:
    """The phase of a run as `Like` has it."""
    if phase == "evaluate":
        return RETRIEVAL if "layer" in config else ANSWERING
    return SHOTS if phase == SHOTS else TRAINING


def _tasks(config: Mapping[str, Any]) -> str:
    """The tasks of a run as a setup names them."""
    parts = [config, *config.get("mix", [])]
    named = [(part["task"].partition("@")[0], tuple(part.get("languages", ()))) for part in parts]
    return mix_name(tuple(Reference(*item) for item in named))


def _device(folder: Path) -> str:
    """Family of the device that a run ended on."""
    try:
        last = (folder / "environment.jsonl").read_text(encoding="utf-8").splitlines()[-1]
        return str(json.loads(last)["device"]).partition(":")[0]
    except (OSError, ValueError, LookupError, TypeError):
        return ""


@functools.lru_cache(maxsize=4096)
def _answered(folder: Path) -> float | None:
    """Examples that an evaluation answered."""
    try:
        return float(sum(int(read_json(path)["n"]) for path in (folder / "scores").glob("*.json"))) or None
    except (OSError, ValueError, LookupError, TypeError):
        return None
