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
from adaptrans.modeling.backbone import control_of
from adaptrans.modeling.setup.nodes import Reference, mix_name
from adaptrans.runs.base import (
    ANSWERING,
    FEW_SHOT,
    RETRIEVAL,
    TRAINING,
    RunProfile,
    RunSpec,
    data_of,
    passes,
)
from adaptrans.runs.store import Run, Store
from adaptrans.tasks.names import TaskRef
from adaptrans.utils.environment import Cost, cost_of, size_of
from adaptrans.utils.io import read_json

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
    stores = {spec.workspace.store.root: spec.workspace.store for spec in plan.specs}
    judges = {root: _Judge(store) for root, store in stores.items()}
    return {spec.run.path: judges[spec.workspace.store.root].forecast(spec) for spec in plan.specs}


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

    def forecast(self, spec: RunSpec) -> Forecast:
        """The forecast of one run."""
        like, wanted = spec.profile(self.sizes), spec.workspace.device
        device = self.device if wanted == "auto" else wanted.partition(":")[0]
        # Runs that differ in seed or size alone are judged by the same ones.
        place = (replace(like, inputs=None), device)
        if place not in self.found:
            self.found[place] = _nearest(like, device, self.pasts)
        nearest = self.found[place]
        return _judged(like, nearest) if nearest else Forecast()


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
    """The phase of a run as `RunProfile` has it."""
    if phase == "evaluate":
        return RETRIEVAL if "layer" in config else ANSWERING
    return FEW_SHOT if phase == FEW_SHOT else TRAINING


def _tasks(config: Mapping[str, Any]) -> str:
    """The tasks of a run as a setup names them."""
    parts = [config, *config.get("mix", [])]
    named = [(TaskRef.parse(part["task"]).name, tuple(part.get("languages", ()))) for part in parts]
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
