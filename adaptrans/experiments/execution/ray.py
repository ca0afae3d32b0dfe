"""Runs on a Ray cluster: a task for each, begun again where its worker or its node is lost. Torch-free.

Ray carries only what a run is. Its files lie in the store, which every node has to see at the same path,
and so does the note on which a run writes where it stands.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from typing_extensions import Self

from adaptrans.errors import ArtifactError, BusyError, RunError
from adaptrans.experiments.cost_forecast import Forecast
from adaptrans.experiments.execution.base import (
    Execution,
    Failure,
    RunCallback,
    attempt,
    cores,
    lost,
    portable,
    reporting,
    threads,
)
from adaptrans.experiments.plan import Job
from adaptrans.runs.store import Run
from adaptrans.utils.io import read_json, remove, write_json
from adaptrans.utils.progress import Step

SHARED = "every node needs the store at the same path: put it on a shared file system"
POLL_SECONDS = 1.0
BUSY_SECONDS = 300.0
"""How long a run that is begun again waits for the lock of a worker that Ray lost but that still runs."""
OBJECT_STORE_BYTES = 100 * 2**20
"""Ray's own memory for values; runs pass theirs through the store, so little does (Ray's least is 75 MiB)."""
USABLE_MEMORY = 0.9
"""No run asks for more than this share of the largest node's memory: it would never be begun."""
STARTS = 3
"""Times that Ray is started here before it is given up: on a busy machine it does not come up in its 30 s."""
CONNECT_SECONDS = 5.0
UNREACHABLE = "see ray status; a cluster begins with ray start --head"
PASSED_ON = ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE")


@dataclass(frozen=True)
class WorkerSlot:
    """What a worker has to know besides the run.

    Args:
        folder: Where the command is carried out; relative paths start there.
        notes: Folder of the notes, in the store; that it is there shows that the store is shared.
        environment: Variables that a run depends on.
    """

    folder: Path
    notes: Path
    environment: dict[str, str]


@dataclass
class _Task:
    """A job that Ray has, how often it was lost, and what of its note was told."""

    job: Job
    lost: int = 0
    lines: int = 0
    step: Step | None = None


@dataclass(frozen=True)
class Share:
    """Runs at a time, cores and GPUs of each, and the bytes of memory that the largest node has."""

    slots: int
    cpus: int
    gpus: int
    memory: float = inf


def shared_out(nodes: Sequence[dict[str, float]], jobs: int | None, on_cpu: bool) -> Share:
    """Divide a cluster among runs: a GPU for each where there are some, and the cores evenly.

    Args:
        nodes: Ray's resources of each node.
        jobs: Runs at a time; None for one on each GPU, or on each node where there is none.
        on_cpu: Whether the runs want no GPU.

    Example:
        >>> shared_out([{"CPU": 16, "GPU": 4}, {"CPU": 16, "GPU": 4}], None, on_cpu=False)
        Share(slots=8, cpus=4, gpus=1, memory=inf)
    """
    computing = [node for node in nodes if node.get("CPU", 0) >= 1]
    gpus = 0 if on_cpu else int(sum(node.get("GPU", 0) for node in nodes))
    slots = jobs or gpus or len(computing) or 1
    cpus = sum(node["CPU"] for node in computing) // slots
    largest = max((node["CPU"] for node in computing), default=1)
    memory = max((node.get("memory", inf) for node in computing), default=inf)
    return Share(slots, max(1, int(min(cpus, largest))), 1 if gpus else 0, memory)


