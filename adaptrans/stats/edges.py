"""Intervals where the bootstrap sees too little: all items right, all wrong, or nearly. No torch.

A bootstrap knows only what is in the sample. Where fewer than ten items differ from what most items score, it
draws too few of the others, or none: of 50 right answers out of 50 it says 100.0 to 100.0. There the interval
is one that is exact for counts:

- Items that differ from the common value are counted, those below and those above it apart, each with its
  weight in the score and the size of its difference. The sum of such rare items has the interval of a
  weighted sum of rare events (Fay and Feuer 1997, Statistics in Medicine 16:791), in its binomial form: for
  one language and answers that are right or wrong it is the interval of Clopper and Pearson (1934, Biometrika
  26:404).
- Its upper end takes one more item than was seen. With none seen, that item is as bad as an item can be; else
  its size is the mean of those seen and of one such item (the rule of succession). An item that languages
  share is as bad as it can be: those wrong in one language do not tell how many are wrong in all.
- Both sides are joined by the squares of their distances (MOVER; Zou and Donner 2008, Statistics in Medicine
  27:1693).

Ten items of one size have a skew of 1 / sqrt(10); items of several sizes are few where their sum is more
skewed than that, for it is skew that misleads a percentile interval. An item counts by its share of the
score: all alike for means over items, by its number of chunks or words for scores over chunks or words. Where
languages share their items an item is one over all languages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

FEW = 10
"""With so many items that differ from the common value the bootstrap's interval stands as it is.

