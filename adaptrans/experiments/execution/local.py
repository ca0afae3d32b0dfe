"""Runs on this machine: one after another here, or side by side, each in a process of its own. Torch-free."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Lock, Thread

from typing_extensions import Self

from adaptrans.experiments.cost_forecast import Forecast
from adaptrans.experiments.execution.base import (
    Ended,
    Execution,
    Executor,
    Failure,
    InProcess,
    Watch,
    attempt,
    cores,
    lost,
    portable,
    threads,
)
from adaptrans.experiments.execution.display import reporting
from adaptrans.experiments.plan import Work
from adaptrans.utils.progress import Step

KILLED = (
    "if memory ran out, lower --jobs or take --set tokens_per_batch=2048; then run the same command again"
)


def local(execution: Execution, number: int, forecasts: Mapping[Path, Forecast]) -> Executor:  # noqa: ARG001
    """The local engine for so many runs."""
    jobs = execution.jobs or 1
    if min(jobs, number) < 2:
        return InProcess()
    return Processes(min(jobs, number), threads(cores() // jobs))


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
        self._busy: dict[Connection, tuple[_Process, Work]] = {}

    def start(self, item: Work) -> None:
        """Hand a run to an idle process, or to a new one."""
        while self._idle and not self._idle[-1].alive:
            self._idle.pop()
        process = self._idle.pop() if self._idle else _Process(self._threads)
        self._busy[process.connection] = process, item
        process.send(item)

    def wait(self, watch: Watch) -> Sequence[Ended]:
        """Listen to the processes until one or more of them are done with their run."""
        found: list[Ended] = []
        while not found:
            # A process that is gone may have told its end before, or have left its pipe to a child.
            ready = wait([*self._busy, *(process.sentinel for process, _ in self._busy.values())])
            for connection, (process, _) in list(self._busy.items()):
                if connection in ready:
                    found += self._heard(connection, watch)
                elif process.sentinel in ready:
                    found += self._dead(connection)
        return found

    def _heard(self, connection: Connection, watch: Watch) -> list[Ended]:
        """Take one message; the end of a run, if it is one."""
        process, item = self._busy[connection]
        try:
            message = connection.recv()
        except (EOFError, OSError):
            return self._dead(connection)
        match message:
            case Step():
                watch.moved(item, message)
            case str():
                watch.said(item, message)
            case Failure() | None:
                del self._busy[connection]
                self._idle.append(process)
                return [Ended(item, message)]
        return []

    def _dead(self, connection: Connection) -> list[Ended]:
        process, item = self._busy.pop(connection)
        return [Ended(item, lost(item.run, process.buried(), KILLED))]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for process, _ in self._busy.values():
            process.stop()
        for process in self._idle:
            process.end()


class _Process:
    """A process that computes one run after another."""

    def __init__(self, threads: str) -> None:
        # A forked torch can hang; a fresh process cannot.
        context = get_context("spawn")
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, threads))
        self._process.start()
        # Only if nobody here holds it, a killed process is an end of file.
        other.close()

    @property
    def sentinel(self) -> int:
        return self._process.sentinel

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def send(self, item: Work | None) -> None:
        try:
            self.connection.send(item and (item.run, item.compute))
        except OSError:
            return

    def buried(self) -> str:
        """How the process ended, in words."""
        self._process.join()
        code = self._process.exitcode or 0
        if code >= 0:
            return f"the process of the run ended with {code}"
        return f"the process of the run was killed by signal {-code} ({signal.Signals(-code).name})"

    def end(self) -> None:
        self.send(None)
        self._process.join()

    def stop(self) -> None:
        """End the process now; checkpoints keep what was done."""
        self._process.kill()
        self._process.join()


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
