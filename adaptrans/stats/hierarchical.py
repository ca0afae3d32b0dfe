"""Hierarchical bootstrap of a table of languages, seeds and test items. No torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def hierarchical_draws(
    scores: np.ndarray,
    errors: np.ndarray,
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    samples: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """Values of a statistic in resamples of languages, of seeds within them and of test items within both.

    Items are drawn by their normal approximation: a score moves by its standard error over items. Seeds are
    drawn in each language anew, since what is shared over languages cancels in a comparison of languages.

    Args:
        scores: One per language and seed, shape (languages, seeds).
        errors: Standard errors over test items, of the same shape; 0 where they are not known.
        statistic: From means over seeds, shape (samples, languages), and the places of the drawn languages,
            of the same shape, to one value per resample.
        samples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        The values, shape (samples,), without those that are no number.

    Example:
        >>> scores = np.arange(12.0).reshape(6, 2)
        >>> found = hierarchical_draws(scores, 0 * scores, lambda means, places: means.mean(axis=1), 500)
        >>> len(found), bool(3 < found.mean() < 8)
        (500, True)
    """
    generator = np.random.default_rng([seed, 0x48424F4F])
    languages, seeds = scores.shape
    places = generator.integers(0, languages, (samples, languages))
    drawn = generator.integers(0, seeds, (samples, languages, seeds))
    own = scores[places[:, :, None], drawn]
    noise = errors[places[:, :, None], drawn] * generator.standard_normal(own.shape)
    found = np.asarray(statistic((own + noise).mean(axis=2), places), dtype=np.float64)
    return found[np.isfinite(found)]
