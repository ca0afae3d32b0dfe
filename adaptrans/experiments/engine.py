"""Carry out a plan, one run after another; what is in the store is not computed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from adaptrans import progress
from adaptrans.evaluation.zero_shot import evaluate, is_done
from adaptrans.experiments.plan import Plan
from adaptrans.experiments.planner import Training
from adaptrans.hub.store import Run
from adaptrans.models.control import control_of
from adaptrans.runs.evaluations import EvaluateSpec
from adaptrans.runs.shots import ShotSpec
from adaptrans.runs.specs import TrainSpec


@dataclass(frozen=True)
class Work:
    """One run of a plan.

    Args:
        run: The run.
        done: Whether the store has it.
        what: What it computes, in words.
        compute: Does so.
        needs: Folders of the runs that it builds on.
    """

    run: Run
    done: bool
    what: str
    compute: Callable[[], Any]
    needs: frozenset[Path] = frozenset()


def work(plan: Plan) -> list[Work]:
    """Every run of a plan once, in order."""
    found: dict[str, Work] = {}
    seeds = {spec.seed for spec in plan.training} | {cell.evaluation.seed for cell in plan.cells}
    for spec in plan.training:
        seed = f", seed {spec.seed}" if len(seeds) > 1 else ""
        what = f"{spec.phase}: train {spec.setup} on {_data(spec)}{seed}{_control(spec)}"
        needs = frozenset(parent.path for parent in spec.parents.values())
        found[spec.run.name] = Work(spec.run, spec.run.is_done, what, partial(train, spec), needs)
    for cell in plan.cells:
        spec_ = cell.evaluation
        number = len(spec_.wanted_languages)
        answering = spec_.regime.row(spec_.answering)
        seed = f", seed {spec_.seed}" if len(seeds) > 1 and spec_.inputs["seed"] is not None else ""
        what = f"evaluate: {answering} on {cell.target}, {number} languages{seed}{_control(spec_)}"
        if f"evaluate {spec_.run.name}" not in found:
            before = [*spec_.parents.values(), *([spec_.trained] if spec_.trained else [])]
            before += [shot.run for shot in spec_.shots.values()]
            found[f"evaluate {spec_.run.name}"] = Work(
                spec_.run,
                is_done(spec_),
                what,
                partial(evaluate, spec_),
                frozenset(run.path for run in before),
            )
    return list(found.values())


def _data(spec: Training) -> str:
    """What a run is trained on, in words."""
    match spec:
        case ShotSpec(language=language):
            return f"{spec.task.name} {language}"
    return spec.task.name


def _control(spec: Training | EvaluateSpec) -> str:
    """Says which runs are those of the control."""
    name = spec.workspace.backbone.name
    return "" if control_of(name) is None else f" [{name}]"


def execute(
    plan: Plan,
    announce: Callable[[Work, int, int], None] = lambda item, place, total: None,
    jobs: int = 1,
) -> int:
    """Carry out what is to do; returns the number of runs computed.

    Args:
        plan: The plan.
        announce: Called before each run that is computed, with its place among those to do.
        jobs: Runs computed at a time, each in a process of its own with its share of the cores.
    """
    to_do = [item for item in work(plan) if not item.done]
    if jobs > 1 and len(to_do) > 1:
        in_parallel(to_do, announce, jobs)
        return len(to_do)
    for place, item in enumerate(to_do, start=1):
        announce(item, place, len(to_do))
        item.compute()
        free_memory()
    return len(to_do)


def in_parallel(to_do: Sequence[Work], announce: Callable[[Work, int, int], None], jobs: int) -> None:
    """Compute runs side by side, each as soon as those are done that it builds on, else in their order.

    The first failure is raised when the runs that are under way have come to their end; no other is begun.
    """
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from multiprocessing import get_context

    waiting = list(to_do)
    under_way: dict[Future[Any], Work] = {}
    threads = max(1, cores() // jobs)
    # A forked torch can hang; a fresh process cannot.
    with ProcessPoolExecutor(jobs, get_context("spawn"), _worker, (threads,)) as pool:
        while waiting or under_way:
            open_runs = {item.run.path for item in [*waiting, *under_way.values()]}
            ready = [item for item in waiting if not item.needs & open_runs]
            for item in ready[: jobs - len(under_way)]:
                waiting.remove(item)
                announce(item, len(to_do) - len(waiting), len(to_do))
                under_way[pool.submit(_compute, item.compute)] = item
            for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                del under_way[done]
                done.result()


def cores() -> int:
    """Cores that this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _worker(threads: int) -> None:
    """Prepare a process: its share of the cores, plain lines for bars, and an end with its parent."""
    import os
    from threading import Thread

    os.environ["OMP_NUM_THREADS"] = str(threads)
    progress.without_bars()
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed command leaves nothing that goes on computing; checkpoints keep what was done."""
    import os
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _compute(compute: Callable[[], Any]) -> None:
    compute()
    free_memory()


def train(spec: Training) -> Run:
    """Train one run; torch is imported only here."""
    match spec:
        case ShotSpec():
            from adaptrans.training.shots import run_shots

            return run_shots(spec)
        case TrainSpec():
            from adaptrans.training.phases import run_training

            return run_training(spec)


def free_memory() -> None:
    """Give the memory of a finished run's model back before the next one loads."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
