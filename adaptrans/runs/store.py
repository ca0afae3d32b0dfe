"""A folder of runs keyed by what went into them; the same inputs are never computed twice.

Torch-free, so that a finished experiment is recognized without loading anything.

Layout of a store:
    runs/<phase>/<label>-<key>/
        config.json         the inputs that make the key, in full
        environment.jsonl   versions, device, command; one line per process
        done.json           the result; written last
        error.log           of the last failure, until the run is done
        cost.json           time, memory and disk that it took
      of a training:
        log.jsonl           one line per logged step
        checkpoints/        until the run is done
        artifact/           only what was trained
      of an evaluation, per language:
        predictions/        <language>.jsonl: id, gold, prediction
        submission/         XTREME's layout
        statistics/         <language>.<score>.npy: counts per example
        scores/             <language>.json, written last
    cache/                  encodings and comparisons; may be deleted at any time

Hashes of files are no part of a store: see `adaptrans.utils.io`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptrans.errors import ArtifactError, BusyError
from adaptrans.utils import distributed
from adaptrans.utils.environment import measured
from adaptrans.utils.io import canonical_json, digest, read_json, remove, write_json

DEFAULT_STORE = Path("adaptrans-store")

_held: set[Path] = set()


@dataclass(frozen=True)
class RunRef:
    """A run as its folder, tables and commands name it: a readable label and its key, or the start of one.

    Example:
        >>> RunRef.parse("xnli.full.s1-0123456789ab").key, RunRef.parse("0123").key
        ('0123456789ab', '0123')
    """

    label: str
    key: str

    @classmethod
    def parse(cls, text: str) -> RunRef:
        """The run that a name, a key or a folder stands for."""
        label, _, key = Path(text).name.rpartition("-")
        return cls(label, key)

    def __str__(self) -> str:
        return f"{self.label}-{self.key}"


@dataclass(frozen=True)
class Run:
    """One folder of the store.

    Args:
        phase: `intermediate`, `target` or `evaluate`.
        label: Readable part of the folder's name.
        key: First 12 hexadecimal digits of the hash of the inputs.
        path: The folder; it may not exist yet.
    """

    phase: str
    label: str
    key: str
    path: Path

    @property
    def name(self) -> str:
        """Readable name with the key, unique in its store."""
        return str(RunRef(self.label, self.key))

    @classmethod
    def at(cls, folder: Path) -> Run:
        """The run of a folder of a store."""
        ref = RunRef.parse(folder.name)
        return cls(folder.parent.name, ref.label, ref.key, folder)

    @property
    def artifact(self) -> Path:
        """Folder of what this run trained."""
        return self.path / "artifact"

    @property
    def error_log(self) -> Path:
        """File of the run's last failure; a later success removes it."""
        return self.path / "error.log"

    @property
    def is_done(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / "done.json").is_file()

    def config(self) -> dict[str, Any]:
        """The inputs that make the run's key.

        Raises:
            ArtifactError: If the folder holds no readable configuration.
        """
        try:
            return read_json(self.path / "config.json")
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"{self.path} is not a run: {error}", remedy="delete the folder and run the command again"
            ) from None

    def log_environment(self, values: dict[str, Any]) -> None:
        """Add what this process runs on; a run that went on elsewhere has several lines."""
        if not distributed.is_main():
            return
        with (self.path / "environment.jsonl").open("a", encoding="utf-8") as file:
            file.write(canonical_json(values) + "\n")

    def finish(self, result: dict[str, Any]) -> None:
        """Mark the run as done, with its result beside the mark."""
        write_json(self.path / "done.json", result)
        self.error_log.unlink(missing_ok=True)

    def result(self) -> dict[str, Any]:
        """What `finish` was given."""
        return read_json(self.path / "done.json")

    def sweep(self) -> None:
        """Delete what killed processes left in a finished run: checkpoints and half-written files.

        Nothing happens if the run is not finished, another process is at work on it,
        or the store cannot be written. Inside `Store.working_on` its lock is enough.
        """
        if not self.is_done or not self._leftovers():
            return
        lock = contextlib.nullcontext() if self.path in _held else _locked(self)
        with contextlib.suppress(ArtifactError, OSError), lock:
            # Looked up again, because what was there before the lock may have got its name since.
            for path in self._leftovers():
                remove(path)

    def _leftovers(self) -> list[Path]:
        return [path for name in (".*.part", ".*.old") for path in self.path.rglob(name)] + [
            *self.path.glob("checkpoints")
        ]


