"""Many systems resampled together, against each alone and against plain drawing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.results import load_statistics, statistics_path
from adaptrans.runs.store import Run
from adaptrans.stats.bootstrap import resample
from adaptrans.stats.edges import Sample

F1 = SCORES["chunk_f1"]


def systems(number, sizes, whole=True):
    """Counts of some systems; the gold counts are the same in all."""
    found = []
    for own in range(number):
        rng = np.random.default_rng(own)
        made = {}
        for name, n in sizes.items():
            gold = np.random.default_rng([n]).integers(1, 5, n)
            right = rng.integers(0, gold + 1) * (1.0 if whole else 0.3)
            made[name] = np.stack([right, right + rng.integers(0, 2, n), gold], axis=1).astype(float)
        found.append(made)
    return found


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_together_is_as_alone(parallel, whole):
    own = systems(4, {"de": 70, "sw": 70 if parallel else 40}, whole)
    together = resample(own, F1.reduce, 0, 50, 3, parallel=parallel)
    for number, system in enumerate(own):
        alone = resample([system], F1.reduce, 0, 50, 3, parallel=parallel)
        assert together.observed[number] == pytest.approx(alone.observed[0])
        assert together.draws[number] == pytest.approx(alone.draws[0])


def test_it_is_drawing_with_replacement():
    (own,) = systems(1, {"de": 30})
    found = resample([own], F1.reduce, 0, 20, 5, parallel=False)
    rng = np.random.default_rng([5, *b"de"])
    for value in found.draws[0, 0]:
        drawn = own["de"][rng.integers(0, 30, size=30)]
        assert value == pytest.approx(F1.reduce(drawn.sum(axis=0))[0])
    assert found.observed[0, 0] == pytest.approx(F1.reduce(own["de"].sum(axis=0))[0])


def test_means_are_over_languages():
    found = resample(systems(3, {"de": 50, "sw": 20}), F1.reduce, 0, 10, 1, parallel=False)
    whole = found.means([2, 0])
    assert whole.observed == pytest.approx(found.observed[[2, 0]].mean(axis=1))
    assert whole.draws == pytest.approx(found.draws[[2, 0]].mean(axis=1))
    assert (whole.n, found.means([1], "sw").n) == (70, 20)
    assert found.means([1], "sw").draws == pytest.approx(found.draws[1:2, 1])


def test_large_counts_stay_exact():
    large = {"de": np.column_stack([np.full(40, 2.0**22 + 1), np.full(40, 2.0**22 + 3)])}
    found = resample([large], SCORES["accuracy"].reduce, 0, 5, 1, parallel=False)
    assert found.draws == pytest.approx(100 * (2**22 + 1) / (2**22 + 3), rel=1e-12)


@given(st.integers(0, 200), st.integers(1, 2500))
@settings(max_examples=25)
def test_differing_examples_are_counted_up_to_what_matters(number, n):
    number = min(number, n)
    base = np.zeros((n, 1))
    other = base.copy()
    other[np.random.default_rng(n).permutation(n)[:number]] = 1

    def differing(a, b, parallel):
        one, two = (Sample(seeds, F1.reduce, 0, parallel) for seeds in (a, b))
        return one.beside(two).differing()

    found = differing([[base]], [[other]], False)
    assert found == number or 60 <= found <= number
    # Seeds are averaged before they are compared.
    assert differing([[base], [other]], [[other], [base]], True) == 0


@pytest.mark.parametrize("order", ["C", "F"])
def test_counts_are_read_as_they_were_written(tmp_path, order):
    run = Run("evaluate", "x", "0" * 12, tmp_path)
    values = np.asarray(np.random.default_rng(1).random((7, 3)), order=order)
    path = statistics_path(run, "de", "accuracy")
    path.parent.mkdir()
    np.save(path, values)
    assert np.array_equal(load_statistics(run, "de", "accuracy"), values)
