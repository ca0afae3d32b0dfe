"""How often 95 % intervals hold the truth near 0 and 100 points: the tables of docs/explanation/numbers.md.

    python tests/benchmarks/edge_coverage.py [--trials 4000] [--only accuracy,...] [--plain]

Each cell draws that many test sets from a population whose truth is known (seeds are fixed, so the same
numbers come out), computes the interval as a user would, and prints the share of intervals that hold the
truth, in percent, and their mean width in points. `--plain` prints the percentile bootstrap alone, without
what is done where few items differ. Some of the cells are a test (tests/stats/test_edges.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np

from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.score import Score
from adaptrans.stats import edges
from adaptrans.stats.bootstrap import resample
from adaptrans.stats.intervals import difference_of_medians, median_of, spread_of

RATES = (0.9, 0.95, 0.97, 0.98, 0.99, 1.0)
SIZES = (20, 50, 100, 200, 500, 1000)
BATCH = 250

Counts = list[np.ndarray]
"""Counts of each language, shape (trials x systems of a trial, examples, k)."""


def right(values: np.ndarray) -> np.ndarray:
    """Counts of accuracy."""
    return np.stack([values, np.ones(values.shape)], axis=-1).astype(float)


def one_language(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """Accuracy of independent answers."""
    return [right(rng.random((trials, n)) < rate)]


def five_languages(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """Five languages with examples of their own, n in each."""
    return [right(rng.random((trials, n)) < rate) for _ in range(5)]


def unequal_languages(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """A language of n examples beside one of 1,000."""
    return [right(rng.random((trials, size)) < rate) for size in (n, 1000)]


def parallel_languages(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """Five languages that share their items: half of the wrong ones are wrong in all."""
    wrong = 1 - np.sqrt(rate)
    everywhere = rng.random((trials, n)) >= wrong
    return [right(everywhere & (rng.random((trials, n)) >= wrong)) for _ in range(5)]


def question_scores(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """F1 of answers: right, or between 0 and 1; a third of the others are wholly wrong."""
    value = np.where(rng.random((trials, n)) < 1 / 3, 0.0, rng.random((trials, n)))
    f1 = np.where(rng.random((trials, n)) < 1 - 1.5 * (1 - rate), 1.0, value)
    return [np.stack([f1, f1, np.ones(f1.shape)], axis=-1)]


def chunk_scores(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """Micro F1 over sentences of unequal length, each chunk found with the same chance."""
    gold = 1 + rng.poisson(3, (trials, n))
    return [np.stack([rng.binomial(gold, rate), gold, gold], axis=-1).astype(float)]


def bad_sentences(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """Micro F1 where a sentence is wholly right, or half of its chunks are found."""
    gold = 1 + rng.poisson(3, (trials, n))
    bad = rng.random((trials, n)) < 2 * (1 - rate)
    return [np.stack([np.where(bad, rng.binomial(gold, 0.5), gold), gold, gold], axis=-1).astype(float)]


def reciprocal_ranks(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """Mean reciprocal rank: what is not first is second to 20th, or not there."""
    ranks = 1 / rng.integers(2, 21, (trials, n)) * (rng.random((trials, n)) < 0.7)
    mean = 0.7 * np.mean(1 / np.arange(2, 21))
    first = rng.random((trials, n)) < 1 - (1 - rate) / (1 - mean)
    return [right(np.where(first, 1.0, ranks))]


def three_seeds(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """Three seeds of one rate; half of the wrong answers are wrong for all."""
    wrong = 1 - np.sqrt(rate)
    everywhere = np.repeat(rng.random((trials, n)) >= wrong, 3, axis=0)
    return [right(everywhere & (rng.random((3 * trials, n)) >= wrong))]


def two_systems(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """Two systems on the same examples; of the examples as many differ as the rate leaves, evenly."""
    kind = rng.random((trials, n))
    a = kind >= (1 - rate) / 2
    b = a ^ (kind < 1 - rate)
    return [right(np.stack([a, b], axis=1).reshape(2 * trials, n))]


def better_system(rng: np.random.Generator, rate: float, n: int, trials: int) -> Counts:
    """The same, of which one is never the worse."""
    b = rng.random((trials, n)) < rate
    return [right(np.stack([np.ones((trials, n), bool), b], axis=1).reshape(2 * trials, n))]


Make = Callable[[np.random.Generator, float, int, int], Counts]
Truth = Callable[[float], float]

CASES: dict[str, tuple[str, Make, int, bool, Truth]] = {
    "accuracy": ("accuracy", one_language, 1, False, lambda rate: 100 * rate),
    "five languages": ("accuracy", five_languages, 1, False, lambda rate: 100 * rate),
    "unequal languages": ("accuracy", unequal_languages, 1, False, lambda rate: 100 * rate),
    "parallel languages": ("accuracy", parallel_languages, 1, True, lambda rate: 100 * rate),
    "question F1": ("squad", question_scores, 1, False, lambda rate: 100 * rate),
    "chunk F1": ("chunk_f1", chunk_scores, 1, False, lambda rate: 100 * rate),
    "chunk F1 of bad sentences": ("chunk_f1", bad_sentences, 1, False, lambda rate: 100 * rate),
    "reciprocal rank": ("mrr_at_20", reciprocal_ranks, 1, False, lambda rate: 100 * rate),
    "three seeds": ("accuracy", three_seeds, 3, False, lambda rate: 100 * rate),
    "equal systems": ("accuracy", two_systems, 2, False, lambda _: 0.0),
    "better system": ("accuracy", better_system, 2, False, lambda rate: 100 * (1 - rate)),
}
"""Score, population, systems of a trial, whether languages share items, and truth, by name of the table."""

PAIRED = ("equal systems", "better system")


def bounds(
    case: str, rate: float, n: int, trials: int, samples: int = 1000
) -> Iterator[tuple[float, float, float]]:
    """Ends of each trial's interval, and the p-value of a difference (1 where there is none)."""
    name, make, systems, parallel, _ = CASES[case]
    rule: Score = SCORES[name]
    for start in range(0, trials, BATCH):
        rng = np.random.default_rng([start, n, round(1000 * rate), *case.encode()])
        number = min(BATCH, trials - start)
        languages = make(rng, rate, n, number)
        every = [
            {str(at): own[place] for at, own in enumerate(languages)} for place in range(number * systems)
        ]
        found = resample(every, rule.reduce, 0, samples, start, parallel=parallel, weigh=rule.weigh)
        for first in range(0, number * systems, systems):
            if case in PAIRED:
                a, b = (spread_of(found.means([at])) for at in (first, first + 1))
                gap = difference_of_medians(a, b)
                yield gap.low, gap.high, gap.p_value
            else:
                own = median_of(spread_of(found.means(range(first, first + systems))))
                yield own.low, own.high, 1.0


