from itertools import pairwise

import numpy as np
import pytest
from mini_pretraining import bags, batches
from mini_pretraining.config import Sampling
from mini_pretraining.store import Ragged, Tuples, pair_table, ragged


@pytest.fixture(scope="module")
def table():
    sentences = {"en": ragged([[5, 6], [7], [8, 9, 4]]), "sw": ragged([[10], [11, 12], []])}
    words = {"en": ragged([[7]]), "sw": ragged([[11, 12]])}
    tuples = [Tuples("tales", sentences, np.arange(3)), Tuples("more", words, np.array([9]))]
    return pair_table(tuples, ["en", "sw"], [np.ones(3, dtype=bool), np.ones(1, dtype=bool)])


def texts_of(found: bags.Bags) -> list[tuple[int, ...]]:
    bounds = found.offsets.tolist()
    return [tuple(found.ids[a:b].tolist()) for a, b in pairwise(bounds)]


def test_pool_holds_every_pair_and_nothing_else(table):
    held = bags.pool(table, Sampling())
    pairs = [
        (tuple(held.texts[a].tolist()), tuple(held.texts[b].tolist()), group)
        for a, b, group in zip(held.left, held.right, held.groups, strict=True)
    ]
    assert sorted(pairs) == [((5, 6), (10,), 0), ((7,), (11, 12), 1), ((7,), (11, 12), 9)]


def test_drawn_halves_are_translations_and_equal_texts_no_negatives(table):
    found = bags.draw_bags(bags.pool(table, Sampling()), 50, 8, np.random.default_rng(1))
    texts = texts_of(found)
    partner = {(5, 6): (10,), (7,): (11, 12)}
    assert [partner[text] for text in texts[:50]] == texts[50:]
    rows = [np.array(text) for text in texts]
    groups = np.array([0 if text in ((5, 6), (10,)) else 1 for text in texts])
    # All pairs of one meaning have one text here, so the looping version must agree.
    assert (found.ignored == batches.no_negatives(rows, groups)).all()


def test_texts_are_cut():
    held = ragged([[1, 2, 3], [4]])
    ids, offsets = bags.gathered(held, np.array([0, 1, 0]), 2)
    assert ids.tolist() == [1, 2, 4, 1, 2]
    assert offsets.tolist() == [0, 2, 3, 5]


def test_contexts_stay_in_their_line_and_leave_the_word_out():
    lines = [[*range(10 * n + 4, 10 * n + 12), 2] for n in range(6)]
    flat = np.array([i for line in lines for i in line], dtype=np.int32)
    held = bags.contexts({"en": Ragged(flat, np.arange(0, 55, 9))}, 0.5)
    found = bags.draw_contexts(held, 200, 3, 4, np.random.default_rng(2))
    texts = texts_of(found)
    half = len(texts) // 2
    assert 100 < half < 200  # special tokens are no words
    for word, around in zip(texts[:half], texts[half:], strict=True):
        assert 1 <= len(word) <= 2
        assert not set(word) & set(around)
        assert {(i - 4) // 10 for i in word} == {(i - 4) // 10 for i in around}
        assert max(abs(a - word[0]) for a in around) <= 4
        assert 2 not in around


def test_draws_follow_the_seed(table):
    held = bags.pool(table, Sampling())
    one, two = (bags.draw_bags(held, 9, 8, np.random.default_rng((1, 7, 2))) for _ in range(2))
    assert one.ids.tolist() == two.ids.tolist()
