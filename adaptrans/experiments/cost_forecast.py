"""What the runs of a plan will take, judged by the past runs of their store: time, memory, disk. Torch-free.

A run is judged by the past runs that are most like it, of the same backbone: first by what is trained, then
by task, method, setup, length and device. Time grows with the inputs, and between tasks with the length too.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from adaptrans.errors import ArtifactError
from adaptrans.experiments.plan import Plan
from adaptrans.experiments.planner import Training
from adaptrans.modeling.setup.nodes import Reference, mix_name
from adaptrans.modeling.shuffled_baseline import control_of
from adaptrans.runs.evaluation import EvaluateSpec
from adaptrans.runs.few_shot import PHASE as SHOTS
from adaptrans.runs.few_shot import ShotSpec
from adaptrans.runs.store import Run, Store
from adaptrans.runs.train import TrainSpec, is_retrieval
from adaptrans.tasks.schema import Task
from adaptrans.utils.environment import Cost, cost_of, size_of
from adaptrans.utils.io import canonical_json, read_json

NO_PAST = "no past run to judge by"


@dataclass(frozen=True)
class Forecast:
    """What a run will take, as far as past runs tell; None for what they do not.

    Args:
        seconds: Wall-clock seconds.
        memory: Largest resident memory of its process, in bytes.
        device_memory: Largest memory of a CUDA device, in bytes.
        disk: Bytes of its folder when it is done.
        basis: The past runs that it is judged by, and how they were scaled.
    """

    seconds: float | None = None
    memory: int | None = None
    device_memory: int | None = None
    disk: int | None = None
    basis: str = NO_PAST


@dataclass(frozen=True)
class Total:
    """What several runs take together.

    Args:
        runs: How many they are.
        unknown: How many of them have no forecast of their time.
        seconds: Of the others, one after another.
        memory: The largest of any, in bytes; None where none is known.
        device_memory: Likewise of a CUDA device.
        disk: Of all that have a forecast, in bytes.
    """

    runs: int
    unknown: int
    seconds: float
    memory: int | None
    device_memory: int | None
    disk: int


def forecasts(plan: Plan) -> dict[Path, Forecast]:
    """A forecast for every run of a plan, by its folder."""
    specs = {spec.run.path: spec for spec in (*plan.training, *(cell.evaluation for cell in plan.cells))}
    stores = {spec.workspace.store.root: spec.workspace.store for spec in specs.values()}
    judges = {root: _Judge(store) for root, store in stores.items()}
    return {path: judges[spec.workspace.store.root].forecast(spec) for path, spec in specs.items()}


def total(found: Iterable[Forecast]) -> Total:
    """What several runs take together.

    Example:
        >>> total([Forecast(60.0, 100, None, 5, "a"), Forecast(30.0, 300, None, 5, "b"), Forecast()])
        Total(runs=3, unknown=1, seconds=90.0, memory=300, device_memory=None, disk=10)
    """
    runs = list(found)
    return Total(
        len(runs),
        sum(item.seconds is None for item in runs),
        sum(item.seconds or 0.0 for item in runs),
        _largest(item.memory for item in runs),
        _largest(item.device_memory for item in runs),
        sum(item.disk or 0 for item in runs),
    )


def _largest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


class _Judge:
    """The finished runs of a store, read once for a plan."""

    def __init__(self, store: Store) -> None:
        self.pasts = run_history(store)
        self.sizes = {past.data: past.examples for past in self.pasts if past.examples}
        # `auto` means here what it meant for the last run.
        self.device = next((past.device for past in reversed(self.pasts) if past.device), "")
        self.found: dict[tuple[RunProfile, str], list[PastRun]] = {}

    def forecast(self, spec: Training | EvaluateSpec) -> Forecast:
        """The forecast of one run."""
        like, wanted = self.like(spec), spec.workspace.device
        device = self.device if wanted == "auto" else wanted.partition(":")[0]
        # Runs that differ in seed or size alone are judged by the same ones.
        place = (replace(like, inputs=None), device)
        if place not in self.found:
            self.found[place] = _nearest(like, device, self.pasts)
        nearest = self.found[place]
        return _judged(like, nearest) if nearest else Forecast()

    def like(self, spec: Training | EvaluateSpec) -> RunProfile:
        """What the cost of a planned run depends on."""
        backbone, task = spec.workspace.backbone, spec.task.name
        match spec:
            case EvaluateSpec():
                phase = RETRIEVAL if is_retrieval(spec.task) else ANSWERING
                length = spec.max_length
                method, setup = spec.answering_method, spec.answering
                inputs = published(spec.task, spec.config.split, spec.wanted_languages, spec.config.limit)
            case ShotSpec():
                phase, length, method, setup = SHOTS, spec.max_length, spec.base.trained_method, spec.setup
                inputs = spec.config.epochs * spec.shots * max(1, len(spec.task.labels))
            case TrainSpec():
                phase, length, method, setup = TRAINING, spec.max_length, spec.trained_method, str(spec.setup)
                task, examples = spec.reference, self._examples(spec)
                inputs = None if examples is None else passes(spec.config.model_dump(), examples)
        name = control_of(backbone.name) or backbone.name
        return RunProfile(phase, name, backbone.fingerprint, task, method, setup, length, inputs)

    def _examples(self, spec: TrainSpec) -> float | None:
        """Training examples of a run: as a past run counted them, else as published."""
        limit, cap = spec.config.limit_train, spec.config.mixing_cap if spec.others else None
        found = 0.0
        for part in spec.parts:
            known = self.sizes.get(data_of(part.data_keys("train"), limit))
            count = known or published(part.task, "train", part.train_languages, limit)
            if count is None:
                return None
            found += min(count, cap or math.inf)
        return found


def published(task: Task, split: str, languages: Sequence[str], limit: int | None) -> float | None:
    """Examples of a split as its authors count them, of each language no more than a limit.

    Args:
        task: The task.
        split: Name of the split.
        languages: Codes of the languages.
        limit: The limit; None for none.

    Returns:
        Their number; None where it is not published and there is no limit.
    """
    found = [_count(task, split, language) for language in languages]
    if limit is None and None in found:
        return None
    return sum(min(math.inf if count is None else count, limit or math.inf) for count in found)


def _count(task: Task, split: str, language: str) -> float | None:
    """Published examples of a split in a language, through what it is made of."""
    definition = task.split(split)
    own = definition.count(language)
    if own is not None:
        return float(own)
    if definition.holdout:
        whole = _count(task, definition.holdout.of, language)
        return None if whole is None else whole * definition.holdout.share
    found = 0.0
    for part in definition.parts():
        origin = task.origin(part)
        if part.language in (None, language) and language in origin.languages_of(part.split):
            count = _count(origin, part.split, language)
            if count is None:
                return None
            found += count
    return found or None


def _nearest(like: RunProfile, device: str, pasts: Sequence[PastRun]) -> list[PastRun]:
    """The past runs that are most like a run."""
    fitting = [
        (past, (*like.nearness(past.like), past.device == device)) for past in pasts if like.fits(past.like)
    ]
    best = max((nearness for _, nearness in fitting), default=())
    return [past for past, nearness in fitting if nearness == best]


def _judged(like: RunProfile, pasts: Sequence[PastRun]) -> Forecast:
    """The forecast from the past runs nearest to a run."""
    last = pasts[-1]
    longer = 1.0 if like.task == last.like.task else like.length / last.like.length
    shares = [_share(like, past) for past in pasts]
    timed = [
        past.cost.seconds * share * longer
        for past, share in zip(pasts, shares, strict=True)
        if share is not None and past.cost.seconds is not None
    ]
    known = [share for share in shares if share is not None]
    share = median(known) if known else None
    # What is trained has one size; answers are as many as the inputs.
    grows = share if like.phase in (ANSWERING, RETRIEVAL) and share is not None else 1.0
    return Forecast(
        median(timed) if timed else None,
        _largest(past.cost.memory for past in pasts),
        _largest(past.cost.device_memory for past in pasts),
        round(last.disk * grows),
        _basis(pasts, share, longer),
    )


def _share(like: RunProfile, past: PastRun) -> float | None:
    """How many times the inputs of a past run there are; None where that is not known."""
    inputs = past.inputs
    if like.inputs is not None and inputs:
        return like.inputs / inputs
    # The same test set, of which no size is published.
    return 1.0 if like.phase != TRAINING and like.task == past.like.task else None


def _basis(pasts: Sequence[PastRun], share: float | None, longer: float) -> str:
    """The past runs of a forecast, in words."""
    last = pasts[-1].like
    number = f"{len(pasts)} past runs" if len(pasts) > 1 else "1 past run"
    method = "" if last.method in ("full", "none") else f", {last.method}"
    device = f" on {pasts[-1].device}" if pasts[-1].device else ""
    scales = [
        f", {what} x {factor:.2g}"
        for what, factor in (("inputs", share), ("length", longer))
        if factor is not None and not math.isclose(factor, 1, rel_tol=0.01)
    ]
    unknown = "" if share is not None else ", number of inputs not known"
    return f"{number} of {last.setup} on {last.task}{method}{device}{''.join(scales)}{unknown}"


TRAINING, ANSWERING, RETRIEVAL = "training", "answering", "retrieval"


@dataclass(frozen=True)
class RunProfile:
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


@dataclass(frozen=True)
class PastRun:
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
    like: RunProfile
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


def run_history(store: Store) -> list[PastRun]:
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


def _past(run: Run) -> PastRun | None:
    """A finished run; None where its record cannot be read."""
    try:
        config, result = run.config(), run.result()
        options = config.get("config", {})
        cost, examples = cost_of(run.path) or Cost(), result.get("examples")
        name = str(config["backbone_name"])
        like = RunProfile(
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
    except (ArtifactError, ValueError, LookupError, TypeError, AttributeError, OSError):
        return None
    # The training loop adds up its own time over all processes that were at work on the run.
    evaluated = cost.seconds if cost.whole else None
    seconds = evaluated if run.phase == "evaluate" else result.get("seconds")
    return PastRun(run, like, _device(run.path), replace(cost, seconds=seconds), data, examples)


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
