"""How far an experiment is, and how long it will take still. Torch-free."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from adaptrans.experiments.forecast import Forecast
from adaptrans.experiments.work import Work


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


def words(seconds: float) -> str:
    """A time for people.

    Example:
        >>> words(42), words(3723)
        ('0:42', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