@contextlib.contextmanager
def _locked(run: Run) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(run.path / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(
            f"another process is at work on {run.name}", remedy="wait for it, or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class Store:
    """The folder that holds all runs and caches of a user or a project."""

    root: Path

    def run(self, phase: str, label: str, inputs: dict[str, Any]) -> Run:
        """The run of these inputs, whether or not it exists yet.

        Example:
            >>> store = Store(Path("store"))
            >>> a = store.run("target", "xnli.full", {"seed": 1})
            >>> a.key == store.run("target", "xnli.full", {"seed": 1}).key
            True
        """
        key = digest(inputs)
        # ASCII only, so that 80 characters stay within a file name's 255 bytes.
        safe = re.sub(r"[^\w.+\-\[\],]+", "_", label, flags=re.ASCII).strip("_")[:80]
        return Run(phase, safe, key, self.root / "runs" / phase / str(RunRef(safe, key)))

    @property
    def cache(self) -> Path:
        """Folder of what can be computed again."""
        return self.root / "cache"

    @contextlib.contextmanager
    def working_on(self, run: Run, inputs: dict[str, Any]) -> Iterator[None]:
        """Create the run's folder and hold its lock; the lock dies with the process.

        Raises:
            BusyError: If another process holds it.
        """
        run.path.mkdir(parents=True, exist_ok=True)
        with _locked(run):
            _held.add(run.path)
            try:
                if not (run.path / "config.json").is_file():
                    write_json(run.path / "config.json", inputs)
                with measured(run.path):
                    yield
            finally:
                _held.discard(run.path)

    def once(self, run: Run, inputs: dict[str, Any], compute: Callable[[Run], None]) -> Run:
        """Compute a run, unless it is finished; go on where a killed one stopped.

        Where several processes work together, all of them compute; the first one holds the run.

        Raises:
            BusyError: If another process is at work on it.
        """
        if distributed.broadcast(run.is_done):
            if distributed.is_main():
                run.sweep()
            return run
        with self.working_on(run, inputs) if distributed.is_main() else contextlib.nullcontext():
            if not distributed.broadcast(run.is_done):
                compute(run)
        # What builds on this run may look for it as soon as this returns.
        distributed.barrier()
        return run

    def runs(self, phase: str | None = None) -> list[Run]:
        """All runs that came to their end, oldest first."""
        ends = (self.root / "runs").glob(f"{phase or '*'}/*/done.json")
        found = [(done.stat().st_mtime, Run.at(done.parent)) for done in ends]
        return [run for _, run in sorted(found, key=lambda pair: (pair[0], pair[1].name))]

    def find(self, key: str) -> Run:
        """The finished run whose key starts with these digits.

        Raises:
            ArtifactError: If there is none, or more than one.
        """
        matches = [run for run in self.runs() if key and run.key.startswith(key)]
        if len(matches) == 1:
            return matches[0]
        if not matches:
            raise ArtifactError(
                f'no finished run with key "{key}" in {self.root}', remedy="see its runs/ folder"
            )
        names = ", ".join(run.name for run in matches)
        raise ArtifactError(f'key "{key}" fits several runs: {names}', remedy="give more digits")

    def named(self, text: str) -> Run:
        """The finished run of a key, a name, or a folder of this store.

        Raises:
            ArtifactError: If there is none, or more than one.
        """
        last = Path(text).name
        matches = [run for run in self.runs() if run.name == last]
        return matches[0] if len(matches) == 1 else self.find(text)