def coverage(case: str, rate: float, n: int, trials: int, samples: int = 1000) -> tuple[float, float, float]:
    """Share of intervals that hold the truth, their mean width, and the share of marked differences."""
    truth = CASES[case][-1](rate)
    low, high, p_values = np.array(list(bounds(case, rate, n, trials, samples))).T
    held = (low <= truth + 1e-9) & (truth - 1e-9 <= high)
    return float(held.mean()), float((high - low).mean()), float((p_values < 0.05).mean())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--plain", action="store_true")
    asked = parser.parse_args()
    if asked.plain:
        edges.Sample.reach = lambda *_: None  # type: ignore[method-assign]
    for case in asked.only.split(","):
        print(f"\n| {case} | {' | '.join(f'n = {n:,}' for n in SIZES)} |")
        print(f"|---{'|---:' * len(SIZES)}|")
        marked = []
        for rate in RATES:
            cells = []
            for n in SIZES:
                held, width, share = coverage(case, rate, n, asked.trials, asked.samples)
                cells.append(f"{100 * held:.1f} ({width:.1f})")
                marked.append(share)
            print(f"| {rate:.2f} | {' | '.join(cells)} |", flush=True)
        if case == "equal systems":
            print(f"marked at most: {100 * max(marked):.1f} %")


if __name__ == "__main__":
    main()
