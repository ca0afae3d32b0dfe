"""Bootstrap intervals and paired differences."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.stats.intervals import (
    SIGNIFICANT,
    SMALLEST,
    holm_correction,
    interval,
    mean_interval,
    paired_difference,
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
    joint = mean_interval(same, ACCURACY.reduce, parallel=True)
    apart = mean_interval(same, ACCURACY.reduce, parallel=False)
    # Copies add no information when drawn jointly; apart they seem to.
    assert joint.high - joint.low == pytest.approx(one.high - one.low, rel=0.1)
    assert apart.high - apart.low == pytest.approx((one.high - one.low) / np.sqrt(3), rel=0.15)
    assert (joint.n, apart.n) == (400, 1200)
    # Exact opposites cancel in every joint draw.
    cancelled = mean_interval(opposite, ACCURACY.reduce, parallel=True)
    assert cancelled.low == pytest.approx(50, abs=1e-9)
    assert cancelled.high == pytest.approx(50, abs=1e-9)


@pytest.mark.parametrize("parallel", [True, False])
def test_order_of_languages_has_no_effect(parallel):
    languages = {name: right(draws(i, 100)) for i, name in enumerate(["sw", "de", "ar"])}
    backwards = dict(reversed(languages.items()))
    one, two = (mean_interval(d, ACCURACY.reduce, parallel=parallel) for d in (languages, backwards))
    assert one == two


def test_one_language_is_its_own_mean():
    counts = right(draws(1, 80))
    assert mean_interval({"de": counts}, ACCURACY.reduce, parallel=False).value == 100 * counts[:, 0].mean()


def test_value_is_the_mean_of_language_scores_and_not_of_examples():
    languages = {"a": right([1] * 10), "b": right([0] * 1000)}
    assert mean_interval(languages, ACCURACY.reduce, parallel=False).value == 50


def test_identical_systems_do_not_differ():
    languages = {name: right(draws(i, 100)) for i, name in enumerate(["de", "sw"])}
    for parallel in (True, False):
        found = paired_difference(languages, languages, ACCURACY.reduce, parallel=parallel)
        assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_a_clear_difference():
    base = draws(8, 500, 0.5)
    better = np.maximum(base, draws(9, 500, 0.3))
    a, b = {"de": right(better)}, {"de": right(base)}
    found = paired_difference(a, b, ACCURACY.reduce, parallel=False)
    assert found.value == pytest.approx(100 * (better.mean() - base.mean()))
    assert 0 < found.low < found.value < found.high
    assert SMALLEST <= found.p_value < 1 / 1001
    back = paired_difference(b, a, ACCURACY.reduce, parallel=False)
    assert back.value == -found.value
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    assert back.p_value == found.p_value


def test_pairing_narrows_the_interval():
    base = draws(8, 1000, 0.5)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:20]] = 1
    paired = paired_difference({"de": right(better)}, {"de": right(base)}, ACCURACY.reduce, parallel=False)
    alone = interval(right(better), ACCURACY.reduce)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
    assert paired.p_value < 0.01


def test_a_clear_difference_stays_one_in_a_large_table():
    base = draws(8, 2000, 0.5)
    better = np.maximum(base, draws(9, 2000, 0.1))
    clear = paired_difference({"de": right(better)}, {"de": right(base)}, ACCURACY.reduce, parallel=False)
    assert max(holm_correction([clear.p_value] * 600)) < SIGNIFICANT


@pytest.mark.parametrize("gained", [8, 12, 20, 40])
def test_no_less_than_the_exact_sign_test(gained):
    better = np.zeros(1000)
    better[:gained] = 1
    found = paired_difference(
        {"de": right(better)}, {"de": right(np.zeros(1000))}, ACCURACY.reduce, parallel=False
    )
    assert found.p_value >= min(0.05, 2.0 ** (1 - gained))


def test_few_differing_examples_prove_little():
    one = paired_difference({"de": right([1])}, {"de": right([0])}, ACCURACY.reduce, parallel=False)
    assert (one.value, one.p_value) == (100, 1)
    four = paired_difference({"de": right([1] * 4)}, {"de": right([0] * 4)}, ACCURACY.reduce, parallel=False)
    assert four.p_value == 2 / 2**4


def test_opposite_differences_that_cancel_are_no_difference():
    a = {"x": right([1] * 50), "y": right([0] * 50), "z": right([1] * 50)}
    b = {"x": right([0] * 50), "y": right([1] * 50), "z": right([1] * 50)}
    found = paired_difference(a, b, ACCURACY.reduce, parallel=True)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.p_value == 1


def test_rounding_is_no_difference():
    # The means are equal, 0.1 + 0.2 against 0.3 + 0, but not to the last bit.
    constant = {value: np.tile([value, value, 1.0], (50, 1)) for value in (0.0, 0.1, 0.2, 0.3)}
    a, b = {"x": constant[0.1], "y": constant[0.2]}, {"x": constant[0.3], "y": constant[0.0]}
    found = paired_difference(a, b, SQUAD.reduce, parallel=True)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.value != 0
    assert found.p_value == 1


def test_refusals():
    a, b = right([1, 0]), right([1, 0, 1])
    reduce = ACCURACY.reduce
    with pytest.raises(AdaptransError, match="3 items in fr, 2 in de"):
        mean_interval({"de": a, "fr": b}, reduce, parallel=True)
    with pytest.raises(AdaptransError, match="no scored examples in de"):
        mean_interval({"de": np.zeros((0, 2))}, reduce, parallel=False)
    with pytest.raises(AdaptransError, match="no scored examples"):
        interval(np.zeros((0, 2)), reduce)
    with pytest.raises(AdaptransError, match="no language"):
        mean_interval({}, reduce, parallel=True)
    with pytest.raises(AdaptransError, match="scored in fr, sw"):
        paired_difference({"de": a, "fr": a}, {"de": a, "sw": a}, reduce, parallel=False)
    with pytest.raises(AdaptransError, match="2 and 3 examples in de"):
        paired_difference({"de": a}, {"de": b}, reduce, parallel=False)
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
