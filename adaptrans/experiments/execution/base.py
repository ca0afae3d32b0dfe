"""What an engine does, what a failed run leaves, and the engine of this machine. Torch-free."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Protocol

from typing_extensions import Self

from adaptrans.errors import AdaptransError, RunError, one_line
from adaptrans.experiments.cost_forecast import Forecast
from adaptrans.experiments.plan import Job, Plan, jobs_of
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


class RunCallback:
    """Called while the runs of a plan are computed; this one does nothing."""

    wants_steps = False
    """Whether progress within a run of this process is told to `on_step` instead of being shown by itself."""

    def on_begin(self, jobs: Sequence[Job], slots: int, forecasts: Mapping[Path, Forecast]) -> None:
        """All jobs of the plan, done ones too, how many are computed at a time, and what each will take."""

    def on_run_begin(self, job: Job, place: int, total: int) -> None:
        """A run is computed from now on; its place is among those to do."""

    def on_step(self, job: Job, step: Step) -> None:
        """A run has come further."""

    def on_message(self, job: Job, text: str) -> None:
        """A run has something to say, in one line."""

    def on_run_end(self, job: Job, failure: Failure | None) -> None:
        """A run came to its end, good or bad."""


class Executor(Protocol):
    """Computes runs; a context manager, which on an exception stops what is under way."""

    slots: int

    def start(self, job: Job) -> None:
        """Begin a job; called for at most `slots` of them at a time."""

    def wait(self, callback: RunCallback) -> Sequence[tuple[Job, Failure | None]]:
        """Wait until a job that was begun ends; meanwhile tell how they come along."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


ENGINES: Registry[Callable[[Execution, int, Mapping[Path, Forecast]], Executor]] = Registry("engine")
"""Engines by name; each is given what is asked for, the number of jobs, and their forecasts."""

ENGINES.add("ray", "adaptrans.experiments.execution.ray:OnRay")


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


@contextlib.contextmanager
def reporting(send: Callable[[Step | str], None], seconds: float = 0.5) -> Iterator[None]:
    """While the block runs, its progress and the lines it prints on standard error are sent away.

    A step is sent no more often than every so many seconds, but for the first and the last of each piece.
    """
    last = float("-inf")
    shown = ""

    def listen(step: Step) -> None:
        nonlocal last, shown
        now = time.monotonic()
        if now - last < seconds and step.description == shown and step.done != step.total:
            return
        last, shown = now, step.description
        send(step)

    with progress.told_to(listen), contextlib.redirect_stderr(_Lines(send)):
        yield


class _Lines(io.TextIOBase):
    """A text file that sends each whole line away."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._send(line)
        return len(text)


KILLED = (
    "if memory ran out, lower --jobs or take --set tokens_per_batch=2048; then run the same command again"
)


@ENGINES.register("local")
def local(execution: Execution, number: int, forecasts: Mapping[Path, Forecast]) -> Executor:  # noqa: ARG001
    """The engine of this machine: one run after another here, or side by side in processes of their own."""
    jobs = execution.jobs or 1
    if min(jobs, number) < 2:
        return InProcess()
    return Processes(min(jobs, number), threads(cores() // jobs))


class InProcess:
    """Computes one run after another in this process."""

    slots = 1

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def start(self, job: Job) -> None:
        """Take a job; `wait` computes it."""
        self._jobs.append(job)

    def wait(self, callback: RunCallback) -> Sequence[tuple[Job, Failure | None]]:
        """Compute the job."""
        job = self._jobs.pop()
        told = progress.told_to(lambda step: callback.on_step(job, step))
        with told if callback.wants_steps else contextlib.nullcontext():
            return [(job, attempt(job.run, job.compute))]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._jobs.clear()


class Processes:
    """Computes runs side by side; a process that is done with a run takes another.

    Each has a pipe of its own, so that one that is killed takes nothing with it but its run.

    Args:
        slots: Runs at a time.
        threads: Threads of each, for OMP_NUM_THREADS.
    """

    def __init__(self, slots: int, threads: str) -> None:
        self.slots = slots
        self._threads = threads
        self._idle: list[_Process] = []
        self._busy: dict[Connection, tuple[_Process, Job]] = {}

    def start(self, job: Job) -> None:
        """Hand a job to an idle process, or to a new one."""
        while self._idle and not self._idle[-1].process.is_alive():
            self._idle.pop()
        process = self._idle.pop() if self._idle else _Process(self._threads)
        self._busy[process.connection] = process, job
        process.send((job.run, job.compute))

    def wait(self, callback: RunCallback) -> Sequence[tuple[Job, Failure | None]]:
        """Listen to the processes until one or more of them are done with their job."""
        found: list[tuple[Job, Failure | None]] = []
        while not found:
            # A process that is gone may have told its end before, or have left its pipe to a child.
            ready = wait([*self._busy, *(own.process.sentinel for own, _ in self._busy.values())])
            for connection, (own, _) in list(self._busy.items()):
                if connection in ready:
                    found += self._heard(connection, callback)
                elif own.process.sentinel in ready:
                    found += self._dead(connection)
        return found

    def _heard(self, connection: Connection, callback: RunCallback) -> list[tuple[Job, Failure | None]]:
        """Take one message; the end of a job, if it is one."""
        process, job = self._busy[connection]
        try:
            message = connection.recv()
        except (EOFError, OSError):
            return self._dead(connection)
        match message:
            case Step():
                callback.on_step(job, message)
            case str():
                callback.on_message(job, message)
            case Failure() | None:
                del self._busy[connection]
                self._idle.append(process)
                return [(job, message)]
        return []

    def _dead(self, connection: Connection) -> list[tuple[Job, Failure | None]]:
        own, job = self._busy.pop(connection)
        own.process.join()
        code = own.process.exitcode or 0
        killed = f"was killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else ""
        line = f"the process of the run {killed or f'ended with {code}'}"
        return [(job, lost(job.run, line, KILLED))]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for own, _ in self._busy.values():
            # Its checkpoints keep what was done.
            own.process.kill()
            own.process.join()
        for own in self._idle:
            own.send(None)
            own.process.join()


class _Process:
    """A process that computes one run after another, and the pipe to it."""

    def __init__(self, threads: str) -> None:
        # A forked torch can hang; a fresh process cannot.
        context = get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, threads))
        self.process.start()
        # Only if nobody here holds it, a killed process is an end of file.
        other.close()

    def send(self, message: tuple[Run, Callable[[], Any]] | None) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(message)


def _serve(connection: Connection, threads: str) -> None:
    """Compute runs until there are no more."""
    os.environ["OMP_NUM_THREADS"] = threads
    # Ctrl-C reaches every process of a terminal; the parent says what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    lock = Lock()

    def send(message: Step | str | Failure | None) -> None:
        with lock:
            connection.send(message)

    while (taken := connection.recv()) is not None:
        run, compute = taken
        with reporting(send):
            failure = attempt(run, compute)
        send(portable(failure))


def _end_with_parent() -> None:
    """A killed command leaves nothing that goes on computing; checkpoints keep what was done."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@dataclass(frozen=True)
