"""One view of a whole experiment: a live one on a terminal, plain lines elsewhere. On standard error.

Torch-free; Rich is imported when a view begins.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

from adaptrans.experiments.cost_forecast import Forecast
from adaptrans.experiments.execution.base import Ended, Watch
from adaptrans.experiments.plan import Work
from adaptrans.utils import progress
from adaptrans.utils.format import duration
from adaptrans.utils.progress import Listener, Step

if TYPE_CHECKING:
    from rich.progress import TaskID


def experiment_view() -> View:
    """The view for where standard error goes."""
    return LiveView() if sys.stderr.isatty() else View()


class View(Watch):
    """Plain lines: one when a run is begun and when it fails, and every half minute where it stands.

    A context manager, so that what is shown is put away whatever happens.
    """

    def __init__(self) -> None:
        self._lines: dict[Path, tuple[str, Listener]] = {}

    def started(self, item: Work, place: int, total: int) -> None:
        """Say which run is computed now."""
        self.line(f"[{place}/{total}] {item.what}")

    def moved(self, item: Work, step: Step) -> None:
        """Say where it stands, if it is time."""
        shown, tell = self._lines.get(item.run.path, ("", None))
        if tell is None or shown != step.description:
            tell = progress.plain_lines(step.done)
            self._lines[item.run.path] = step.description, tell
        tell(step)

    def said(self, item: Work, text: str) -> None:  # noqa: ARG002
        """Pass it on."""
        self.line(text)

    def ended(self, ended: Ended) -> None:
        """Say what failed."""
        self._lines.pop(ended.item.run.path, None)
        if ended.failure is not None:
            self.line(f"failed: {ended.item.what}: {ended.failure.line}")

    def line(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class LiveView(View):
    """A bar for the whole experiment and one for each run under way; what ended scrolls by above."""

    listens = True

    def __init__(self) -> None:
        super().__init__()
        self._shown: _Shown | None = None

    def begin(self, items: Sequence[Work], slots: int, forecasts: Mapping[Path, Forecast]) -> None:
        """Show the experiment."""
        self._shown = _Shown(Clock(items, slots, forecasts), len(items))

    def started(self, item: Work, place: int, total: int) -> None:  # noqa: ARG002
        """Show a bar for it; it has no length until the run has loaded what it needs."""
        if self._shown is not None:
            self._shown.started(item)

    def moved(self, item: Work, step: Step) -> None:
        """Move its bar."""
        if self._shown is not None:
            self._shown.moved(item, step)

    def ended(self, ended: Ended) -> None:
        """Take its bar away and print a line that stays."""
        if self._shown is not None:
            self._shown.ended(ended)

    def line(self, text: str) -> None:
        """Print a line above the bars."""
        if self._shown is None:
            super().line(text)
        else:
            self._shown.line(text)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.stop()
            self._shown = None


class _Shown:
    """What a live view shows from its begin to its end."""

    def __init__(self, clock: Clock, total: int) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        note = TextColumn("{task.fields[note]}", markup=False)
        self._clock = clock
        self._whole = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), note
        )
        self._bars = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            note,
        )
        self._live = Live(
            Group(self._whole, self._bars), console=Console(stderr=True), refresh_per_second=4, transient=True
        )
        self._runs = self._whole.add_task("runs", total=total, note=_Where(clock))
        self._tasks: dict[Path, TaskID] = {}
        self._pieces: dict[Path, str] = {}
        self._whole.update(self._runs, completed=clock.counts()["done"])
        self._live.start()

    def started(self, item: Work) -> None:
        self._clock.started(item)
        self._tasks[item.run.path] = self._bars.add_task(item.what, total=None, note="loading")

    def moved(self, item: Work, step: Step) -> None:
        task = self._tasks[item.run.path]
        if self._pieces.get(item.run.path) != step.description:
            # Another piece of the run has another speed.
            self._pieces[item.run.path] = step.description
            self._bars.reset(task, total=step.total, completed=step.done)
        self._bars.update(task, completed=step.done, note=step.note or step.description)

    def ended(self, ended: Ended) -> None:
        path = ended.item.run.path
        self._bars.remove_task(self._tasks.pop(path))
        self._pieces.pop(path, None)
        seconds = self._clock.ended(ended.item, ended.failure is not None)
        if ended.failure is None:
            self.line(f"done    {ended.item.what}, {duration(seconds)}")
        else:
            self.line(f"failed  {ended.item.what}: {ended.failure.line}")
        self._whole.update(self._runs, completed=self._clock.counts()["done"])

    def line(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        self._live.stop()


@dataclass(frozen=True)
class _Where:
    """Where an experiment stands, as text that is true whenever it is drawn."""

    clock: Clock

    def __str__(self) -> str:
        counts = self.clock.counts()
        told = [f"{number} {name}" for name, number in counts.items() if number and name != "done"]
        left = self.clock.left()
        told += [duration(self.clock.elapsed)]
        told += [] if left is None else [f"about {duration(left)} left"]
        return ", ".join(told)


SECONDS = 0.5


@contextlib.contextmanager
def reporting(send: Callable[[Step | str], None], seconds: float = SECONDS) -> Iterator[None]:
    """While the block runs, its progress and the lines it prints on standard error are sent away.

    Args:
        send: Takes a step or a line.
        seconds: It is given a step no more often than this, but for the first and the last of each piece.
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


