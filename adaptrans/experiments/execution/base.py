"""What an engine has to do, what a failed run leaves, and the engine of one run after another. Torch-free."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import Self

from adaptrans.errors import AdaptransError, RunError, one_line
from adaptrans.experiments.cost_forecast import Forecast
from adaptrans.experiments.plan import Plan, Work, work
from adaptrans.runs.store import Run
from adaptrans.utils import distributed, progress
from adaptrans.utils.io import atomic_write
from adaptrans.utils.progress import Step
from adaptrans.utils.registry import Registry


@dataclass(frozen=True)
class Execution:
    """Where and how the runs of a plan are computed.

    Args:
        engine: A name of `ENGINES`.
        jobs: Runs computed at a time; None for one, and on Ray for as many as it has room for.
        address: The Ray cluster; None for that of RAY_ADDRESS, or one of this machine that ends with the
            command.
        device: Where runs are computed; on `cpu` they ask Ray for no GPU.
        retries: Times that a run is begun again when Ray lost its worker or node.

    Raises:
        RunError: If an address is given to an engine that has none.
    """

    engine: str = "local"
    jobs: int | None = None
    address: str | None = None
    device: str = "auto"
    retries: int = 3

    def __post_init__(self) -> None:
        if self.address is not None and self.engine != "ray":
            raise RunError(f"the engine {self.engine} has no address", remedy="add --engine ray")


@dataclass(frozen=True)
class Failure:
    """Why a run could not be computed.

    Args:
        line: One line, with the remedy where there is one.
        expected: False for a fault of the program.
        error: The exception, where it was raised in this process or is one of ours.
    """

    line: str
    expected: bool = True
    error: Exception | None = None


@dataclass(frozen=True)
class Ended:
    """A run that came to its end, good or bad."""

    item: Work
    failure: Failure | None = None


class Watch:
    """Is told how the runs of a plan come along; this one says nothing.

    `listens` is true where progress within a run that this process computes is told as well, instead
    of being shown by itself.
    """

    listens = False

    def begin(self, items: Sequence[Work], slots: int, forecasts: Mapping[Path, Forecast]) -> None:
        """All runs of the plan, done ones too, how many are computed at a time, and what each will take."""

    def started(self, item: Work, place: int, total: int) -> None:
        """A run is computed from now on; its place is among those to do."""

    def moved(self, item: Work, step: Step) -> None:
        """A run has come further."""

    def said(self, item: Work, text: str) -> None:
        """A run has something to say, in one line."""

    def ended(self, ended: Ended) -> None:
        """A run came to its end."""


class Executor(Protocol):
    """Computes runs; a context manager, which on an exception stops what is under way."""

    slots: int

    def start(self, item: Work) -> None:
        """Begin a run; called for at most `slots` runs at a time."""

    def wait(self, watch: Watch) -> Sequence[Ended]:
        """Wait until a run that was begun ends; meanwhile tell how the runs come along."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


ENGINES: Registry[Callable[[Execution, int, Mapping[Path, Forecast]], Executor]] = Registry("engine")
"""Engines by name; each is given what is asked for, the number of runs to compute, and their forecasts."""

ENGINES.add("local", "adaptrans.experiments.execution.local:local")
ENGINES.add("ray", "adaptrans.experiments.execution.ray:on_ray")


class InProcess:
    """Computes one run after another in this process."""

    slots = 1

    def __init__(self) -> None:
        self._items: list[Work] = []

    def start(self, item: Work) -> None:
        """Take a run; `wait` computes it."""
        self._items.append(item)

    def wait(self, watch: Watch) -> Sequence[Ended]:
        """Compute the run."""
        item = self._items.pop()
        told = progress.told_to(lambda step: watch.moved(item, step))
        with told if watch.listens else contextlib.nullcontext():
            return [Ended(item, attempt(item.run, item.compute))]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._items.clear()


