"""Holm's correction by its definition, and what it promises."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.stats.intervals import holm_correction


@given(st.lists(st.floats(0, 1), max_size=12))
def test_it_rejects_what_the_step_down_procedure_rejects(p_values):
    found = holm_correction(p_values)
    assert all(after >= before for after, before in zip(found, p_values, strict=True))
    rejected = set()
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - place) >= 0.05:
            break
        rejected.add(index)
    assert {i for i, p_value in enumerate(found) if p_value < 0.05} == rejected


def test_the_chance_of_any_false_mark_in_a_table_is_at_most_nominal():
    rng = np.random.default_rng(2)
    tables = rng.random((2000, 20))
    marked = np.mean([min(holm_correction(row)) < 0.05 for row in tables])
    assert marked <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert np.mean([row.min() < 0.05 for row in tables]) > 0.5
