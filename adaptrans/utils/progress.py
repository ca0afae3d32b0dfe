"""Progress bars with an estimate of the time left, on standard error; bytes, times and counts as text.

On a terminal a Rich bar; elsewhere a plain line every half minute, so that logs
stay readable. Where a whole experiment is shown, its view is told instead.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

PLAIN_SECONDS = 30.0

Listener = Callable[["Step"], None]

_listener: Listener | None = None


@dataclass(frozen=True)
class Step:
    """Where a piece of work stands: steps done of a total, and a short text such as the loss."""

    description: str
    total: int
    done: int
    note: str = ""


@contextlib.contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """While the block runs, progress in this process is told to a listener and shown by nobody else.

    It is called at the start of each piece of work and after every change, and has to be quick.
    """
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


@dataclass
class Meter:
    """A piece of work that moves on; `show` is called after every change."""

    description: str
    total: int
    show: Callable[[Meter], None] = field(repr=False, default=lambda meter: None)
    done: int = 0
    note: str = ""

    @property
    def step(self) -> Step:
        """Where it stands now."""
        return Step(self.description, self.total, self.done, self.note)

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
    if _listener is not None:
        listener = _listener
        meter = Meter(description, total, lambda meter: listener(meter.step), start)
        meter.show(meter)
        yield meter
    elif sys.stderr.isatty():
        with _bar(description, total, start) as meter:
            yield meter
    else:
        tell = plain_lines(start)
        yield Meter(description, total, lambda meter: tell(meter.step), start)


def remark(text: str) -> None:
    """Say what is taken from the cache or made for it; a view of a whole experiment has no place for that."""
    if _listener is None:
        print(f"[cache] {text}", file=sys.stderr)


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


def plain_lines(start: int) -> Listener:
    """A listener that prints a line every half minute; `start` as for `progress`."""
    began = last = time.monotonic()

    def show(step: Step) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PLAIN_SECONDS:
            return
        last = now
        rate = (step.done - start) / (now - began)
        left = f", {(step.total - step.done) / rate:.0f} s left" if rate > 0 else ""
        print(f"{step.description}: {step.done}/{step.total}{left} {step.note}".rstrip(), file=sys.stderr)

    return show


def size(number: float) -> str:
    """Bytes in the largest binary unit that they fill.

    Example:
        >>> size(900), size(12 * 2**10), size(420 * 2**20), size(5.25 * 2**30)
        ('900 B', '12 KiB', '420 MiB', '5.2 GiB')
    """
    for unit, length in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= length:
            value = number / length
            return f"{value:.0f} {unit}" if value >= 100 or value == int(value) else f"{value:.1f} {unit}"
    return f"{number:.0f} B"


def duration(seconds: float) -> str:
    """A length of time in the two largest units.

    Example:
        >>> duration(9.4), duration(75), duration(3725), duration(200_000)
        ('9 s', '1 min 15 s', '1 h 2 min', '2 d 8 h')
    """
    whole = round(seconds)
    for (unit, length), (smaller, part) in (
        (("d", 86_400), ("h", 3_600)),
        (("h", 3_600), ("min", 60)),
        (("min", 60), ("s", 1)),
    ):
        large, small = divmod(round(whole / part), length // part)
        if large:
            return f"{large} {unit} {small} {smaller}" if small else f"{large} {unit}"
    return f"{whole} s"


def thousands(number: float) -> str:
    """A count in few characters.

    Example:
        >>> thousands(950), thousands(38225), thousands(9_530_000)
        ('950', '38k', '9.5M')
    """
    if number >= 1e6:
        return f"{number / 1e6:.1f}M"
    return f"{number / 1e3:.0f}k" if number >= 1e3 else f"{number:.0f}"
