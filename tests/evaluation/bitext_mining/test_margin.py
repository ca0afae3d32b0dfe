"""Mining against a slow implementation written from the rules: same pairs, same scores."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.evaluation import dense_retrieval as search
from adaptrans.evaluation.bitext_mining import margin
from adaptrans.evaluation.bitext_mining.answer import extracted
from adaptrans.evaluation.bitext_mining.margin import first_and_last, matched, mine, without_repeated
from adaptrans.evaluation.dense_retrieval import Neighbors, nearest_both_ways
from adaptrans.evaluation.metrics.retrieval import best_margin_threshold


def unit(rng, number, width=8, shift=0.0):
    vectors = rng.standard_normal((number, width)) + shift
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def slow_neighbors(own, others, k):
    """(similarity, row) of the k nearest of each vector, by sorting all of them."""
    found = []
    for vector in own:
        ranked = sorted((-float(np.dot(vector, other)), row) for row, other in enumerate(others))
        found.append([(-value, row) for value, row in ranked[:k]])
    return found


def slow_mine(sources, targets, k=4):
    """Steps 2 to 6 of the rules, pair by pair."""
    forward = slow_neighbors(sources, targets, min(k, len(targets)))
    backward = slow_neighbors(targets, sources, min(k, len(sources)))
    forward_mean = [sum(value for value, _ in row) / len(row) for row in forward]
    backward_mean = [sum(value for value, _ in row) / len(row) for row in backward]

    def score(i, j):
        return float(np.dot(sources[i], targets[j])) / ((forward_mean[i] + backward_mean[j]) / 2)

    joined = []
    for i, row in enumerate(forward):
        joined.append((*max(((score(i, j), j) for _, j in row), key=lambda pair: pair[0]), i))
    joined = [(value, i, j) for value, j, i in joined]
    for j, row in enumerate(backward):
        value, i = max(((score(i, j), i) for _, i in row), key=lambda pair: pair[0])
        joined.append((value, i, j))
    used_i, used_j, pairs = set(), set(), []
    for value, i, j in sorted(joined, key=lambda item: -item[0]):
        if i not in used_i and j not in used_j:
            used_i.add(i)
            used_j.add(j)
            if value > 0:
                pairs.append((i, j, value))
    return pairs


@settings(max_examples=40)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10**6), st.sampled_from([1.0, 3.0]))
@example(1, 1, 0, 1.0)
@example(30, 30, 5, 0.0)
@example(2, 30, 0, 3.0)
def test_pairs_equal_the_rules(number, others, seed, shift):
    rng = np.random.default_rng(seed)
    sources, targets = unit(rng, number, shift=shift), unit(rng, others, shift=shift)
    found = mine(sources, targets)
    expected = slow_mine(sources, targets)
    assert list(zip(found.sources, found.targets, strict=True)) == [(i, j) for i, j, _ in expected]
    assert found.scores == pytest.approx([value for _, _, value in expected], rel=2e-5)


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0])
def test_blocks_give_the_exact_neighbors(monkeypatch, shift):
    """Many small blocks find what sorting everything finds."""
    monkeypatch.setattr(search, "QUERIES", 64)
    monkeypatch.setattr(search, "BLOCK", 300)
    rng = np.random.default_rng(1)
    sources, targets = unit(rng, 500, 64, shift), unit(rng, 700, 64, shift)
    # An outlier, whose similarities are all below the others', and a sentence that is there twice.
    targets[5], targets[9] = -targets[5], targets[8]
    seen = []
    found = nearest_both_ways(sources, targets, 4, kind="exact", tick=seen.append)
    for side, own, others in zip(found, (sources, targets), (targets, sources), strict=True):
        similarities = own.astype(np.float64) @ others.T.astype(np.float64)
        best = -np.sort(-similarities, axis=1)[:, :4]
        assert side.similarities == pytest.approx(best, abs=2e-6)
        assert np.take_along_axis(similarities, side.rows, axis=1) == pytest.approx(best, abs=2e-6)
        assert all(len(set(row)) == 4 for row in side.rows.tolist())
    assert seen == sorted(seen)
    assert seen[-1] == 1_200


def test_ivf_finds_most_of_them_and_all_with_every_list(monkeypatch):
    rng = np.random.default_rng(2)
    sources = unit(rng, 3_000, 16)
    targets = unit(rng, 3_000, 16)
    monkeypatch.setattr(search, "SHARD", 1_300)
    exact = nearest_both_ways(sources, targets, 4, kind="exact")
    close = nearest_both_ways(sources, targets, 4, kind="IVF")
    monkeypatch.setattr(search, "PROBES", 10_000)
    full = nearest_both_ways(sources, targets, 4, kind="IVF")
    for a, b, c in zip(exact, close, full, strict=True):
        assert np.mean(a.rows[:, 0] == b.rows[:, 0]) > 0.9
        assert np.array_equal(a.rows, c.rows)


def test_a_killed_approximate_search_goes_on_where_it_stopped(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    sources, targets = unit(rng, 1_200, 16), unit(rng, 900, 16)
    monkeypatch.setattr(search, "SHARD", 500)
    monkeypatch.setattr(search, "QUERIES", 400)
    monkeypatch.setattr(search, "PROBES", 2)
    whole = nearest_both_ways(sources, targets, 4, kind="IVF")
    seen = []

    def until(most):
        def tick(done):
            seen.append(done)
            if done > most:
                raise KeyboardInterrupt

        return tick

    # In the first shard, in the second, on the way back; each time a chunk and no more is made again.
    for most in (300, 800, 1_500):
        with pytest.raises(KeyboardInterrupt):
            nearest_both_ways(sources, targets, 4, kind="IVF", work=tmp_path, tick=until(most))
        (tmp_path / "forward/0.similarities.part").write_bytes(b"half")
    seen.clear()
    found = nearest_both_ways(sources, targets, 4, kind="IVF", work=tmp_path, tick=seen.append)
    assert seen[:2] == [600, 1_200], "what was done is not done again"
    assert seen[-1] == 2_100
    for a, b in zip(whole, found, strict=True):
        assert np.array_equal(a.rows, b.rows)
        assert np.array_equal(a.similarities, b.similarities)
    monkeypatch.setattr(search.ApproximateSearch, "_index", lambda *given: pytest.fail("searched again"))
    again = nearest_both_ways(sources, targets, 4, kind="IVF", work=tmp_path)
    assert np.array_equal(again[1].rows, found[1].rows)


def test_which_search_by_size_is_stated():
    rng = np.random.default_rng(3)
    vectors = unit(rng, 200)
    assert mine(vectors, vectors).search == "exact"
    assert mine(vectors, vectors, search="IVF").search == "IVF"
    assert search.search_kind(400_000, 400_000) == "IVF"


def test_of_equal_margins_the_nearer_neighbor_and_the_first_row_win():
    same = Neighbors(np.full((2, 2), 0.5, dtype=np.float32), np.array([[0, 1], [0, 1]]))
    found = matched(same, same)
    assert (found.sources.tolist(), found.targets.tolist()) == ([0], [0])


def test_negative_margins_are_no_pairs():
    forward = Neighbors(np.array([[-0.1], [0.5]], dtype=np.float32), np.array([[0], [1]]))
    backward = Neighbors(np.array([[0.5], [0.5]], dtype=np.float32), np.array([[1], [1]]))
    found = matched(forward, backward)
    assert list(zip(found.sources, found.targets, strict=True)) == [(1, 1)]


def test_empty_sides_and_other_widths_are_refused():
    rng = np.random.default_rng(4)
    with pytest.raises(AdaptransError, match="one side has no sentence"):
        mine(unit(rng, 3), np.zeros((0, 8), dtype=np.float32))
    with pytest.raises(AdaptransError, match="8 and 9 wide"):
        mine(unit(rng, 3), unit(rng, 3, 9))


TEXTS = st.lists(st.sampled_from(["a", "b", " a", "c", "c "]), max_size=8)


@given(TEXTS)
def test_repeated_texts_merge_in_the_order_of_their_first(texts):
    first, last = first_and_last(texts)
    assert [texts[row] for row in first] == list(dict.fromkeys(texts))
    assert all(
        texts[a] == texts[b] and texts[b] not in texts[b + 1 :] for a, b in zip(first, last, strict=True)
    )


@given(TEXTS, TEXTS)
def test_sentences_that_occur_twice_are_dropped(sources, targets):
    pairs = [(i, j) for i in range(len(sources)) for j in range(len(targets))]
    stripped = [text.strip() for text in sources], [text.strip() for text in targets]
    expected = [
        place
        for place, (i, j) in enumerate(pairs)
        if stripped[0].count(stripped[0][i]) == 1 and stripped[1].count(stripped[1][j]) == 1
    ]
    assert without_repeated(pairs, sources, targets) == expected


def slow_threshold(scores, right, golds):
    """The rule by trying every place: best F1 first, then the earliest."""
    best, value = 0.0, 0.0
    for place in range(len(scores)):
        correct = sum(right[: place + 1])
        if correct:
            precision, recall = correct / (place + 1), correct / golds
            f1 = 2 * precision * recall / (precision + recall)
            if f1 > best:
                after = scores[place + 1] if place + 1 < len(scores) else scores[place]
                best, value = f1, (scores[place] + after) / 2
    return value, best


@given(
    st.lists(st.tuples(st.sampled_from([0.5, 0.9, 1.0, 1.1, 1.25]), st.booleans()), max_size=12),
    st.integers(0, 5),
)
@example([(1.0, True)], 0)
@example([(1.0, False)], 3)
@example([(1.0, True), (1.0, False)], 0)
def test_threshold_equals_the_rule(rows, missed):
    rows = sorted(rows, key=lambda row: -row[0])
    pairs = [(f"s{i}", f"t{i}") for i in range(len(rows))]
    golds = {pair for pair, (_, right) in zip(pairs, rows, strict=True) if right}
    golds |= {(f"m{i}", f"m{i}") for i in range(missed)}
    scores = [score for score, _ in rows]
    found = best_margin_threshold(pairs, scores, golds)
    value, f1 = slow_threshold(scores, [right for _, right in rows], max(len(golds), 1))
    assert found.value == value
    assert found.f1 == pytest.approx(100 * f1, abs=1e-9)
    assert extracted(pairs, scores, value) == [
        pair for pair, s in zip(pairs, scores, strict=True) if s >= value
    ]


def test_the_edges_of_the_threshold():
    right, wrong = ("a", "x"), ("b", "y")
    # One candidate, right: its own score, F1 by the size of the gold.
    one = best_margin_threshold([right], [1.3], [right, ("c", "z")])
    assert (one.value, one.f1) == (1.3, pytest.approx(200 / 3))
    # Equal scores on both sides of the cut: that score, and all are extracted.
    equal = best_margin_threshold([right, wrong], [1.1, 1.1], {right})
    assert equal.value == 1.1
    assert extracted([right, wrong], [1.1, 1.1], equal.value) == [right, wrong]
    # Repeated gold counts once; no right candidate gives 0.
    assert best_margin_threshold([right], [1.0], [right, right]).f1 == 100
    assert best_margin_threshold([wrong], [1.0], [right]) == best_margin_threshold([], [], [right])
    assert margin.NEIGHBOURS == 4
