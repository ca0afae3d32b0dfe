"""Carry out a plan: each run as soon as those are done that it builds on, on any of the engines.

What is in the store is not computed again. A run that fails stops only what builds on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adaptrans import processes
from adaptrans.errors import RunError
from adaptrans.experiments.executors import ENGINES, Ended, Execution, Executor, Failure, Watch, cores
from adaptrans.experiments.forecast import Forecast
from adaptrans.experiments.plan import Plan
from adaptrans.experiments.work import Work, train, work

__all__ = ["Carried", "Execution", "Watch", "Work", "carry_out", "cores", "execute", "train", "work"]


@dataclass(frozen=True)
class Failed:
    """A run that failed."""

    item: Work
    failure: Failure


@dataclass(frozen=True)
class Waiting:
    """A run that was not begun, and the failed runs because of which."""

    item: Work
    because: tuple[Work, ...]


@dataclass(frozen=True)
class Carried:
    """What became of the runs that were to do.

    Args:
        computed: Number of runs computed now.
        failed: Those that failed, in the order of their failures.
        waiting: Those that build on them.
    """

    computed: int = 0
    failed: tuple[Failed, ...] = ()
    waiting: tuple[Waiting, ...] = ()


class _Announcing(Watch):
    def __init__(self, announce: Callable[[Work, int, int], None]) -> None:
        self._announce = announce

    def started(self, item: Work, place: int, total: int) -> None:
        self._announce(item, place, total)


def execute(
    plan: Plan,
    announce: Callable[[Work, int, int], None] = lambda item, place, total: None,
    jobs: int = 1,
) -> int:
    """Carry out what is to do on this machine; returns the number of runs computed.

    Args:
        plan: The plan.
        announce: Called before each run that is computed, with its place among those to do.
        jobs: Runs computed at a time, each in a process of its own with its share of the cores.

    Raises:
        Exception: What the first failed run failed with, when all that does not build on it is done.
    """
    carried = carry_out(work(plan), Execution(jobs=jobs), _Announcing(announce))
    for failed in carried.failed:
        raise failed.failure.error or RunError(
            f"{failed.item.what}: {failed.failure.line}", remedy=f"see {failed.item.run.error_log}"
        )
    return carried.computed


def carry_out(
    items: Sequence[Work],
    execution: Execution | None = None,
    watch: Watch | None = None,
    forecasts: Mapping[Path, Forecast] | None = None,
) -> Carried:
    """Compute all runs that are not done, on an engine.

    Args:
        items: The runs of a plan.
        execution: Where and how; by default one after another in this process.
        watch: Is told how they come along.
        forecasts: What runs will take, by folder, as far as past runs tell.

    Raises:
        UnknownNameError: If there is no such engine.
        RunError: If the engine cannot be had.
    """
    execution, watch = execution or Execution(), watch or Watch()
    if processes.count() > 1 and (execution.engine != "local" or (execution.jobs or 1) > 1):
        raise RunError(
            f"{processes.count()} processes train each run together", remedy="leave out --jobs and --engine"
        )
    done = processes.agreed([item.done for item in items])
    to_do = [item for item, is_done in zip(items, done, strict=True) if not is_done]
    engine = ENGINES[execution.engine]
    if not to_do:
        return Carried()
    known = forecasts or {}
    with engine(execution, len(to_do), known) as executor:
        watch.begin(items, executor.slots, known)
        return _scheduled(to_do, executor, watch)


def _scheduled(to_do: Sequence[Work], executor: Executor, watch: Watch) -> Carried:
    """Begin each run when what it builds on is done, in the order of the plan where there is a choice."""
    waiting, under_way = list(to_do), list[Work]()
    failed: list[Failed] = []
    while True:
        missing = _paths([*waiting, *under_way, *(one.item for one in failed)])
        ready = [item for item in waiting if not item.needs & missing]
        for item in ready[: executor.slots - len(under_way)]:
            waiting.remove(item)
            under_way.append(item)
            watch.started(item, len(to_do) - len(waiting), len(to_do))
            executor.start(item)
        if not under_way:
            computed = len(to_do) - len(waiting) - len(failed)
            return Carried(computed, tuple(failed), _held_up(waiting, failed))
        for ended in executor.wait(watch):
            under_way.remove(ended.item)
            failed += _failed(ended)
            watch.ended(ended)


def _failed(ended: Ended) -> list[Failed]:
    return [] if ended.failure is None else [Failed(ended.item, ended.failure)]


def _paths(items: Iterable[Work]) -> set[Path]:
    return {item.run.path for item in items}


def _held_up(waiting: Sequence[Work], failed: Sequence[Failed]) -> tuple[Waiting, ...]:
    """Runs that were not begun, with the failed ones that they build on, at any remove."""
    roots: dict[Path, dict[Path, Work]] = {one.item.run.path: {one.item.run.path: one.item} for one in failed}
    found = []
    for item in waiting:
        because = {path: work for need in item.needs for path, work in roots.get(need, {}).items()}
        roots[item.run.path] = because
        found.append(Waiting(item, tuple(because[path] for path in sorted(because))))
    return tuple(found)
