"""Regression on runs whose scores stand in languages: both are samples, and are crossed. No torch.

Every run was scored in every language, so scores are a table of languages by runs. What is estimated, a
slope, a mean or a difference, is a weighted sum of the runs' scores in each language, averaged over
languages. Its variance has two sources: languages differ in it, and runs (seeds, samples of the data) differ
in all languages at once. What is particular to one run in one language, the luck with its test items
included, is in both and counted once. Both are estimated from few values, so the interval is Student's t with
Satterthwaite's degrees of freedom for a sum of variances; p-values are also at least Cochran and Cox's.

Source: Searle, Casella and McCulloch 1992, Variance Components, crossed random effects; Satterthwaite 1946;
Cochran and Cox 1950, Experimental Designs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from adaptrans.errors import AdaptransError
from adaptrans.stats.intervals import SMALLEST, TIE, t_quantile, two_sided_p


@dataclass(frozen=True)
class Estimate:
    """An estimated value with its interval.

    Attributes:
        value: The estimate.
        se: Its standard error.
        low: Lower end of the interval.
        high: Upper end.
        p_value: Two-sided, that the value is 0.
        freedom: Degrees of freedom of the standard error.
    """

    value: float
    se: float
    low: float
    high: float
    p_value: float
    freedom: float


def estimate_of(value: float, se: float, freedom: float, level: float = 0.95) -> Estimate:
    """The interval and p-value of Student's t.

    Example:
        >>> found = estimate_of(2.0, 1.0, float("inf"))
        >>> round(found.low, 2), round(found.p_value, 4)
        (0.04, 0.0455)
    """
    width = t_quantile((1 + level) / 2, freedom) * se
    if se > 0:
        p_value = max(SMALLEST, two_sided_p(value / se, freedom))
    else:
        p_value = 1.0 if abs(value) < SMALLEST else SMALLEST
    return Estimate(float(value), float(se), float(value - width), float(value + width), p_value, freedom)


def weights_of(design: np.ndarray, term: int) -> np.ndarray:
    """Weights of the runs' scores whose sum is a coefficient of least squares.

    Args:
        design: Shape (runs, terms).
        term: Which coefficient.

    Raises:
        AdaptransError: If the other terms determine this one.

    Example:
        >>> weights_of(np.array([[1.0, 0.0], [1.0, 1.0]]), 1).round(6).tolist()
        [-1.0, 1.0]
    """
    others = np.delete(design, term, axis=1)
    column = design[:, term]
    rest = column - others @ np.linalg.lstsq(others, column, rcond=None)[0] if others.size else column
    size = float(rest @ rest)
    if size <= 1e-12 * max(1.0, float(column @ column)):
        raise AdaptransError(
            "the runs do not tell a term of the analysis from its other terms",
            remedy="add runs in which it varies by itself",
        )
    return rest / size


def crossed_regression(values: np.ndarray, design: np.ndarray, term: int, level: float = 0.95) -> Estimate:
    """A coefficient of the regression of scores on what runs differ in, averaged over languages.

    Args:
        values: Scores, shape (languages, runs), without gaps.
        design: What runs differ in, the column of ones included, shape (runs, terms).
        term: Which coefficient.
        level: Coverage, as a fraction.

    Raises:
        AdaptransError: If there are fewer than two languages, or the design does not tell the term.

    Example:
        >>> scores = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
        >>> round(crossed_regression(scores, np.array([[1.0, 0], [1, 1], [1, 2]]), 1).value, 6)
        1.0
    """
    languages, runs = values.shape
    if languages < 2:
        raise AdaptransError(
            f"an interval over languages needs two of them, there is {languages}", remedy="add languages"
        )
    weights = weights_of(design, term)
    own = values @ weights
    value = float(own.mean())
    of_languages = float(np.var(own, ddof=1)) / languages
    spare = runs - int(np.linalg.matrix_rank(design))
    of_runs = shared = 0.0
    size = float(weights @ weights)
    if spare > 0:
        rest = values - (design @ np.linalg.lstsq(design, values.T, rcond=None)[0]).T
        mean = rest.mean(axis=0)
        of_runs = float(mean @ mean) / spare * size
        apart = rest - mean
        shared = float((apart**2).sum()) / ((languages - 1) * spare) * size / languages
    # Scores that are alike but for rounding do not differ.
    nothing = (TIE * max(1.0, float(np.abs(values).max()))) ** 2 * size
    if max(of_languages, of_runs) <= nothing:
        of_languages = of_runs = shared = 0.0
        value = 0.0 if value**2 <= nothing else value
    variance = max(of_languages + of_runs - shared, of_languages, of_runs)
    below = of_languages**2 / (languages - 1)
    if spare > 0:
        below += of_runs**2 / spare + shared**2 / ((languages - 1) * spare)
    freedom = variance**2 / below if below > 0 else math.inf
    found = estimate_of(value, math.sqrt(variance), max(1.0, freedom), level)
    if variance <= 0 or spare < 1:
        return found
    # Where one part has few degrees of freedom, and comes out small by chance, Satterthwaite's are too many,
    # and far out in the tail, where a correction for many tests looks, p-values are too small: of three runs
    # 0.013 for 0.008. The mean of both parts' own p-values, weighted as Cochran and Cox do, holds there.
    apart_from_runs = max(0.0, of_languages - shared)
    share = apart_from_runs / (apart_from_runs + of_runs) if of_runs > 0 else 1.0
    t = value / math.sqrt(variance)
    both = share * two_sided_p(t, languages - 1) + (1 - share) * two_sided_p(t, spare)
    return replace(found, p_value=max(found.p_value, both))
