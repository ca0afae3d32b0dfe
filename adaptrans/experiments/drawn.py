"""The runs of one table, their test sets resampled once for all of them. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from adaptrans.evaluation.metrics import Score
from adaptrans.evaluation.resampling import Resampled, System, differing_examples, resample
from adaptrans.evaluation.results import load_statistics
from adaptrans.evaluation.seeds import Spread, difference_of_medians, median_of, spread_of
from adaptrans.evaluation.statistics import Difference, Interval
from adaptrans.hub.store import Run


@dataclass(frozen=True)
class Drawn:
    """Runs that were scored on the same examples.

    Args:
        places: Where each run stands in `counts` and `scores`, by its folder.
        counts: Counts of each run.
        scores: Their scores, as observed and in each resample.
        spreads: Medians over seeds that were asked for, by the seeds' places and the language.
    """

    places: Mapping[Path, int]
    counts: tuple[System, ...]
    scores: Resampled
    spreads: dict[tuple[tuple[int, ...], str | None], Spread] = field(default_factory=dict, repr=False)

    def observed(self, runs: Sequence[Run], language: str | None = None) -> list[float]:
        """Score of each run in a language, or its mean over languages."""
        return [float(value) for value in self.scores.means(self._places(runs), language).observed]

    def median(self, runs: Sequence[Run], language: str | None = None) -> Interval:
        """Median over seeds of the score in a language, or of the mean over languages."""
        return median_of(self._spread(self._places(runs), language))

    def difference(self, a: Sequence[Run], b: Sequence[Run], language: str | None = None) -> Difference:
        """Difference of the medians over seeds of two setups, paired by example."""
        places = [self._places(runs) for runs in (a, b)]
        one, other = ([self._only(at, language) for at in own] for own in places)
        differing = differing_examples(one, other, self.scores.parallel)
        first, second = (self._spread(own, language) for own in places)
        return difference_of_medians(first, second, differing)

    def _spread(self, places: tuple[int, ...], language: str | None) -> Spread:
        key = (places, language)
        if key not in self.spreads:
            self.spreads[key] = spread_of(self.scores.means(places, language))
        return self.spreads[key]

    def _places(self, runs: Sequence[Run]) -> tuple[int, ...]:
        """Where runs stand; one that answers for several seeds stands once."""
        return tuple(dict.fromkeys(self.places[run.path] for run in runs))

    def _only(self, place: int, language: str | None) -> System:
        own = self.counts[place]
        return own if language is None else {language: own[language]}


def drawn(
    runs: Sequence[Run], rule: Score, languages: Sequence[str], samples: int, *, parallel: bool | None
) -> Drawn:
    """Load the counts of runs and resample them.

    Args:
        runs: The runs; each is taken once.
        rule: The score.
        languages: Languages that all runs were scored in, on the same data.
        samples: Number of resamples.
        parallel: Whether row i is the same item in every language; items are drawn jointly only where
            languages are of one size too.
    """
    own = {run.path: run for run in runs}
    counts = tuple(
        {code: _compact(load_statistics(run, code, rule.name)) for code in languages} for run in own.values()
    )
    jointly = bool(parallel) and len({len(rows) for rows in counts[0].values()}) == 1
    scores = resample(counts, rule.reduce, 0, samples, 0, parallel=jointly, weigh=rule.weigh)
    return Drawn({path: place for place, path in enumerate(own)}, counts, scores)


def _compact(counts: np.ndarray) -> np.ndarray:
    """Counts in half of the memory, where they are the same numbers there."""
    small = counts.astype(np.float32)
    return small if np.array_equal(small, counts) else counts