The tables of coverage in docs/explanation/numbers.md were made with it.
"""

LOOK = 200
"""Items that are looked at first: where twice as many as `FEW` of them differ, the rest is not looked at."""

MOST_FLIPPED = 12
"""Differing items whose signs are all tried: 4,096 ways."""

Reduce = Callable[[np.ndarray], np.ndarray]
Weigh = Callable[[np.ndarray], np.ndarray]
"""Counts, shape (examples, k), to the weight of each example in the primary value, shape (examples,)."""


def alike(counts: np.ndarray) -> np.ndarray:
    """The same weight for all examples that count at all.

    Example:
        >>> alike(np.array([[1.0, 1.0], [0.0, 0.0]])).tolist()
        [1.0, 0.0]
    """
    return np.any(counts != 0, axis=1).astype(np.float64)


@dataclass(frozen=True)
class Reach:
    """How far an interval reaches from its value, in points.

    Attributes:
        below: Down from the value.
        above: Up from it.
    """

    below: float
    above: float


@dataclass(frozen=True)
class Items:
    """What each item of a language scores.

    Attributes:
        values: Between `lowest` and 1, shape (items,).
        weights: The item's share of the score, shape (items,); they sum to 1.
        lowest: 0, or -1 for differences of two systems.
    """

    values: np.ndarray
    weights: np.ndarray
    lowest: float = 0.0

    @property
    def common(self) -> float:
        """The value of most items, of equally many the highest."""
        values, numbers = np.unique(self.values[self.weights > 0], return_counts=True)
        return float(values[len(values) - 1 - np.argmax(numbers[::-1])]) if len(values) else 1.0


@dataclass(frozen=True)
class Sample:
    """What a score was computed from: one system, or one beside another, with one seed or more.

    Attributes:
        seeds: Counts of each seed by language, shape (examples, k).
        parallel: Whether row i is the same item in every language.
        against: The other system of a difference.
    """

    seeds: Sequence[Sequence[np.ndarray]]
    reduce: Reduce
    part: int
    parallel: bool
    weigh: Weigh = alike
    against: Sample | None = None

    def beside(self, other: Sample) -> Sample:
        """The difference to another system, on the same examples."""
        return replace(self, against=other)

    @property
    def of_itself(self) -> bool:
        """Whether the difference is that of a system to itself, which is nothing whatever the examples."""
        own, other = self.seeds, self.against.seeds if self.against else ()
        return len(own) == len(other) and all(
            a is b for one, two in zip(own, other, strict=True) for a, b in zip(one, two, strict=True)
        )

    def differing(self, most: int = 60) -> int:
        """Number of examples (items, if parallel) on which two systems differ, each averaged over its seeds.

        Args:
            most: Where the beginning of the test sets holds so many, the rest is not looked at.
        """
        assert self.against is not None, "one system differs from nothing"
        count = 0
        # A thousand rows settle it nearly always.
        for rows in (slice(1000), slice(None)):
            pairs = zip(self._counts(rows), self.against._counts(rows), strict=True)
            found = [np.any(own != other, axis=1) for own, other in pairs]
            count = int(np.any(found, axis=0).sum()) if self.parallel else int(sum(map(np.sum, found)))
            if count >= most:
                break
        return count

    def _counts(self, rows: slice) -> list[np.ndarray]:
        """Counts of each language, averaged over seeds."""
        if len(self.seeds) == 1:
            return [counts[rows] for counts in self.seeds[0]]
        return [
            np.asarray(np.mean([counts[rows] for counts in languages], axis=0, dtype=np.float64))
            for languages in zip(*self.seeds, strict=True)
        ]

    def items(self, rows: slice = slice(None)) -> list[Items]:
        """Items of each language, averaged over seeds, less those of the other system."""
        own = [self._over_seeds(place, rows) for place in range(len(self.seeds[0]))]
        if self.against is None:
            return own
        other = self.against.items(rows)
        return [
            Items(a.values - b.values, (a.weights + b.weights) / 2, -1.0)
            for a, b in zip(own, other, strict=True)
        ]

    def _over_seeds(self, place: int, rows: slice) -> Items:
        found = [self._of_seed(languages[place][rows]) for languages in self.seeds]
        if len(found) == 1:
            return found[0]
        return Items(
            np.mean([one.values for one in found], axis=0), np.mean([one.weights for one in found], axis=0)
        )

    def _of_seed(self, counts: np.ndarray) -> Items:
        counts = np.asarray(counts, dtype=np.float64)
        weights = np.asarray(self.weigh(counts), dtype=np.float64)
        total = weights.sum()
        # Where nothing counts (no chunk anywhere), nothing tells the items apart.
        weights = weights / total if total > 0 else np.full(len(counts), 1 / len(counts))
        return Items(np.asarray(self.reduce(counts), dtype=np.float64)[..., self.part] / 100, weights)

    def reach(self, level: float = 0.95) -> Reach | None:
        """How far the interval has to reach at least; None where the bootstrap sees enough.

        Args:
            level: Coverage, as a fraction.

        Example:
            >>> from adaptrans.evaluation.metrics import SCORES
            >>> counts = np.ones((50, 2))
            >>> found = Sample([[counts]], SCORES["accuracy"].reduce, 0, parallel=False).reach()
            >>> round(found.below, 1), found.above
            (7.1, 0.0)
        """
        if not self._may_be_few():
            return None
        return _reach(_groups(self.items(), self.parallel), level)

    def _may_be_few(self) -> bool:
        """Whether the first items leave it open that few of all differ."""
        return any(group.number < 2 * FEW for group in _groups(self.items(slice(LOOK)), self.parallel))

    def flipped(self) -> float:
        """P-value of a difference of few items: by the signs that chance would give them.

        Each differing item could as well have been the other system's: the share of all ways to deal out
        the signs whose sum is at least as far from 0. For right and wrong answers this is McNemar's exact
        test. 0 where more than twelve items differ.
        """
        share = 1 / len(self.seeds[0])
        parts = [share * own.weights * own.values for own in self.items()]
        gaps = np.sum(parts, axis=0) if self.parallel else np.concatenate(parts)
        gaps = np.abs(gaps), gaps.sum()
        sizes, total = gaps[0][gaps[0] > _TINY], abs(gaps[1])
        if not 0 < len(sizes) <= MOST_FLIPPED:
            return float(len(sizes) == 0)
        signs = np.array(list(product((-1.0, 1.0), repeat=len(sizes))))
        return float((np.abs(signs @ sizes) >= total - _TINY).mean())


_TINY = 1e-12
"""Differences of sums that are rounding."""


@dataclass(frozen=True)
class _Group:
    """Items that are drawn together.

    Attributes:
        below: How much each lowers the score from that of common items, shape (items,).
        above: How much each raises it.
        weights: The most that each could matter, shape (items,).
        down: How far all together could lower the score.
        up: How far they could raise it.
        least: Of items that languages share, the least number of differing ones in any language. Items that
            are wrong in every language may not have been seen where those wrong in one were.
    """

    below: np.ndarray
    above: np.ndarray
    weights: np.ndarray
    down: float
    up: float
    least: float = math.inf

    @property
    def number(self) -> float:
        """Number of items that do not score what most score; see `_alike`."""
        return min(self.least, _alike(self.below + self.above))

    def one_more(self, gaps: np.ndarray, most: float) -> float:
        """By how much one more differing item would move the score."""
        seen = (gaps > 0) & math.isinf(self.least)
        total = float(self.weights.sum())
        relative = most / total + float((gaps[seen] / self.weights[seen]).sum())
        return float((self.weights**2).sum()) / total * relative / (1 + int(seen.sum()))


def _alike(gaps: np.ndarray) -> float:
    """How many gaps of one size would be as skewed as these; at most their number.

    Example:
        >>> round(_alike(np.array([0.2, 0.2, 0.0])), 2), round(_alike(np.array([1.0, 0.1, 0.1])), 2)
        (2.0, 1.06)
    """
    cubes = float((gaps**3).sum())
    return float((gaps**2).sum()) ** 3 / cubes**2 if cubes > 0 else 0.0


def _groups(languages: Sequence[Items], parallel: bool) -> list[_Group]:
    """The items of each language, or of all together where languages share them."""
    share = 1 / len(languages)
    found = []
    for own in languages:
        common = own.common
        gaps = share * own.weights * (own.values - common)
        gaps[np.abs(own.values - common) < _TINY] = 0.0
        found.append(
            _Group(
                np.maximum(-gaps, 0.0),
                np.maximum(gaps, 0.0),
                share * own.weights,
                share * (common - own.lowest),
                share * (1.0 - common),
            )
        )
    if not parallel or len(found) == 1:
        return found
    below, above, weights = (
        np.sum([getattr(one, name) for one in found], axis=0) for name in ("below", "above", "weights")
    )
    down, up = sum(one.down for one in found), sum(one.up for one in found)
    least = min(one.number for one in found)
    return [_Group(below, above, weights, down, up, least)]


def _reach(groups: Sequence[_Group], level: float) -> Reach | None:
    few = [group for group in groups if group.number < FEW - 1e-6]
    if not few:
        return None
    down = max(group.one_more(group.below, group.down) for group in few)
    up = max(group.one_more(group.above, group.up) for group in few)
    below, above = (np.concatenate([getattr(one, name) for one in groups]) for name in ("below", "above"))
    if _alike(np.array([*below, *above, max(down, up)])) >= FEW + 1:
        return None
    lost = _ends(below, down, sum(group.down for group in groups), level)
    won = _ends(above, up, sum(group.up for group in groups), level)
    return Reach(100 * math.hypot(lost.above, won.below), 100 * math.hypot(lost.below, won.above))


def _ends(gaps: np.ndarray, more: float, most: float, level: float) -> Reach:
    """How far a sum of few gaps may be from the one expected.

    Args:
        gaps: The gaps, none below 0.
        more: Size of one more.
        most: What the sum cannot exceed.
        level: Coverage, as a fraction.
    """
    tail = (1 - level) / 2
    total, squares = float(gaps.sum()), float((gaps**2).sum())
    low = _end(total, squares, most, tail) if total > 0 else 0.0
    high = _end(total + more, squares + more**2, most, 1 - tail) if more > 0 else total
    return Reach(total - min(low, total), max(high, total) - total)


def _end(total: float, squares: float, most: float, share: float) -> float:
    """An end of the interval of a sum of gaps, above 0, whose squares say how large a single one is."""
    if total > most * (1 + _TINY):
        return most
    number = total**2 / squares
    others = max(0.0, number * most / total - number)
    from scipy.special import betaincinv

    return most * float(betaincinv(number, others + 1, share))
