"""Progress bars with an estimate of the time left, on standard error.

On a terminal a Rich bar; elsewhere a plain line every half minute, so that logs
stay readable.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

PLAIN_SECONDS = 30.0

_bars = True


def without_bars() -> None:
    """From now on plain lines in this process: bars of several processes would overwrite each other."""
    global _bars
    _bars = False


@dataclass
class Meter:
    """Where a piece of work stands.

    Args:
        description: What is being done.
        total: Number of steps.
        show: Called after every change.
        done: Steps done so far.
        note: Short text behind the bar, for instance the loss.
    """

    description: str
    total: int
    show: Callable[[Meter], None] = field(repr=False, default=lambda meter: None)
    done: int = 0
    note: str = ""

    def to(self, done: int, note: str | None = None) -> None:
        """Move to an absolute number of steps."""
        self.done = done
        if note is not None:
            self.note = note
        self.show(self)

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        """Move on by a number of steps."""
        self.to(self.done + steps, note)


@contextlib.contextmanager
def progress(description: str, total: int, *, start: int = 0) -> Iterator[Meter]:
    """Show progress while the block runs.

    Args:
        description: What is being done.
        total: Number of steps.
        start: Steps that were done before, as after a resume; they do not enter the estimate.
    """
    if _bars and sys.stderr.isatty():
        with _bar(description, total, start) as meter:
            yield meter
    else:
        yield Meter(description, total, _plain_lines(start), start)


@contextlib.contextmanager
def _bar(description: str, total: int, start: int) -> Iterator[Meter]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total, completed=start, note="")

        def show(meter: Meter) -> None:
            bar.update(task, completed=meter.done, note=meter.note)

        yield Meter(description, total, show, start)


def _plain_lines(start: int) -> Callable[[Meter], None]:
    began = last = time.monotonic()

    def show(meter: Meter) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PLAIN_SECONDS:
            return
        last = now
        rate = (meter.done - start) / (now - began)
        left = f", {(meter.total - meter.done) / rate:.0f} s left" if rate > 0 else ""
        print(f"{meter.description}: {meter.done}/{meter.total}{left} {meter.note}".rstrip(), file=sys.stderr)

    return show
