"""What an engine has to do, what a failed run leaves, and the engine of one run after another. Torch-free."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import Self

from adaptrans import processes, progress
from adaptrans.errors import AdaptransError, RunError, one_line
from adaptrans.experiments.forecast import Forecast
from adaptrans.experiments.work import Work
from adaptrans.files import written_whole
from adaptrans.hub.store import Run
from adaptrans.progress import Step
from adaptrans.registry import Registry


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

ENGINES.add("local", "adaptrans.experiments.local_engine:local")
ENGINES.add("ray", "adaptrans.experiments.ray_engine:on_ray")


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
        if processes.count() > 1:
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
    with contextlib.suppress(OSError, AdaptransError), written_whole(run.error_log) as temporary:
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
