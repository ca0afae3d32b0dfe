"""Student's t against values of printed tables and against the normal distribution."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.stats.student import beta, beta_quantile, quantile, two_sided


@pytest.mark.parametrize(
    ("freedom", "value"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (10, 2.228), (30, 2.042), (math.inf, 1.960)],
)
def test_quantiles_of_the_tables(freedom, value):
    assert quantile(0.975, freedom) == pytest.approx(value, abs=6e-4)
    assert two_sided(value, freedom) == pytest.approx(0.05, abs=1e-4)


@given(st.floats(0, 30), st.floats(0.5, 1e5))
def test_tails_fall_and_lie_above_the_normal_one(t, freedom):
    found = two_sided(t, freedom)
    assert 0 <= found <= 1
    assert found == two_sided(-t, freedom)
    assert two_sided(t + 0.5, freedom) <= found
    assert found >= two_sided(t, math.inf) - 1e-9


def test_one_degree_of_freedom_is_cauchy():
    for t in (0.0, 0.3, 1.0, 7.0):
        assert two_sided(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(t), abs=1e-12)


def test_the_beta_function_has_a_value_where_its_fraction_changes_sides():
    for a in (1.0, 2.7, 3.1, 7.9, 13.3):
        for b in (0.9, 1.0, 26.3, 101.7):
            x = (a + 1) / (a + b + 2)
            for place in (x, math.nextafter(x, 0), math.nextafter(x, 1)):
                assert 0 < beta(place, a, b) < 1
                assert beta(place, a, b) + beta(1 - place, b, a) == pytest.approx(1)


@pytest.mark.parametrize("share", [0.025, 0.5, 0.975])
def test_a_beta_quantile_has_so_much_below_it(share):
    for a, b in ((1, 1), (0.7, 40.2), (11.0, 990.0), (50.0, 1.0), (300.5, 0.5)):
        assert beta(beta_quantile(share, a, b), a, b) == pytest.approx(share, abs=1e-6)
