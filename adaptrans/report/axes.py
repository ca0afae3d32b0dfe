"""Numbers to places: the geometry of the plots, in percent of the width or in units of a small box.

Bars and marks are placed in percent, so that the text between them keeps its size on every screen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A range of values and where they lie.

    Args:
        low: Value at 0 %.
        high: Value at 100 %.
        log: Whether equal ratios are equally far apart.
    """

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Percent of the width, cut to the range.

        Example:
            >>> Axis(0, 50).place(10), Axis(1, 100, log=True).place(10)
            (20.0, 50.0)
        """
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, max(value, self.low)))
        return round(min(100.0, max(0.0, 100 * (at - low) / (high - low))), 2)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values on the axis.

        Example:
            >>> Axis(0, 100).ticks(), Axis(1000, 200000, log=True).ticks()
            ([0, 20, 40, 60, 80, 100], [1000, 10000, 100000])
        """
        if self.log:
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [10**power for power in powers]
        step = _round_step((self.high - self.low) / max(1, most - 1))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [_short(step * number) for number in range(first, last + 1)]


def scores_axis(values: Sequence[float]) -> Axis:
    """From 0 to the next round value above all, at most 100.

    Example:
        >>> scores_axis([12.0, 33.1])
        Axis(low=0, high=40, log=False)
    """
    top = max(values, default=100.0)
    step = _round_step(max(top, 1.0) / 5)
    return Axis(0, min(100, _short(step * math.ceil(top / step + 1e-9))) if top < 100 else 100)


def line(points: Sequence[tuple[float, float]], across: Axis, up: Axis) -> str:
    """Points of a polyline in a box of 100 by 100.

    Example:
        >>> line([(0, 0), (10, 5)], Axis(0, 10), Axis(0, 10))
        '0.0,100.0 100.0,50.0'
    """
    return " ".join(f"{across.place(x)},{round(100 - up.place(y), 2)}" for x, y in points)


def smooth(points: Sequence[tuple[int, float]], most: int = 120) -> list[tuple[int, float]]:
    """Means of neighbors, so that there are at most so many points.

    Example:
        >>> smooth([(1, 2.0), (2, 4.0), (3, 6.0)], most=2)
        [(2, 3.0), (3, 6.0)]
    """
    size = math.ceil(len(points) / most)
    parts = [points[start : start + size] for start in range(0, len(points), size or 1)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _round_step(width: float) -> float:
    """The smallest of 1, 2, 5 x 10^n that is no smaller."""
    power = 10.0 ** math.floor(math.log10(max(width, 1e-9)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= width - 1e-12)


def _short(value: float) -> float:
    """A whole number without its point."""
    rounded = round(value, 9)
    return int(rounded) if rounded == int(rounded) else rounded