class Clock:
    """Counts runs and their seconds.

    Args:
        items: All runs of a plan, each after those it builds on.
        slots: Runs computed at a time.
        forecasts: What runs will take, by folder. Of a run without one those of the same phase tell that
            ended before, or else all that ended.
        now: Seconds on some clock.
    """

    def __init__(
        self,
        items: Sequence[Work],
        slots: int,
        forecasts: Mapping[Path, Forecast],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._to_do = [item for item in items if not item.done]
        self._total = len(items)
        self._slots = slots
        self._forecasts = forecasts
        self._now = now
        self._began = now()
        self._running: dict[Path, float] = {}
        self._took: dict[Path, float] = {}
        self._failed: set[Path] = set()

    def started(self, item: Work) -> None:
        """A run is computed from now on."""
        self._running[item.run.path] = self._now()

    def ended(self, item: Work, failed: bool = False) -> float:
        """A run came to its end; returns the seconds it took."""
        seconds = self._now() - self._running.pop(item.run.path)
        if failed:
            self._failed.add(item.run.path)
        else:
            self._took[item.run.path] = seconds
        return seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the experiment began."""
        return self._now() - self._began

    def counts(self) -> dict[str, int]:
        """Numbers of runs: done, running, waiting, failed, and held up by failed ones."""
        done = self._total - len(self._to_do) + len(self._took)
        waiting = len(self._waiting())
        held_up = self._total - done - len(self._running) - waiting - len(self._failed)
        running, failed = len(self._running), len(self._failed)
        return {"done": done, "running": running, "waiting": waiting, "failed": failed, "held up": held_up}

    def left(self) -> float | None:
        """Seconds until all is done that can be; None while there is nothing to go by."""
        seconds = 0.0
        for item in [*self._waiting(), *(one for one in self._to_do if one.run.path in self._running)]:
            expected = self._expected(item)
            if expected is None:
                return None
            began = self._running.get(item.run.path)
            seconds += expected if began is None else max(0.0, expected - (self._now() - began))
        return seconds / self._slots

    def _waiting(self) -> list[Work]:
        """Runs that will be begun: not those that build on a failed one, at any remove."""
        stopped = set(self._failed)
        found = []
        for item in self._to_do:
            if item.needs & stopped:
                stopped.add(item.run.path)
            elif item.run.path not in self._running.keys() | self._took.keys() | stopped:
                found.append(item)
        return found

    def _expected(self, item: Work) -> float | None:
        known = self._forecasts.get(item.run.path, Forecast()).seconds
        if known is not None:
            return known
        alike = [self._took[one.run.path] for one in self._ended() if one.run.phase == item.run.phase]
        told = alike or list(self._took.values())
        return sum(told) / len(told) if told else None

    def _ended(self) -> list[Work]:
        return [item for item in self._to_do if item.run.path in self._took]
