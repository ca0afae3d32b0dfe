"""Nearest neighbors against brute force, with duplicates and vectors without direction."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.evaluation import dense_retrieval
from adaptrans.evaluation.dense_retrieval import exact_neighbors, nearest, nearest_both_ways


def unit(vectors):
    vectors = vectors.astype(np.float64)
    return vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))


def distances(index, queries):
    return ((unit(queries)[:, None, :] - unit(index)[None, :, :]) ** 2).sum(axis=2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_equals_brute_force(seed, rows, queries, width):
    generator = np.random.default_rng(seed)
    index = generator.normal(size=(rows, width)) * generator.uniform(0.01, 100, size=(rows, 1))
    asked = generator.normal(size=(queries, width))
    found = nearest(index, asked)
    table = distances(index, asked)
    assert found.dtype == np.int64
    assert np.all(table[np.arange(queries), found] <= table.min(axis=1) + 1e-5)
    # Where the nearest is clear, it is that very row.
    if rows > 1:
        best = np.sort(table, axis=1)
        clear = best[:, 1] - best[:, 0] > 1e-4
        assert np.array_equal(found[clear], table.argmin(axis=1)[clear])


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(2, 90), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_the_first_of_equal_rows_wins(seed, different, rows, queries):
    generator = np.random.default_rng(seed)
    index = generator.normal(size=(different, 24))[generator.integers(0, different, rows)]
    chosen = index[generator.integers(0, rows, queries)]
    first = [int(np.flatnonzero((index == row).all(axis=1))[0]) for row in chosen]
    assert nearest(index, chosen).tolist() == first
    assert nearest(index, chosen * 3).tolist() == first


def test_the_first_of_equal_rows_wins_where_rounding_would_pick_another():
    # The search alone returns a later copy for a few of these queries.
    generator = np.random.default_rng(768 + 1003)
    different = generator.normal(size=(334, 768)).astype(np.float32)
    index = different[generator.integers(0, 334, 1003)]
    queries = different + 0.05 * generator.normal(size=different.shape)
    first = {row.tobytes(): at for at, row in reversed(list(enumerate(index)))}
    for found in nearest(index, queries):
        assert first[index[found].tobytes()] == found


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 25), st.integers(0, 10**6))
def test_of_equal_products_the_first_rows_are_taken_in_every_search(number, k, seed):
    """More copies and equal products than faiss is asked for, over several blocks."""
    rng = np.random.default_rng(seed)
    # Vectors of four halves, so that products are exact and many of them equal.
    vectors = rng.choice([-0.5, 0.5], size=(number, 4)).astype(np.float32)
    queries = rng.choice([-0.5, 0.5], size=(5, 4)).astype(np.float32)
    products = queries @ vectors.T
    expected = [sorted(range(number), key=lambda row, q=q: -products[q, row])[:k] for q in range(5)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dense_retrieval, "BLOCK", 37)
        patched.setattr(dense_retrieval, "QUERIES", 3)
        found = exact_neighbors(queries, vectors, k)
        both = nearest_both_ways(queries, vectors, min(k, 5), kind="exact")[0]
    assert found.rows.tolist() == expected
    assert np.array_equal(found.similarities, np.take_along_axis(products, found.rows, axis=1))
    assert both.rows.tolist() == [row[:5] for row in expected]
    assert nearest(vectors, queries).tolist() == [row[0] for row in expected]


def test_copies_stand_in_their_order_wherever_they_are_in_a_block():
    rng = np.random.default_rng(1)
    different = rng.normal(size=(300, 768))
    different /= np.linalg.norm(different, axis=1, keepdims=True)
    vectors = different.astype(np.float32)[np.arange(9_000) % 300]
    found = exact_neighbors(vectors[:300], vectors, 20)
    assert found.rows.tolist() == [[row + 300 * copy for copy in range(20)] for row in range(300)]


def test_length_does_not_matter():
    index = np.array([[10.0, 1.0], [0.1, 0.1]])
    assert nearest(index, np.array([[1.0, 1.0], [5.0, 0.5]])).tolist() == [1, 0]


def test_inputs_stay_as_they_were():
    index, queries = np.full((2, 3), 2, dtype=np.float32), np.full((1, 3), 3, dtype=np.float32)
    nearest(index, queries)
    assert index.tolist() == [[2, 2, 2]] * 2
    assert queries.tolist() == [[3, 3, 3]]


def test_half_precision_and_strided_views():
    index = np.eye(6, dtype=np.float16)[:, ::2][::2]
    assert nearest(index, index[::-1]).tolist() == [2, 1, 0]


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf, 1e300, 1e-30])
def test_vectors_without_direction_are_refused_by_row(bad):
    good = np.ones((3, 4))
    broken = good.copy()
    broken[1] = bad
    with pytest.raises(AdaptransError, match="index vector of row 1 "):
        nearest(broken, good)
    with pytest.raises(AdaptransError, match="query vector of row 1 "):
        nearest(good, broken)


def test_several_bad_rows_are_counted():
    with pytest.raises(AdaptransError, match=r"row 0 is zero.* \(2 such rows\)"):
        nearest(np.zeros((2, 4)), np.ones((1, 4)))


def test_shapes():
    assert nearest(np.ones((1, 2)), np.ones((0, 2))).tolist() == []
    with pytest.raises(AdaptransError, match="no index vectors"):
        nearest(np.ones((0, 2)), np.ones((1, 2)))
    with pytest.raises(AdaptransError, match="index vectors are 2 wide and query vectors 3"):
        nearest(np.ones((1, 2)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="shape"):
        nearest(np.ones(2), np.ones((1, 2)))


def test_faiss_is_not_imported_with_the_module():
    code = (
        "import sys, adaptrans.evaluation.dense_retrieval; "
        "print('faiss' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
