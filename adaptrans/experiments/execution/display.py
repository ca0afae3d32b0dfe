"""One view of a whole experiment: a live one on a terminal, plain lines elsewhere. On standard error.

Torch-free; Rich is imported when a view begins.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Self

from adaptrans.experiments.cost_forecast import Forecast
from adaptrans.experiments.execution.base import Failure, RunCallback
from adaptrans.experiments.plan import Job
from adaptrans.utils import progress
from adaptrans.utils.progress import Listener, Step, duration

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress, TaskID


def experiment_view() -> View:
    """The view for where standard error goes."""
    return LiveView() if sys.stderr.isatty() else View()


class View(RunCallback):
    """Plain lines: one when a run is begun and when it fails, and every half minute where it stands.

    A context manager, so that what is shown is put away whatever happens.
    """

    def __init__(self) -> None:
        self._lines: dict[Path, tuple[str, Listener]] = {}

    def on_run_begin(self, job: Job, place: int, total: int) -> None:
        """Say which run is computed now."""
        self.line(f"[{place}/{total}] {job.what}")

    def on_step(self, job: Job, step: Step) -> None:
        """Say where it stands, if it is time."""
        shown, tell = self._lines.get(job.run.path, ("", None))
        if tell is None or shown != step.description:
            tell = progress.plain_lines(step.done)
            self._lines[job.run.path] = step.description, tell
        tell(step)

    def on_message(self, job: Job, text: str) -> None:  # noqa: ARG002
        """Pass it on."""
        self.line(text)

    def on_run_end(self, job: Job, failure: Failure | None) -> None:
        """Say what failed."""
        self._lines.pop(job.run.path, None)
        if failure is not None:
            self.line(f"failed: {job.what}: {failure.line}")

    def line(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        return None


class LiveView(View):
    """A bar for the whole experiment and one for each run under way; what ended scrolls by above."""

    wants_steps = True

    def __init__(self) -> None:
        super().__init__()
        self._live: Live | None = None
        self._tasks: dict[Path, TaskID] = {}
        self._shown: dict[Path, str] = {}

    def on_begin(self, jobs: Sequence[Job], slots: int, forecasts: Mapping[Path, Forecast]) -> None:
        """Show the experiment."""
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = BarColumn(bar_width=20), MofNCompleteColumn()
        note = TextColumn("{task.fields[note]}", markup=False)
        self._clock = Clock(jobs, slots, forecasts)
        self._whole: Progress = Progress(TextColumn("{task.description}"), *bar, note)
        self._bars: Progress = Progress(
            TextColumn("  {task.description}", markup=False), *bar, TimeRemainingColumn(compact=True), note
        )
        # The clock is asked for its text whenever the screen is drawn.
        done = self._clock.counts()["done"]
        self._runs = self._whole.add_task("runs", total=len(jobs), completed=done, note=self._clock)
        both = Group(self._whole, self._bars)
        self._live = Live(both, console=Console(stderr=True), refresh_per_second=4, transient=True)
        self._live.start()

    def on_run_begin(self, job: Job, place: int, total: int) -> None:  # noqa: ARG002
        """Show a bar for it; it has no length until the run has loaded what it needs."""
        self._clock.started(job)
        self._tasks[job.run.path] = self._bars.add_task(job.what, total=None, note="loading")

    def on_step(self, job: Job, step: Step) -> None:
        """Move its bar."""
        path, task = job.run.path, self._tasks[job.run.path]
        if self._shown.get(path) != step.description:
            # Another piece of the run has another speed.
            self._shown[path] = step.description
            self._bars.reset(task, total=step.total, completed=step.done)
        self._bars.update(task, completed=step.done, note=step.note or step.description)

    def on_run_end(self, job: Job, failure: Failure | None) -> None:
        """Take its bar away and print a line that stays."""
        self._bars.remove_task(self._tasks.pop(job.run.path))
        self._shown.pop(job.run.path, None)
        seconds = self._clock.ended(job, failure is not None)
        done, failed = f"done    {job.what}, {duration(seconds)}", f"failed  {job.what}: "
        self.line(done if failure is None else failed + failure.line)
        self._whole.update(self._runs, completed=self._clock.counts()["done"])

    def line(self, text: str) -> None:
        """Print a line above the bars."""
        if self._live is None:
            super().line(text)
        else:
            self._live.console.print(text, markup=False, highlight=False)

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class Clock:
    """Counts runs and their seconds; as text, where an experiment stands.

    Args:
        jobs: All jobs of a plan, each after those it builds on.
        slots: Runs computed at a time.
        forecasts: What runs will take, by folder. Of a run without one those of the same phase tell that
            ended before, or else all that ended.
        now: Seconds on some clock.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        slots: int,
        forecasts: Mapping[Path, Forecast],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._to_do = [job for job in jobs if not job.done]
        self._total = len(jobs)
        self._slots = slots
        self._forecasts = forecasts
        self._now = now
        self._began = now()
        self._running: dict[Path, float] = {}
        self._took: dict[Path, float] = {}
        self._failed: set[Path] = set()

    def __str__(self) -> str:
        told = [f"{number} {name}" for name, number in self.counts().items() if number and name != "done"]
        left = self.left()
        told += [duration(self.elapsed), *([] if left is None else [f"about {duration(left)} left"])]
        return ", ".join(told)

    def started(self, job: Job) -> None:
        """A run is computed from now on."""
        self._running[job.run.path] = self._now()

    def ended(self, job: Job, failed: bool = False) -> float:
        """A run came to its end; returns the seconds it took."""
        seconds = self._now() - self._running.pop(job.run.path)
        if failed:
            self._failed.add(job.run.path)
        else:
            self._took[job.run.path] = seconds
        return seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the experiment began."""
        return self._now() - self._began

    def counts(self) -> dict[str, int]:
        """Numbers of runs: done, running, waiting, failed, and held up by failed ones."""
        waiting, running, failed = len(self._waiting()), len(self._running), len(self._failed)
        done = self._total - len(self._to_do) + len(self._took)
        held_up = self._total - done - running - waiting - failed
        return {"done": done, "running": running, "waiting": waiting, "failed": failed, "held up": held_up}

    def left(self) -> float | None:
        """Seconds until all is done that can be; None while there is nothing to go by."""
        seconds = 0.0
        for job in [*self._waiting(), *(one for one in self._to_do if one.run.path in self._running)]:
            expected, began = self._expected(job), self._running.get(job.run.path)
            if expected is None:
                return None
            seconds += expected if began is None else max(0.0, expected - (self._now() - began))
        return seconds / self._slots

    def _waiting(self) -> list[Job]:
        """Runs that will be begun: not those that build on a failed one, at any remove."""
        stopped = set(self._failed)
        found = []
        for job in self._to_do:
            if job.needs & stopped:
                stopped.add(job.run.path)
            elif job.run.path not in self._running.keys() | self._took.keys() | stopped:
                found.append(job)
        return found

    def _expected(self, job: Job) -> float | None:
        known = self._forecasts.get(job.run.path, Forecast()).seconds
        if known is not None:
            return known
        told = [took for path, took in self._took.items() if path.parent == job.run.path.parent]
        told = told or list(self._took.values())
        return sum(told) / len(told) if told else None