class OnRay:
    """Computes runs on the nodes of a Ray cluster, or of one that it starts on this machine.

    Args:
        execution: Which cluster, and how many runs at a time.
        number: Runs to compute.
        forecasts: What each will take, by its folder; its memory is set aside.

    Raises:
        RunError: If Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, execution: Execution, number: int, forecasts: Mapping[Path, Forecast]) -> None:
        self._execution = execution
        self._forecasts = forecasts
        self._ray, self._own = _connected(execution.address)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        self._share = shared_out(nodes, execution.jobs, execution.device == "cpu")
        self.slots = min(self._share.slots, number)
        self._compute = self._ray.remote(compute_on_worker)
        self._tasks: dict[Any, _Task] = {}
        self._notes = Path("cache") / "ray" / uuid.uuid4().hex[:12]
        self._places: dict[Path, WorkerSlot] = {}

    def start(self, job: Job) -> None:
        """Give a job to Ray."""
        self._launch(_Task(job))

    def wait(self, callback: RunCallback) -> Sequence[tuple[Job, Failure | None]]:
        """Read the notes of the runs until one or more of them end; begin again those that Ray lost."""
        found: list[tuple[Job, Failure | None]] = []
        while not found:
            ready, _ = self._ray.wait(list(self._tasks), timeout=POLL_SECONDS)
            for task in self._tasks.values():
                self._tell(task, callback)
            for reference in ready:
                task = self._tasks.pop(reference)
                if self._is_lost(task, reference, found):
                    text = f"{task.job.what}: Ray lost its worker; begun again, where its checkpoint is"
                    callback.on_message(task.job, text)
                    note_path(self._place(task.job.run), task.job.run).unlink(missing_ok=True)
                    self._launch(_Task(task.job, task.lost))
        return found

    def _launch(self, task: _Task) -> None:
        run, memory = task.job.run, self._forecasts.get(task.job.run.path, Forecast()).memory
        compute = self._compute.options(
            num_cpus=self._share.cpus,
            num_gpus=self._share.gpus,
            memory=None if memory is None else int(min(memory, USABLE_MEMORY * self._share.memory)),
            max_retries=0,
            name=task.job.what,
        )
        reference = compute.remote(run, task.job.compute, self._place(run), again=task.lost > 0)
        self._tasks[reference] = task

    def _place(self, run: Run) -> WorkerSlot:
        """What a worker has to know; makes the folder of the notes."""
        store = run.path.absolute().parents[2]
        if store not in self._places:
            notes = store / self._notes
            notes.mkdir(parents=True, exist_ok=True)
            passed = {
                name: value
                for name, value in os.environ.items()
                if name.startswith("ADAPTRANS_") or name in PASSED_ON
            }
            # The results of a run depend on the number of its threads, in the last digits.
            passed["OMP_NUM_THREADS"] = threads(self._share.cpus)
            self._places[store] = WorkerSlot(Path.cwd(), notes, passed)
        return self._places[store]

    def _is_lost(self, task: _Task, reference: Any, found: list[tuple[Job, Failure | None]]) -> bool:
        """Whether Ray lost a run that is to be begun again; else what became of it is added to `found`."""
        job, errors = task.job, self._ray.exceptions
        try:
            failure = self._ray.get(reference)
        except errors.RayTaskError as error:
            # Not the run has failed, but the worker could not begin it: it has another version, or none.
            line = f"a Ray worker cannot compute it: {_last_line(error)}"
            failure = lost(job.run, line, "install the same adaptrans on every node")
        except errors.RayError as error:
            task.lost += 1
            if task.lost <= self._execution.retries:
                return True
            line = f"Ray lost it {task.lost} times: {_last_line(error)}"
            failure = lost(job.run, line, "see Ray's own logs, then run the command again")
        found.append((job, failure))
        return False

    def _tell(self, task: _Task, callback: RunCallback) -> None:
        """Tell what is new on a run's note."""
        try:
            note = read_json(note_path(self._place(task.job.run), task.job.run))
        except (OSError, ValueError):
            return
        for line in note["lines"][task.lines :]:
            callback.on_message(task.job, line)
        task.lines = len(note["lines"])
        step = Step(**note["step"]) if note["step"] else None
        if step is not None and step != task.step:
            task.step = step
            callback.on_step(task.job, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for reference in self._tasks:
            self._ray.cancel(reference, force=True)
        for place in self._places.values():
            remove(place.notes)
        if self._own:
            self._ray.shutdown()


def _connected(address: str | None) -> tuple[Any, bool]:
    """Ray, connected; and whether this command did it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        import ray
    except ImportError:
        raise RunError("the engine ray needs Ray", remedy='pip install "adaptrans[ray]"') from None
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        options.update(num_cpus=cores(), include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES)
    else:
        _check_reachable(address)
    for left in reversed(range(1 if address else STARTS)):
        try:
            ray.init(address=address or "local", **options)
            break
        except Exception as error:  # Ray raises bare ones too.
            ray.shutdown()
            if not left:
                raise RunError(_unreachable(address, error), remedy=UNREACHABLE) from None
    return ray, True


def _check_reachable(address: str) -> None:
    """Refuse at once what nobody listens to; Ray itself tries for minutes.

    Raises:
        RunError: If nothing answers at HOST:PORT; other forms, such as `auto`, are Ray's to look up.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RunError(_unreachable(address, error), remedy=UNREACHABLE) from None


def _unreachable(address: str | None, error: Exception) -> str:
    what = f"the Ray cluster {address} cannot be reached" if address else "Ray cannot be started here"
    return f"{what}: {_last_line(error)}"


def _last_line(error: BaseException) -> str:
    """The last line of what Ray says, which is the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


def note_path(place: WorkerSlot, run: Run) -> Path:
    """Where a run writes how far it is, what it says, and which process of which node computes it."""
    return place.notes / f"{run.phase}-{run.name}.json"


def compute_on_worker(run: Run, compute: Callable[[], Any], place: WorkerSlot, again: bool) -> Failure | None:
    """Compute a run in a worker process of Ray; `again` where Ray lost the worker that had it before."""
    try:
        _settle(place)
    except ArtifactError as error:
        return Failure(str(error), True, error)
    note: dict[str, Any] = {"node": os.uname().nodename, "process": os.getpid(), "step": None, "lines": []}

    def send(message: Step | str) -> None:
        match message:
            case Step():
                note["step"] = vars(message)
            case str():
                note["lines"].append(message)
        write_json(note_path(place, run), note)

    with reporting(send, seconds=POLL_SECONDS):
        failure = attempt(run, compute)
        began = time.monotonic()
        # A node that Ray believes lost may go on for a while, and holds the run's lock meanwhile.
        while again and failure is not None and type(failure.error) is BusyError:
            if time.monotonic() - began >= BUSY_SECONDS:
                break
            time.sleep(POLL_SECONDS)
            failure = attempt(run, compute)
    return portable(failure)


def _settle(place: WorkerSlot) -> None:
    """Go where the command is carried out.

    Raises:
        ArtifactError: If this node does not see the same files.
    """
    for folder in (place.notes, place.folder):
        if not folder.is_dir():
            store = place.notes.parents[2] if folder == place.notes else folder
            raise ArtifactError(f"the Ray node {os.uname().nodename} does not see {store}", remedy=SHARED)
    os.chdir(place.folder)
    os.environ.update(place.environment)