def attempt(run: Run, compute: Callable[[], Any]) -> Failure | None:
    """Compute a run; what it fails with is written to its `error.log` and returned.

    A keyboard interrupt is no failure of the run: it goes through. So does every failure where several
    processes compute one run together, because the others wait for this one.
    """
    try:
        compute()
    except Exception as error:
        if distributed.count() > 1:
            # The other processes may be waiting for this one: all of them have to end.
            raise
        details = traceback.format_exc()
        # The frames hold the model, whose memory the next run needs.
        chain: BaseException | None = error
        while chain is not None:
            traceback.clear_frames(chain.__traceback__)
            chain = chain.__cause__ or chain.__context__
        line = one_line(error)
        words = " ".join(f"{type(error).__name__}: {error}".split())
        failure = Failure(line or words[:300], line is not None, error)
        log_failure(run, failure.line, details)
        return failure
    finally:
        free_memory()
    # Another command may have computed the run after it failed here.
    with contextlib.suppress(OSError):
        run.error_log.unlink(missing_ok=True)
    return None


def lost(run: Run, message: str, remedy: str) -> Failure:
    """The failure of a run whose process is gone; writes its log."""
    error = RunError(message, remedy=remedy)
    log_failure(run, str(error), "")
    return Failure(str(error), True, error)


def portable(failure: Failure | None) -> Failure | None:
    """A failure that another process can be sent: exceptions that are not ours may not survive the way."""
    if failure is None or isinstance(failure.error, AdaptransError):
        return failure
    return Failure(failure.line, failure.expected)


def log_failure(run: Run, line: str, details: str) -> None:
    """Write what a run failed with; where the store cannot be written, its line has to be enough."""
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    text = f"{when} on {platform.node()}, process {os.getpid()}\nerror: {line}\n\n{details}"
    with contextlib.suppress(OSError, AdaptransError), atomic_write(run.error_log) as temporary:
        temporary.write_text(text, encoding="utf-8")


def free_memory() -> None:
    """Give the memory of a finished run's model back before the next one loads."""
    if "torch" not in sys.modules:
        return
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def threads(share: int) -> str:
    """Threads of a run in a process of its own, for OMP_NUM_THREADS: what the user says, or its share."""
    return os.environ.get("OMP_NUM_THREADS") or str(max(1, share))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    together: bool = False,
) -> int:
    """Carry out what is to do on this machine; returns the number of runs computed.

    Args:
        plan: The plan.
        announce: Called before each run that is computed, with its place among those to do.
        jobs: Runs computed at a time, each in a process of its own with its share of the cores.
        together: Evaluations that answer the same inputs do so in one pass, see `work`.

    Raises:
        Exception: What the first failed run failed with, when all that does not build on it is done.
    """
    carried = carry_out(work(plan, together), Execution(jobs=jobs), _Announcing(announce))
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
    if distributed.count() > 1 and (execution.engine != "local" or (execution.jobs or 1) > 1):
        raise RunError(
            f"{distributed.count()} processes train each run together", remedy="leave out --jobs and --engine"
        )
    done = distributed.broadcast([item.done for item in items])
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
    begun, total = 0, sum(1 + len(item.beside) for item in to_do)
    while True:
        missing = _paths([*waiting, *under_way, *(one.item for one in failed)])
        ready = [item for item in waiting if not item.needs & missing]
        for item in ready[: executor.slots - len(under_way)]:
            waiting.remove(item)
            under_way.append(item)
            for one in (item, *item.beside):
                begun += 1
                watch.started(one, begun, total)
            executor.start(item)
        if not under_way:
            computed = begun - sum(1 + len(one.item.beside) for one in failed)
            return Carried(computed, tuple(failed), _held_up(waiting, failed))
        for ended in executor.wait(watch):
            under_way.remove(ended.item)
            failed += _failed(ended)
            watch.ended(ended)


def _failed(ended: Ended) -> list[Failed]:
    return [] if ended.failure is None else [Failed(ended.item, ended.failure)]


def _paths(items: Iterable[Work]) -> set[Path]:
    return {one.run.path for item in items for one in (item, *item.beside)}


def _held_up(waiting: Sequence[Work], failed: Sequence[Failed]) -> tuple[Waiting, ...]:
    """Runs that were not begun, with the failed ones that they build on, at any remove."""
    roots: dict[Path, dict[Path, Work]] = {one.item.run.path: {one.item.run.path: one.item} for one in failed}
    found = []
    for item in waiting:
        because = {path: work for need in item.needs for path, work in roots.get(need, {}).items()}
        roots[item.run.path] = because
        found.append(Waiting(item, tuple(because[path] for path in sorted(because))))
    return tuple(found)
