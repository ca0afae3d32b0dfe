"""One view of a whole experiment: a live one on a terminal, plain lines elsewhere. On standard error.

Torch-free; Rich is imported when a view begins.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from typing_extensions import Self

from adaptrans import progress
from adaptrans.experiments.clock import Clock, words
from adaptrans.experiments.executors import Ended, Watch
from adaptrans.experiments.forecast import Forecast
from adaptrans.experiments.work import Work
from adaptrans.progress import Listener, Step

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
            self.line(f"done    {ended.item.what}, {words(seconds)}")
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
        told += [words(self.clock.elapsed)]
        told += [] if left is None else [f"about {words(left)} left"]
        return ", ".join(told)
