"""What intervals and p-values promise, held against populations whose truth is known.

Trials are drawn together and resampled together: the draws have nothing to do with the data, so each trial is
what a user would have computed alone. ADAPTRANS_TRIALS asks for more trials than the quick default.
"""

import os
from statistics import NormalDist

import numpy as np
import pytest

from adaptrans.evaluation.metrics import SCORES
from adaptrans.stats.bootstrap import resample
from adaptrans.stats.intervals import difference_of_medians, holm_correction, median_of, spread_of

TRIALS = int(os.environ.get("ADAPTRANS_TRIALS", "1000"))
BATCH = 250
SAMPLES = 400
PHI = NormalDist().cdf


def right(values):
    return np.stack([values, np.ones(values.shape)], axis=-1).astype(float)


def accuracy(rng, trials, seeds):
    """Examples that are independent; one language."""
    return 70.0, [right(rng.random((trials * seeds, 300)) < 0.7)]


def chunk_f1(rng, trials, seeds):
    """Micro F1: sentences of unequal length, 60 % of the gold chunks found, one wrong chunk each."""
    gold = 1 + rng.poisson(3, (trials * seeds, 300))
    correct = rng.binomial(gold, 0.6)
    found = correct + rng.poisson(1, gold.shape)
    return 100 * 2 * 2.4 / (3.4 + 4), [np.stack([correct, found, gold], axis=-1).astype(float)]


def squad(rng, trials, seeds):
    """A value between 0 and 1 for each question, often one of the ends."""
    shape = (trials * seeds, 300)
    kind, value = rng.random(shape), rng.random(shape)
    f1 = np.where(kind < 0.3, 0.0, np.where(kind < 0.7, 1.0, value))
    return 55.0, [np.stack([f1, kind < 0, np.ones(shape)], axis=-1).astype(float)]


def latent(rng, trials, seeds, languages=1, spread=0.0, items=200):
    """Examples that are easy or hard in every language and for every seed; seeds that are good or bad."""
    at = [0.6, 0.2, 1.0, -0.3, 0.8][:languages]
    easy = np.repeat(rng.normal(size=(trials, items)) * 1.2, seeds, axis=0)
    good = rng.normal(size=(trials * seeds, 1)) * spread
    counts = [right(level + easy + good + rng.normal(size=easy.shape) > 0) for level in at]
    # The median seed has no luck.
    return 100 * np.mean([PHI(level / np.sqrt(1 + 1.2**2)) for level in at]), counts


def apart(rng, trials, seeds):
    """Languages with examples of their own."""
    sizes = ((0.8, 100), (0.5, 200), (0.6, 150))
    return 100 * 1.9 / 3, [right(rng.random((trials * seeds, n)) < rate) for rate, n in sizes]


CASES = {
    "accuracy": ("accuracy", accuracy, 1, False),
    "micro F1": ("chunk_f1", chunk_f1, 1, False),
    "mean of question scores": ("squad", squad, 1, False),
    "mean of parallel languages": ("accuracy", lambda *a: latent(*a, languages=5), 1, True),
    "mean of other languages": ("accuracy", apart, 1, False),
    "three seeds that hardly differ": ("accuracy", lambda *a: latent(*a, spread=0.02), 3, False),
    "three seeds": ("accuracy", lambda *a: latent(*a, languages=3, spread=0.1), 3, True),
    "five seeds that differ much": ("accuracy", lambda *a: latent(*a, spread=0.3), 5, False),
}


def batches(case):
    """The truth, and scores of some trials as observed and resampled."""
    name, make, seeds, parallel = CASES[case]
    rule = SCORES[name]
    part = rule.parts.index("f1") if "f1" in rule.parts else 0
    for start in range(0, TRIALS, BATCH):
        rng = np.random.default_rng([start, len(case)])
        truth, languages = make(rng, BATCH, seeds)
        systems = [
            {str(at): own[number] for at, own in enumerate(languages)} for number in range(BATCH * seeds)
        ]
        yield truth, resample(systems, rule.reduce, part, SAMPLES, start, parallel=parallel)


def trials(found, seeds):
    """The median over the seeds of each trial."""
    for start in range(0, len(found.observed), seeds):
        yield spread_of(found.means(range(start, start + seeds)))


def error(rate, number):
    return 3 * np.sqrt(rate * (1 - rate) / number)


@pytest.mark.parametrize("case", CASES)
def test_intervals_cover_and_differences_of_equals_are_rarely_marked(case):
    seeds = CASES[case][2]
    covered, marked, pairs, number = 0, 0, 0, 0
    for truth, found in batches(case):
        every = list(trials(found, seeds))
        for own in every:
            bounds = median_of(own)
            covered += bounds.low <= truth <= bounds.high
            number += 1
        # Trials of one batch were drawn alike, so two of them differ by chance alone.
        for own, other in zip(every[::2], every[1::2], strict=True):
            marked += difference_of_medians(own, other).p_value < 0.05
            pairs += 1
    print(f"{case}: covered {covered / number:.3f} of {number}, marked {marked / pairs:.3f} of {pairs}")
    assert 0.93 <= covered / number <= 0.97
    assert marked / pairs <= 0.05 + error(0.05, pairs)


def table(rng, seeds):
    """P-values of a table without any true difference: six setups against a baseline on three targets."""
    p_values = []
    for target in range(3):
        easy = rng.normal(size=150)
        systems = [{"x": right(easy + 0.5 + rng.normal(size=150) > 0)} for _ in range(7 * seeds)]
        found = resample(systems, SCORES["accuracy"].reduce, 0, SAMPLES, target, parallel=False)
        base, *others = trials(found, seeds)
        p_values += [difference_of_medians(own, base).p_value for own in others]
    return p_values


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_table_without_differences_rarely_has_a_mark(seeds):
    number = max(120, TRIALS // 10)
    alone, corrected = 0, 0
    for trial in range(number):
        p_values = table(np.random.default_rng([trial, seeds]), seeds)
        alone += min(p_values) < 0.05
        corrected += min(holm_correction(p_values)) < 0.05
    print(
        f"{seeds} seeds: any mark {alone / number:.3f} alone, {corrected / number:.3f} corrected, of {number}"
    )
    assert corrected / number <= 0.05 + error(0.05, number)
    # Without correction the promise would be broken.
    assert alone / number > 0.2
