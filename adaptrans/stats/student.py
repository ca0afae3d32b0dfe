"""Student's t and the beta distribution: tails and quantiles. No torch."""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

NORMAL = 1e6
"""Degrees of freedom beyond which t is the normal distribution."""


def two_sided(t: float, freedom: float) -> float:
    """Probability of a value at least as far from 0.

    Args:
        t: The value.
        freedom: Degrees of freedom, above 0.

    Example:
        >>> round(two_sided(2.0, 10), 4), round(two_sided(-1.96, math.inf), 4)
        (0.0734, 0.05)
    """
    if freedom > NORMAL:
        return math.erfc(abs(t) / math.sqrt(2))
    return beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def quantile(share: float, freedom: float) -> float:
    """The value below which a share of the distribution lies, a share above one half.

    Example:
        >>> round(quantile(0.975, 2), 3), round(quantile(0.975, math.inf), 3)
        (4.303, 1.96)
    """
    # Three figures of the degrees of freedom are more than an estimate of them has.
    return _quantile(share, math.inf if freedom > NORMAL else float(f"{freedom:.4g}"))


@functools.lru_cache(maxsize=4096)
def _quantile(share: float, freedom: float) -> float:
    tails = 2 * (1 - share)
    # The beginning of the expansion of t around the normal quantile (Abramowitz and Stegun 26.7.5).
    z = NormalDist().inv_cdf(share)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    low, high = 0.0, math.inf
    for _ in range(100):
        over = two_sided(t, freedom) - tails
        low, high = (t, high) if over > 0 else (low, t)
        # Newton's step, or one within the bracket where it leads out of it.
        step = t + over / (2 * _density(t, freedom))
        step = step if low < step < high else min(2 * t, (low + high) / 2)
        if abs(step - t) <= 1e-9 * t:
            return step
        t = step
    return t


def _density(t: float, freedom: float) -> float:
    """Density of Student's t."""
    if math.isinf(freedom):
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    half = (freedom + 1) / 2
    scale = math.lgamma(half) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    return math.exp(scale - half * math.log1p(t * t / freedom))


@functools.lru_cache(maxsize=4096)
def beta_quantile(share: float, a: float, b: float) -> float:
    """The value below which a share of a beta distribution lies.

    Example:
        >>> round(beta_quantile(0.025, 50, 1), 4), round(beta_quantile(0.5, 3, 3), 4)
        (0.9289, 0.5)
    """
    low, high = 0.0, 1.0
    # Near 0 the middle is that of the exponents, so that small values get as many figures.
    for _ in range(200):
        middle = math.sqrt(low * high) if low > 0 and high < 0.5 else (low + high) / 2
        if beta(middle, a, b) < share:
            low = middle
        else:
            high = middle
        if high - low <= 1e-10 * high:
            break
    return (low + high) / 2


def beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    # Its fraction converges on one side of this; the other side is the same with a and b changed.
    if x > (a + 1) / (a + b + 2):
        return 1 - _fraction(1 - x, b, a)
    return _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    logarithm = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    tiny = 1e-300
    # Lentz's method: numerators and denominators of the convergents as ratios of neighbors.
    c, d = 1.0, 1.0 / _not_zero(1 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _not_zero(1 + term * d, tiny)
            c = _not_zero(1 + term / c, tiny)
            value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return math.exp(logarithm) * value / a


def _not_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
