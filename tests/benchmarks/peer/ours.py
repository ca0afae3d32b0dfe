"""Our side: the same training through the public functions of adaptrans, timed where its log is written."""

import time
from pathlib import Path
from typing import Any

import adaptrans
from adaptrans.runs.workspace import Workspace
from adaptrans.training.checkpoint import TrainingLog


class Stopwatch:
    """Seconds of the steps of a training run, from when its log opens to the end of the last step."""

    def __init__(self) -> None:
        self.seconds = self.processor_seconds = 0.0
        self.steps = 0
        self.lines: list[dict[str, Any]] = []

    def __enter__(self) -> "Stopwatch":
        self._own = TrainingLog.__enter__, TrainingLog.add
        opened, added = self._own

        def opening(log: TrainingLog) -> TrainingLog:
            found = opened(log)
            self.began = time.perf_counter(), time.process_time()
            self.lines = []
            return found

        def adding(log: TrainingLog, step: int, **values: Any) -> None:
            added(log, step, **values)
            if "loss" in values:
                self.seconds = time.perf_counter() - self.began[0]
                self.processor_seconds = time.process_time() - self.began[1]
                self.steps = step
                self.lines.append(
                    {"step": step, **values, "at": self.seconds, "processor_at": self.processor_seconds}
                )

        TrainingLog.__enter__, TrainingLog.add = opening, adding  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        TrainingLog.__enter__, TrainingLog.add = self._own  # type: ignore[method-assign]

    @property
    def losses(self) -> list[float]:
        """The losses that were logged."""
        return [line["loss"] for line in self.lines]


def workspace(folder: Path, work: Path, store: str = "store") -> Workspace:
    """Where runs work: an encoder, and a folder with task files and rows, in which the store is made."""
    return adaptrans.workspace(backbone=folder, data=work, store=work / store, tasks=[work], device="cpu")


def train(
    where: Workspace, task: str, *, batch: int, seed: int, method: str = "seq_bn", **options: Any
) -> Stopwatch:
    """Train an adapter on a task.

    Args:
        where: The workspace.
        task: The task.
        batch: Inputs per step.
        seed: The seed.
        method: The adapter method.
        **options: Further training options.
    """
    with Stopwatch() as watch:
        adaptrans.target(
            task, where=where, setup="adapter", method=method, batch_size=batch, seed=seed, **options
        )
    return watch


def timed_training(where: Workspace, task: str, *, batch: int, seed: int, **options: Any) -> dict[str, Any]:
    """Train one epoch, after two steps that are not counted."""
    train(where, task, batch=batch, seed=seed, max_steps=2, **options)
    watch = train(where, task, batch=batch, seed=seed, epochs=1, **options)
    return {
        "seconds": watch.seconds,
        "processor_seconds": watch.processor_seconds,
        "steps": watch.steps,
        "padding": [line["padding"] for line in watch.lines],
        "first_and_last_loss": [watch.losses[0], watch.losses[-1]],
    }


def option(text: str) -> tuple[str, Any]:
    """A training option as KEY=VALUE, typed as YAML is."""
    import yaml

    key, _, value = text.partition("=")
    return key, yaml.safe_load(value)