class Failed:
    """A job that failed."""

    item: Job
    failure: Failure


@dataclass(frozen=True)
class Waiting:
    """A job that was not begun, and the failed ones because of which."""

    item: Job
    because: tuple[Job, ...]


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


class _Announcing(RunCallback):
    def __init__(self, announce: Callable[[Job, int, int], None]) -> None:
        self._announce = announce

    def on_run_begin(self, job: Job, place: int, total: int) -> None:
        self._announce(job, place, total)


def execute(
    plan: Plan,
    announce: Callable[[Job, int, int], None] = lambda job, place, total: None,
    together: bool = False,
) -> int:
    """Carry out what is to do in this process; returns the number of runs computed.

    Args:
        plan: The plan.
        announce: Called before each run that is computed, with its place among those to do.
        together: Evaluations that answer the same inputs do so in one pass, see `jobs_of`.

    Raises:
        Exception: What the first failed run failed with, when all that does not build on it is done.
    """
    carried = carry_out(jobs_of(plan, together), callback=_Announcing(announce))
    for failed in carried.failed:
        raise failed.failure.error or RunError(
            f"{failed.item.what}: {failed.failure.line}", remedy=f"see {failed.item.run.error_log}"
        )
    return carried.computed


def carry_out(
    jobs: Sequence[Job],
    execution: Execution | None = None,
    callback: RunCallback | None = None,
    forecasts: Mapping[Path, Forecast] | None = None,
) -> Carried:
    """Compute all runs that are not done, on an engine.

    Args:
        jobs: Those of a plan.
        execution: Where and how; by default one after another in this process.
        callback: Called as they come along.
        forecasts: What runs will take, by folder, as far as past runs tell.

    Raises:
        UnknownNameError: If there is no such engine.
        RunError: If the engine cannot be had.
    """
    execution, callback, forecasts = execution or Execution(), callback or RunCallback(), forecasts or {}
    if distributed.count() > 1 and (execution.engine != "local" or (execution.jobs or 1) > 1):
        raise RunError(
            f"{distributed.count()} processes train each run together", remedy="leave out --jobs and --engine"
        )
    done = distributed.broadcast([job.done for job in jobs])
    to_do = [job for job, is_done in zip(jobs, done, strict=True) if not is_done]
    engine = ENGINES[execution.engine]
    if not to_do:
        return Carried()
    with engine(execution, len(to_do), forecasts) as executor:
        callback.on_begin(jobs, executor.slots, forecasts)
        return _scheduled(to_do, executor, callback)


def _scheduled(to_do: Sequence[Job], executor: Executor, callback: RunCallback) -> Carried:
    """Begin each job when what it builds on is done, in the order of the plan where there is a choice."""
    waiting, under_way = list(to_do), list[Job]()
    failed: list[Failed] = []
    begun, total = 0, sum(1 + len(job.beside) for job in to_do)
    while True:
        unfinished = [*waiting, *under_way, *(one.item for one in failed)]
        missing = {one.run.path for job in unfinished for one in (job, *job.beside)}
        ready = [job for job in waiting if not job.needs & missing]
        for job in ready[: executor.slots - len(under_way)]:
            waiting.remove(job)
            under_way.append(job)
            for one in (job, *job.beside):
                begun += 1
                callback.on_run_begin(one, begun, total)
            executor.start(job)
        if not under_way:
            computed = begun - sum(1 + len(one.item.beside) for one in failed)
            return Carried(computed, tuple(failed), _held_up(waiting, failed))
        for job, failure in executor.wait(callback):
            under_way.remove(job)
            failed += [] if failure is None else [Failed(job, failure)]
            callback.on_run_end(job, failure)


def _held_up(waiting: Sequence[Job], failed: Sequence[Failed]) -> tuple[Waiting, ...]:
    """Jobs that were not begun, with the failed ones that they build on, at any remove."""
    roots = {one.item.run.path: {one.item.run.path: one.item} for one in failed}
    found = []
    for job in waiting:
        because = {path: root for need in job.needs for path, root in roots.get(need, {}).items()}
        roots[job.run.path] = because
        found.append(Waiting(job, tuple(because[path] for path in sorted(because))))
    return tuple(found)
