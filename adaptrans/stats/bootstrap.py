"""Test examples drawn with replacement, the same draws for every system that is compared. No torch.

Counts of a score add up over examples (see `adaptrans.evaluation.metrics`), so a resample is a matrix
product of how often each example was drawn with the counts, and one product serves all systems: a table of
sixty runs draws its test sets once. All results are the same for the same seed, whatever the order of the
languages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.stats.edges import Sample, Weigh, alike

Reduce = Callable[[np.ndarray], np.ndarray]
"""Sums of counts, shape (..., k), to values, shape (..., parts)."""

System = Mapping[str, np.ndarray]
"""Additive counts of one system (a seed of a setup) by language, shape (examples, k)."""

# Draws held at a time: 4 MB, whatever the number of examples and samples.
_DRAWS = 2**20

# Resamples that are drawn in one call.
_ROWS = 32

# Test sets whose draws are remembered: 65 MB at most.
_KEPT = 16

# Whole numbers below it are exact in single precision, which halves the time of a product.
_EXACT = 2**24


@dataclass(frozen=True)
class Means:
    """Scores of some systems in one language, or their means over languages.

    Attributes:
        observed: Of the whole test sets, shape (systems,), in points.
        draws: In each resample, shape (systems, samples), in points.
        n: Number of examples (of items, if languages share them).
        sample: What they were computed from, the systems as seeds of one.
    """

    observed: np.ndarray
    draws: np.ndarray
    n: int
    sample: Sample


@dataclass(frozen=True)
class Resampled:
    """Scores of systems by language, as they are and in each resample.

    Attributes:
        observed: Shape (systems, languages), in points.
        draws: Shape (systems, languages, samples), in points.
        sizes: Examples of each language.
        parallel: Whether languages share their items and draws.
        systems: Counts of each system, one array per language.
    """

    languages: tuple[str, ...]
    observed: np.ndarray
    draws: np.ndarray
    sizes: tuple[int, ...]
    parallel: bool
    systems: tuple[tuple[np.ndarray, ...], ...]
    reduce: Reduce
    part: int
    weigh: Weigh = alike

    def means(self, systems: Sequence[int], language: str | None = None) -> Means:
        """Scores in one language, or the plain means over all.

        Args:
            systems: Places of the systems.
            language: The language; None for the means.
        """
        own = list(systems)
        if language is None:
            size = self.sizes[0] if self.parallel else sum(self.sizes)
            sample = self._sample(own, slice(None))
            return Means(self._over_languages[0][own], self._over_languages[1][own], size, sample)
        place = self.languages.index(language)
        sample = self._sample(own, slice(place, place + 1))
        return Means(self.observed[own, place], self.draws[own, place], self.sizes[place], sample)

    def _sample(self, systems: Sequence[int], languages: slice) -> Sample:
        own = [self.systems[at][languages] for at in systems]
        return Sample(own, self.reduce, self.part, self.parallel, self.weigh)

    @cached_property
    def _over_languages(self) -> tuple[np.ndarray, np.ndarray]:
        number = len(self.languages)
        return self.observed.sum(axis=1) / number, self.draws.sum(axis=1) / number


def resample(
    systems: Sequence[System],
    reduce: Reduce,
    part: int,
    samples: int,
    seed: int,
    *,
    parallel: bool,
    weigh: Weigh = alike,
) -> Resampled:
    """Draw the test sets again and again, and score every system on each draw.

    Args:
        systems: Counts of each system, all of the same languages and examples.
        reduce: Sums of counts to values.
        part: Which of the values.
        samples: Number of resamples.
        seed: Seed of the resampling.
        parallel: Whether row i is the same item in every language. Items are then drawn once for all
            languages, which keeps their correlation; otherwise each language is drawn on its own.
        weigh: Weight of each example in the value, for intervals of few differing examples.
    """
    names = sorted(systems[0])
    sizes = tuple(len(systems[0][name]) for name in names)
    observed = np.empty((len(systems), len(names)))
    draws = np.empty((len(systems), len(names), samples))
    for group in [range(len(names))] if parallel else [[at] for at in range(len(names))]:
        stream = "" if parallel else names[group[0]]
        columns = {at: _Columns.of([own[names[at]] for own in systems]) for at in group}
        for at, counts in columns.items():
            observed[:, at] = values_of(counts.totals, reduce, part)
        for start, times in _blocks(seed, stream, sizes[group[0]], samples):
            for at, counts in columns.items():
                values = values_of(counts.resampled(times), reduce, part)
                draws[:, at, start : start + len(times)] = values.T
    own = tuple(tuple(system[name] for name in names) for system in systems)
    return Resampled(tuple(names), observed, draws, sizes, parallel, own, reduce, part, weigh)


@dataclass(frozen=True)
class _Columns:
    """Counts of several systems in one language, columns that all share once.

    Numbers of examples or of reference chunks are the same in every system.

    Attributes:
        shared: Which of a system's k columns all systems share.
        counts: The shared columns, then the others of each system, shape (examples, columns).
    """

    systems: int
    shared: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, systems: Sequence[np.ndarray]) -> _Columns:
        """Put systems side by side."""
        first = systems[0]
        shared = np.ones(first.shape[1], dtype=bool)
        for own in systems[1:]:
            shared &= (own == first).all(axis=0)
        counts = np.hstack([first[:, shared], *(own[:, ~shared] for own in systems)])
        exact = np.abs(counts).max(initial=0) * len(counts) < _EXACT and np.array_equal(
            counts, np.rint(counts)
        )
        return cls(len(systems), shared, counts.astype(np.float32 if exact else np.float64, copy=False))

    @property
    def totals(self) -> np.ndarray:
        """Sums over the whole test set, shape (systems, k)."""
        return self._apart(self.counts.sum(axis=0, dtype=np.float64)[None])[0]

    def resampled(self, times: np.ndarray) -> np.ndarray:
        """Sums over resamples, shape (samples, systems, k).

        Args:
            times: How often each example was drawn, shape (samples, examples).
        """
        return self._apart(times.astype(self.counts.dtype, copy=False) @ self.counts)

    def _apart(self, sums: np.ndarray) -> np.ndarray:
        common, columns = int(self.shared.sum()), len(self.shared)
        found = np.empty((len(sums), self.systems, columns))
        found[:, :, self.shared] = sums[:, None, :common]
        found[:, :, ~self.shared] = sums[:, common:].reshape(len(sums), self.systems, columns - common)
        return found


def _blocks(seed: int, stream: str, n: int, samples: int) -> Iterator[tuple[int, np.ndarray]]:
    """How often each of n rows is drawn, some resamples at a time, each with the first one's number."""
    step = max(1, _DRAWS // n)
    if samples <= step:
        yield 0, _kept_draws(seed, stream, n, samples)
        return
    generator = _generator(seed, stream)
    for start in range(0, samples, step):
        yield start, _draws(generator, n, min(step, samples - start))


@lru_cache(maxsize=_KEPT)
def _kept_draws(seed: int, stream: str, n: int, samples: int) -> np.ndarray:
    """The draws of a small test set, which further tables of it share."""
    return _draws(_generator(seed, stream), n, samples)


def _draws(generator: np.random.Generator, n: int, samples: int) -> np.ndarray:
    """How often each of n rows is drawn in each resample, shape (samples, n)."""
    times = np.empty((samples, n), dtype=np.float32)
    for start in range(0, samples, _ROWS):
        rows = times[start : start + _ROWS]
        for row, drawn in zip(rows, generator.integers(0, n, size=rows.shape), strict=True):
            row[:] = np.bincount(drawn, minlength=n)
    return times


def _generator(seed: int, stream: str) -> np.random.Generator:
    """A stream per language, so that adding a language leaves the draws of the others."""
    return np.random.default_rng([seed, *stream.encode()])


def values_of(sums: np.ndarray, reduce: Reduce, part: int) -> np.ndarray:
    """One of the values of sums of counts."""
    return np.asarray(reduce(sums))[..., part]


def check_options(samples: int, level: float) -> None:
    """Refuse options of a bootstrap that cannot be."""
    if samples < 1:
        raise AdaptransError(f"{samples} bootstrap samples", remedy="take one or more, usually 1000")
    if not 0 < level < 1:
        raise AdaptransError(f"level {level} is not between 0 and 1", remedy="0.95 means 95 %")


def check_examples(languages: System, parallel: bool) -> None:
    """Refuse what cannot be resampled."""
    if not languages:
        raise AdaptransError("no language to average over", remedy="score one language or more")
    for name, counts in languages.items():
        place = f" in {name}" if name else ""
        if counts.ndim != 2:
            raise ValueError(f"counts{place} have shape {counts.shape}, expected (examples, k)")
        if len(counts) == 0:
            raise AdaptransError(f"no scored examples{place}", remedy="check the split and limit")
    sizes = {name: len(counts) for name, counts in languages.items()}
    smallest, largest = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if parallel and sizes[smallest] != sizes[largest]:
        raise AdaptransError(
            f"a parallel test set has {sizes[largest]} items in {largest}, {sizes[smallest]} in {smallest}",
            remedy="score every language in full, or state parallel: false in the task",
        )


def check_pairs(a: System, b: System) -> None:
    """Refuse two systems that were not scored on the same examples."""
    if list(a) != list(b):
        only = sorted(set(a) ^ set(b))
        raise AdaptransError(
            f"only one of two compared systems was scored in {', '.join(only)}",
            remedy="score both in the same languages",
        )
    for name in a:
        if a[name].shape != b[name].shape:
            raise AdaptransError(
                f"compared systems were scored on {len(a[name])} and {len(b[name])} examples in {name}",
                remedy="score both on the same examples with the same score",
            )
