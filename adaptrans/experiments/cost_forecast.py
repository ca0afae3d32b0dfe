"""What the runs of a plan will take, judged by the past runs of their store: time, memory, disk. Torch-free.

A run takes the median of the past runs that are most like it, of the same backbone: first by what is
trained, then by task, method, setup, length and device. Time is scaled by the number of inputs, and between
tasks by the length too. A run that none is like has no forecast.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from adaptrans.errors import ArtifactError
from adaptrans.experiments.plan import Plan
from adaptrans.modeling.backbone import control_of
from adaptrans.modeling.setup.nodes import Reference, mix_name
from adaptrans.runs.base import ANSWERING, FEW_SHOT, RETRIEVAL, TRAINING, RunProfile, RunSpec, data_of, passes
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
    """What several runs take together: one after another, with the largest memory of any.

    `unknown` of the `runs` have no forecast of their time and are not in `seconds`.
    """

    runs: int
    unknown: int
    seconds: float
    memory: int | None
    device_memory: int | None
    disk: int


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


def forecasts(plan: Plan) -> dict[Path, Forecast]:
    """A forecast for every run of a plan, by its folder."""
    stores = {spec.workspace.store.root: spec.workspace.store for spec in plan.specs}
    histories = {root: _History(store) for root, store in stores.items()}
    return {spec.run.path: histories[spec.workspace.store.root].forecast(spec) for spec in plan.specs}


class _History:
    """The finished runs of a store, read once for a plan."""

    def __init__(self, store: Store) -> None:
        self.pasts = run_history(store)
        self.sizes = {past.data: past.examples for past in self.pasts if past.examples}
        # `auto` means here what it meant for the last run.
        self.device = next((past.device for past in reversed(self.pasts) if past.device), "")
        self.nearest: dict[tuple[RunProfile, str], list[PastRun]] = {}

    def forecast(self, spec: RunSpec) -> Forecast:
        """The forecast of one run."""
        like, wanted = spec.profile(self.sizes), spec.workspace.device
        device = self.device if wanted == "auto" else wanted.partition(":")[0]
        # Runs that differ in seed or size alone are judged by the same ones.
        place = (replace(like, inputs=None), device)
        if place not in self.nearest:
            near = [
                (past, (*like.nearness(past.like), past.device == device))
                for past in self.pasts
                if like.fits(past.like)
            ]
            best = max((nearness for _, nearness in near), default=())
            self.nearest[place] = [past for past, nearness in near if nearness == best]
        return _judged(like, self.nearest[place]) if self.nearest[place] else Forecast()


def _judged(like: RunProfile, pasts: list[PastRun]) -> Forecast:
    """The forecast from the past runs nearest to a run."""
    last = pasts[-1]
    longer = 1.0 if like.task == last.like.task else like.length / last.like.length
    shares = {past.run.path: share for past in pasts if (share := past.share(like)) is not None}
    share = median(shares.values()) if shares else None
    timed = [
        past.cost.seconds * shares[past.run.path] * longer
        for past in pasts
        if past.run.path in shares and past.cost.seconds is not None
    ]
    # What is trained has one size; answers are as many as the inputs.
    grows = share if like.phase in (ANSWERING, RETRIEVAL) and share is not None else 1.0
    disk = size_of(last.run.path) if last.cost.disk is None else last.cost.disk
    method = "" if last.like.method in ("full", "none") else f", {last.like.method}"
    scales = [
        f", {what} x {factor:.2g}"
        for what, factor in (("inputs", share), ("length", longer))
        if factor is not None and not math.isclose(factor, 1, rel_tol=0.01)
    ]
    basis = (
        f"{len(pasts)} past run{'s' if len(pasts) > 1 else ''} of {last.like.setup} on {last.like.task}"
        f"{method}{f' on {last.device}' if last.device else ''}{''.join(scales)}"
        f"{'' if share is not None else ', number of inputs not known'}"
    )
    return Forecast(
        median(timed) if timed else None,
        _largest(past.cost.memory for past in pasts),
        _largest(past.cost.device_memory for past in pasts),
        round(disk * grows),
        basis,
    )


@dataclass(frozen=True)
class PastRun:
    """A finished run and what it took.

    Args:
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

    def share(self, planned: RunProfile) -> float | None:
        """How many times the inputs of this run a planned one has; None where that is not known."""
        own = _answered(self.run.path) if self.like.inputs is None else self.like.inputs
        if planned.inputs is not None and own:
            return planned.inputs / own
        # The same test set, of which no size is published.
        return 1.0 if planned.phase != TRAINING and planned.task == self.like.task else None


def run_history(store: Store) -> list[PastRun]:
    """The finished runs of a store, oldest first, without those whose record cannot be read."""
    return [past for run in store.runs() if (past := _past(run)) is not None]


PHASES = {"evaluate": ANSWERING, "shots": FEW_SHOT}


def _past(run: Run) -> PastRun | None:
    try:
        config, result, cost = run.config(), run.result(), cost_of(run.path) or Cost()
        options, examples, name = (
            config.get("config", {}),
            result.get("examples"),
            str(config["backbone_name"]),
        )
        tasks = [
            Reference(TaskRef.parse(part["task"]).name, tuple(part.get("languages", ())))
            for part in (config, *config.get("mix", []))
        ]
        like = RunProfile(
            RETRIEVAL if "layer" in config else PHASES.get(run.phase, TRAINING),
            control_of(name) or name,
            str(config["backbone"]),
            mix_name(tuple(tasks)),
            str(config["method"]),
            str(config["setup"]),
            int(config["max_length"]),
            passes(options, examples) if examples and options else None,
        )
        data = data_of(config.get("train", {}), options.get("limit_train"))
    except (ArtifactError, ValueError, LookupError, TypeError, AttributeError, OSError):
        return None
    # The training loop adds up its own time over all processes that were at work on the run.
    seconds = (cost.seconds if cost.whole else None) if run.phase == "evaluate" else result.get("seconds")
    return PastRun(run, like, _device(run.path), replace(cost, seconds=seconds), data, examples)


def _device(folder: Path) -> str:
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
