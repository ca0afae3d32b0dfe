"""Bootstrap intervals and paired differences, of one seed and of several; Holm's correction."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.stats.bootstrap import resample
from adaptrans.stats.intervals import (
    SIGNIFICANT,
    SMALLEST,
    difference_over_seeds,
    holm_correction,
    interval,
    median_factor,
    median_over_seeds,
    t_quantile,
    two_sided_p,
)

ACCURACY = SCORES["accuracy"]
SQUAD = SCORES["squad"]


def right(values):
    """Counts of accuracy from 0 and 1."""
    return np.column_stack([values, np.ones(len(values))]).astype(float)


def draws(seed, n, rate=0.7):
    return (np.random.default_rng(seed).random(n) < rate).astype(float)


def test_interval_equals_a_plain_loop():
    # No more right chunks than there are.
    counts = np.sort(np.random.default_rng(3).integers(0, 5, size=(40, 3)), axis=1).astype(float)
    reduce = SCORES["chunk_f1"].reduce
    found = interval(counts, reduce, part=1, samples=200, level=0.9, seed=11)
    generator = np.random.default_rng([11])
    values = [reduce(counts[generator.integers(0, 40, size=40)].sum(axis=0))[1] for _ in range(200)]
    assert found.value == reduce(counts.sum(axis=0))[1]
    assert found.low == pytest.approx(np.quantile(values, 0.05), abs=1e-12)
    assert found.high == pytest.approx(np.quantile(values, 0.95), abs=1e-12)
    assert found.n == 40


def test_interval_is_near_the_normal_one():
    found = interval(right([1] * 700 + [0] * 300), ACCURACY.reduce)
    half = 1.96 * 100 * np.sqrt(0.7 * 0.3 / 1000)
    assert found.value == 70
    assert found.low == pytest.approx(70 - half, abs=0.4)
    assert found.high == pytest.approx(70 + half, abs=0.4)


def test_same_seed_same_interval():
    counts = right(draws(1, 300))
    assert interval(counts, ACCURACY.reduce, seed=5) == interval(counts, ACCURACY.reduce, seed=5)
    assert interval(counts, ACCURACY.reduce, seed=5) != interval(counts, ACCURACY.reduce, seed=6)


@given(st.integers(1, 60), st.sampled_from([ACCURACY, SQUAD]), st.sampled_from([1, 0]))
@settings(max_examples=20, deadline=None)
def test_all_right_or_all_wrong_has_the_width_of_clopper_and_pearson(n, score, share):
    given = [("x",)] * n if score is SQUAD else ["x"] * n
    found = interval(score.statistics(given, ["x" if share else "y"] * n), score.reduce, samples=50)
    unseen = 100 * (1 - 0.025 ** (1 / n))
    assert (found.value, found.n) == (100 * share, n)
    assert (found.low, found.high) == pytest.approx((100 - unseen, 100) if share else (0, unseen))


def test_one_example_tells_next_to_nothing():
    found = interval(SQUAD.statistics([("black cat",)], ["cat"]), SQUAD.reduce, part=1)
    assert found.value == pytest.approx(200 / 3)
    assert found.low < 5
    assert found.high > 95


def test_wider_level_holds_the_narrower():
    counts = right(draws(2, 200))
    narrow, wide = (interval(counts, ACCURACY.reduce, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_parallel_test_sets_are_drawn_jointly():
    values = draws(4, 400)
    same = {name: right(values) for name in ("de", "fr", "sw")}
    opposite = {"de": right(values), "fr": right(1 - values)}
    one = interval(right(values), ACCURACY.reduce)
    joint = median_over_seeds([same], ACCURACY.reduce, parallel=True)
    apart = median_over_seeds([same], ACCURACY.reduce, parallel=False)
    # Copies add no information when drawn jointly; apart they seem to.
    assert joint.high - joint.low == pytest.approx(one.high - one.low, rel=0.1)
    assert apart.high - apart.low == pytest.approx((one.high - one.low) / np.sqrt(3), rel=0.15)
    assert (joint.n, apart.n) == (400, 1200)
    # Exact opposites cancel in every joint draw.
    cancelled = median_over_seeds([opposite], ACCURACY.reduce, parallel=True)
    assert cancelled.low == pytest.approx(50, abs=1e-9)
    assert cancelled.high == pytest.approx(50, abs=1e-9)


@pytest.mark.parametrize("parallel", [True, False])
def test_order_of_languages_has_no_effect(parallel):
    languages = {name: right(draws(i, 100)) for i, name in enumerate(["sw", "de", "ar"])}
    backwards = dict(reversed(languages.items()))
    one, two = (median_over_seeds([d], ACCURACY.reduce, parallel=parallel) for d in (languages, backwards))
    assert one == two


def test_one_language_is_its_own_mean():
    counts = right(draws(1, 80))
    assert (
        median_over_seeds([{"de": counts}], ACCURACY.reduce, parallel=False).value
        == 100 * counts[:, 0].mean()
    )


def test_value_is_the_mean_of_language_scores_and_not_of_examples():
    languages = {"a": right([1] * 10), "b": right([0] * 1000)}
    assert median_over_seeds([languages], ACCURACY.reduce, parallel=False).value == 50


def test_identical_systems_do_not_differ():
    languages = {name: right(draws(i, 100)) for i, name in enumerate(["de", "sw"])}
    for parallel in (True, False):
        found = difference_over_seeds([languages], [languages], ACCURACY.reduce, parallel=parallel)
        assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_a_clear_difference():
    base = draws(8, 500, 0.5)
    better = np.maximum(base, draws(9, 500, 0.3))
    a, b = {"de": right(better)}, {"de": right(base)}
    found = difference_over_seeds([a], [b], ACCURACY.reduce, parallel=False)
    assert found.value == pytest.approx(100 * (better.mean() - base.mean()))
    assert 0 < found.low < found.value < found.high
    assert SMALLEST <= found.p_value < 1 / 1001
    back = difference_over_seeds([b], [a], ACCURACY.reduce, parallel=False)
    assert back.value == -found.value
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    assert back.p_value == found.p_value


def test_pairing_narrows_the_interval():
    base = draws(8, 1000, 0.5)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:20]] = 1
    paired = difference_over_seeds(
        [{"de": right(better)}], [{"de": right(base)}], ACCURACY.reduce, parallel=False
    )
    alone = interval(right(better), ACCURACY.reduce)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
    assert paired.p_value < 0.01


def test_a_clear_difference_stays_one_in_a_large_table():
    base = draws(8, 2000, 0.5)
    better = np.maximum(base, draws(9, 2000, 0.1))
    clear = difference_over_seeds(
        [{"de": right(better)}], [{"de": right(base)}], ACCURACY.reduce, parallel=False
    )
    assert max(holm_correction([clear.p_value] * 600)) < SIGNIFICANT


@pytest.mark.parametrize("gained", [8, 12, 20, 40])
def test_no_less_than_the_exact_sign_test(gained):
    better = np.zeros(1000)
    better[:gained] = 1
    found = difference_over_seeds(
        [{"de": right(better)}], [{"de": right(np.zeros(1000))}], ACCURACY.reduce, parallel=False
    )
    assert found.p_value >= min(0.05, 2.0 ** (1 - gained))


def test_few_differing_examples_prove_little():
    one = difference_over_seeds([{"de": right([1])}], [{"de": right([0])}], ACCURACY.reduce, parallel=False)
    assert (one.value, one.p_value) == (100, 1)
    four = difference_over_seeds(
        [{"de": right([1] * 4)}], [{"de": right([0] * 4)}], ACCURACY.reduce, parallel=False
    )
    assert four.p_value == 2 / 2**4


def test_opposite_differences_that_cancel_are_no_difference():
    a = {"x": right([1] * 50), "y": right([0] * 50), "z": right([1] * 50)}
    b = {"x": right([0] * 50), "y": right([1] * 50), "z": right([1] * 50)}
    found = difference_over_seeds([a], [b], ACCURACY.reduce, parallel=True)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.p_value == 1


def test_rounding_is_no_difference():
    # The means are equal, 0.1 + 0.2 against 0.3 + 0, but not to the last bit.
    constant = {value: np.tile([value, value, 1.0], (50, 1)) for value in (0.0, 0.1, 0.2, 0.3)}
    a, b = {"x": constant[0.1], "y": constant[0.2]}, {"x": constant[0.3], "y": constant[0.0]}
    found = difference_over_seeds([a], [b], SQUAD.reduce, parallel=True)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.value != 0
    assert found.p_value == 1


def test_refusals():
    a, b = right([1, 0]), right([1, 0, 1])
    reduce = ACCURACY.reduce
    with pytest.raises(AdaptransError, match="3 items in fr, 2 in de"):
        median_over_seeds([{"de": a, "fr": b}], reduce, parallel=True)
    with pytest.raises(AdaptransError, match="no scored examples in de"):
        median_over_seeds([{"de": np.zeros((0, 2))}], reduce, parallel=False)
    with pytest.raises(AdaptransError, match="no scored examples"):
        interval(np.zeros((0, 2)), reduce)
    with pytest.raises(AdaptransError, match="no language"):
        median_over_seeds([{}], reduce, parallel=True)
    with pytest.raises(AdaptransError, match="scored in fr, sw"):
        difference_over_seeds([{"de": a, "fr": a}], [{"de": a, "sw": a}], reduce, parallel=False)
    with pytest.raises(AdaptransError, match="2 and 3 examples in de"):
        difference_over_seeds([{"de": a}], [{"de": b}], reduce, parallel=False)
    with pytest.raises(ValueError, match="shape"):
        interval(np.ones(3), reduce)
    with pytest.raises(AdaptransError, match=r"level 95 is not between 0 and 1; 0\.95 means"):
        interval(a, reduce, level=95)
    with pytest.raises(AdaptransError, match="0 bootstrap samples"):
        interval(a, reduce, samples=0)


def test_memory_does_not_grow_with_samples_times_examples():
    counts = right(draws(0, 20_000))
    tracemalloc.start()
    interval(counts, ACCURACY.reduce, samples=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # 20,000 x 1,000 draws would be 160 MB


def test_one_seed_is_the_bootstrap_of_one_seed():
    rng = np.random.default_rng(1)
    a, b = ({"de": right(rng.random(80) < 0.6), "sw": right(rng.random(80) < 0.4)} for _ in range(2))
    one = median_over_seeds([a], ACCURACY.reduce, parallel=True)
    draws = resample([a], ACCURACY.reduce, 0, 1000, 0, parallel=True).means([0]).draws[0]
    assert (one.low, one.high) == tuple(np.quantile(draws, [0.05 / 2, 1 - 0.05 / 2]))
    one = difference_over_seeds([a], [b], ACCURACY.reduce, parallel=False)
    # What has no training is the same run for every seed, and not three independent ones.
    assert difference_over_seeds([a] * 3, [b] * 3, ACCURACY.reduce, parallel=False) == one


def test_the_value_is_the_median_and_the_difference_that_of_medians():
    a = [{"x": right([1] * k + [0] * (10 - k))} for k in (3, 9, 6)]
    b = [{"x": right([1] * k + [0] * (10 - k))} for k in (5, 5, 2)]
    assert median_over_seeds(a, ACCURACY.reduce, parallel=False).value == 60
    assert difference_over_seeds(a, b, ACCURACY.reduce, parallel=False).value == 10
    assert difference_over_seeds(a, b[:1], ACCURACY.reduce, parallel=False).value == 10


def test_more_spread_between_seeds_is_a_wider_interval():
    close = [{"x": right([1] * k + [0] * (200 - k))} for k in (120, 121, 122)]
    far = [{"x": right([1] * k + [0] * (200 - k))} for k in (90, 121, 152)]
    narrow, wide = (median_over_seeds(systems, ACCURACY.reduce, parallel=False) for systems in (close, far))
    assert narrow.value == wide.value
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert 0 <= wide.low < wide.high <= 100


def test_a_real_difference_is_found():
    rng = np.random.default_rng(4)
    easy = rng.normal(size=400)
    low, high = ([{"x": right(at + easy + rng.normal(size=400) > 0)} for _ in range(3)] for at in (0.0, 0.7))
    found = difference_over_seeds(high, low, ACCURACY.reduce, parallel=False)
    assert found.low > 0
    assert found.p_value < 0.01


def test_equal_seeds_of_two_runs_have_no_difference():
    one = {"x": right([1, 0, 1, 1])}
    again = {"x": right([1, 0, 1, 1])}
    found = difference_over_seeds([one, again], [one, again], ACCURACY.reduce, parallel=False)
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_the_median_varies_more_than_the_mean_by_what_is_known():
    # The variance of the median of three normal values is 0.4487 (tables of order statistics).
    assert median_factor(3) == pytest.approx(3 * 0.4487, rel=0.02)
    assert median_factor(101) == pytest.approx(math.pi / 2, rel=0.03)


def test_seeds_on_other_examples_are_refused():
    with pytest.raises(AdaptransError, match="scored on 3 and 2 examples"):
        median_over_seeds([{"x": right([1, 0, 1])}, {"x": right([1, 0])}], ACCURACY.reduce, parallel=False)
    with pytest.raises(AdaptransError, match="no seed"):
        median_over_seeds([], ACCURACY.reduce, parallel=False)


@pytest.mark.parametrize(
    ("freedom", "value"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (10, 2.228), (30, 2.042), (math.inf, 1.960)],
)
def test_quantiles_and_tails_are_those_of_the_printed_tables(freedom, value):
    assert t_quantile(0.975, freedom) == pytest.approx(value, abs=6e-4)
    assert two_sided_p(value, freedom) == two_sided_p(-value, freedom) == pytest.approx(0.05, abs=1e-4)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values):
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
