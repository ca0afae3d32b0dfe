"""Which examples a limit takes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.task_types.bitext_mining import MiningExample
from adaptrans.task_types.bitext_retrieval import BitextExample
from adaptrans.tasks import loading


def places(total, limit):
    return [
        int(item.id) for item in loading.part((BitextExample(str(i), "a", "b") for i in range(total)), limit)
    ]


@given(st.integers(0, 300), st.none() | st.integers(1, 400), st.integers(1, 400))
def test_places_are_in_order_nested_and_as_many_as_asked_for(total, limit, larger):
    found = places(total, limit)
    assert found == sorted(set(found))
    assert len(found) == min(total, limit or total)
    assert all(0 <= place < total for place in found)
    if limit is not None and limit <= larger:
        assert set(found) <= set(places(total, larger))


@pytest.mark.parametrize("period", [2, 3, 4, 5])
def test_labels_that_go_round_in_a_circle_are_all_met(period):
    # Evenly spaced places would all bear one label: 600 / 200 = 3.
    counts = Counter(place % period for place in places(600, 600 // period))
    assert len(counts) == period
    assert max(counts.values()) < 1.4 * 600 / period / period


def test_the_choice_never_changes_unnoticed():
    # If this fails, published scores on a part of the data cannot be had again: change SUBSET_DRAW too.
    assert places(1000, 8) == [68, 142, 174, 499, 528, 556, 557, 819]
    assert loading.SUBSET_DRAW == "hash of the place, 1"


def test_a_part_of_a_corpus_keeps_the_other_corpus():
    pool = (("en-1", "a"), ("en-2", "b"))
    corpus = [MiningExample(f"de-{i}", "x", (), pool if i == 0 else ()) for i in range(10)]
    part = list(loading.part(corpus, 3))
    assert [example.id for example in part] == [f"de-{place}" for place in places(10, 3)]
    assert [example.pool for example in part] == [pool, (), ()]


def test_other_kinds_are_taken_as_they_are():
    examples = [BitextExample(str(i), "a", "b") for i in range(10)]
    assert list(loading.part(examples, None)) == examples
    assert list(loading.part([], 3)) == []
