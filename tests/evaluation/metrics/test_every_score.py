"""Every score against its slow twin, on random and hostile inputs."""

import warnings

import numpy as np
import pytest
from evaluation.metrics import slow
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adaptrans import benchmarks
from adaptrans.evaluation.bitext_mining.answer import extracted
from adaptrans.evaluation.dense_retrieval import nearest
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.question_answering import MLQA_ARTICLES, normalize_mlqa, normalize_squad
from adaptrans.evaluation.metrics.retrieval import aligned, best_margin_threshold, by_source
from adaptrans.stats.aggregate import task_score

LANGUAGES = sorted(slow.ARTICLES)

# Articles, punctuation of ASCII and of others, right to left with marks and directions, combining marks
# on and off articles, full-width, Arabic and Thai digits, spaces of every kind, halves of ligatures.
WORDS = """
    the a An tHe der Das EL la una của là ال والكتاب كتاب שלום בַּיִת ไทย กำ १९४७ १ ２００８ ١٩٧٣ 1973 ½ ²
    北京 大学 年 東京タワー 〇 ， 。 « » – — ’ 's U.S. é É İ ı ß ẞ ſ ǅ ﬁ $ € ^ _ _a_ a_ - ' " . ! ... 𠀀 👍 ♥
"""
SPACES = ["", " ", "  ", "\u00a0", "\u3000", "\u2028", "\t", "\n", "\x1c", "\u200b", "\u200d", "\ufeff"]
SIGNS = [
    "\u200f",
    "\u202e",
    "\u0301",
    "e\u0301",
    "a\u0301",
    "the\u0301",
    "\u093c",
    "क\u094d",
    "\ufe0f",
    "\u0640",
]
PIECES = st.sampled_from([*WORDS.split(), *SPACES, *SIGNS])
TEXT = (
    st.lists(PIECES, max_size=8).map("".join)
    | st.lists(PIECES, max_size=6).map(" ".join)
    | st.text(max_size=8)
)
TAGS = """
    O O O B-PER I-PER E-PER S-PER M-PER L-PER U-PER I-location-other E-person-other
    B-LOC I-LOC I-A-B NOUN VERB SYM SCONJ CCONJ X _
    B I S E EVENT ORG . O- -O o B- - شخص B-شخص
"""
TAG = st.sampled_from([*TAGS.split(), "", "I-\u0301", "B-１"])
ID = st.integers(0, 30).map("p{}".format)
ODDS = st.integers(-4, 4).map(lambda number: number / 2)


def rows(gold, prediction, most=8):
    """Golds and predictions side by side."""
    return st.lists(st.tuples(gold, prediction), min_size=1, max_size=most).map(
        lambda pairs: ([one for one, _ in pairs], [other for _, other in pairs])
    )


def sentences(values):
    """As many gold tags as predicted ones, and sentences without words."""
    pairs = st.lists(st.lists(st.tuples(values, values), max_size=10), min_size=1, max_size=6)
    return pairs.map(
        lambda corpus: tuple([[pair[side] for pair in row] for row in corpus] for side in (0, 1))
    )


GOLD_TEXTS = st.lists(TEXT, min_size=1, max_size=3)
ANSWERS = rows(GOLD_TEXTS, TEXT | st.none())
WITH_ODDS = st.builds(lambda text, odds: {"text": text, "no_answer": odds}, TEXT, ODDS)
QUESTIONS = rows(GOLD_TEXTS | st.just([""]), WITH_ODDS | TEXT | st.none())
# A threshold cannot tell questions of equal odds apart, though the scorer of SQuAD counts one by one.
UNEQUAL = st.lists(st.tuples(GOLD_TEXTS | st.just([""]), WITH_ODDS), min_size=1, max_size=8,
                   unique_by=lambda row: row[1]["no_answer"]).map(
    lambda pairs: ([gold for gold, _ in pairs], [found for _, found in pairs]))  # fmt: skip
RANKED = rows(st.lists(ID, min_size=1, max_size=25), st.lists(ID, max_size=30))
PARTNERS = rows(st.lists(ID, max_size=3), st.lists(ID, max_size=3))
COUNTS = st.integers(0, 9).flatmap(lambda hidden: st.tuples(st.integers(0, hidden), st.just(hidden)))

INPUTS = {
    "accuracy": rows(TEXT, TEXT) | rows(st.integers(0, 4), st.integers(0, 4)) | rows(TAG, TAG),
    "bucc_f1": PARTNERS,
    "chunk_f1": sentences(TAG) | sentences(st.just("O")),
    "entity_f1": sentences(TAG) | sentences(st.just("O")),
    "map_at_20": RANKED,
    "masked_pieces": rows(TEXT, COUNTS),
    "mlqa": ANSWERS,
    "mrr_at_20": RANKED,
    "squad": ANSWERS,
    "squad2": QUESTIONS,
    "squad2_best": UNEQUAL,
    "squad_characters": ANSWERS,
    "token_accuracy": sentences(TAG) | sentences(st.just("O")),
}


def test_every_score_has_a_slow_twin_and_inputs():
    assert sorted(slow.SLOW) == sorted(INPUTS) == SCORES.names(), "write the rule down once more in slow.py"


@pytest.mark.parametrize("name", sorted(slow.SLOW))
@settings(max_examples=120)
@given(data=st.data())
def test_equals_the_slow_twin(name, data):
    golds, predictions = data.draw(INPUTS[name])
    score = SCORES[name]
    language = data.draw(st.sampled_from(LANGUAGES)) if score.in_language else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = score.compute(golds, predictions, language)
    expected = slow.SLOW[name](golds, predictions, language)
    assert list(found) == list(score.parts)
    assert set(expected) == set(found)
    for part, value in expected.items():
        assert found[part] == pytest.approx(float(value), abs=1e-10), part
        assert 0 <= found[part] <= 100 + 1e-9


@given(UNEQUAL)
@example(([[""], ["der"]], [{"text": "the", "no_answer": 0.0}, {"text": "der", "no_answer": 0.5}]))
@example(([[""], ["der"]], [{"text": "", "no_answer": 0.0}, {"text": "der", "no_answer": 0.5}]))
def test_a_text_of_which_nothing_is_left_counts_as_an_answer_where_the_threshold_is_tuned(rows):
    expected = {part: float(value) for part, value in slow.squad2_best(*rows).items()}
    assert SCORES["squad2_best"].compute(*rows) == pytest.approx(expected, abs=1e-10)


def test_the_threshold_of_such_a_text():
    # As find_best_thresh of SQuAD's scorer: answering nothing, 1 of 2 right, is not beaten by both texts.
    found = [{"text": text, "no_answer": odds} for text, odds in (("the", 0.0), ("der", 0.5))]
    assert SCORES["squad2_best"].compute([[""], ["der"]], found)["f1"] == 50
    assert SCORES["squad2"].compute([[""], ["der"]], [{**row, "no_answer": -1} for row in found])["f1"] == 100


@given(TEXT)
@example("a\u0301 the\u0301")
@example("İ THE ẞ")
@example("the_a a1 1a ２the")
def test_normal_forms_equal_the_slow_ones(text):
    assert normalize_squad(text) == slow.squad_form(text)
    for language in LANGUAGES:
        assert normalize_mlqa(text, language) == slow.mlqa_form(text, language)


def test_languages_of_mlqa():
    assert MLQA_ARTICLES.names() == LANGUAGES


@given(PARTNERS)
def test_pairs_of_ids_equal_the_slow_ones(sides):
    golds, found = ([(f"de-{row}", id) for row, ids in enumerate(side) for id in ids] for side in sides)
    expected = slow.precision_recall(set(golds), set(found))
    rows = aligned(by_source(golds), by_source(found))
    if not rows[0]:
        return
    assert SCORES["bucc_f1"].compute(*rows) == pytest.approx(
        {part: float(value) for part, value in expected.items()}
    )


PAIR = st.tuples(st.integers(0, 5).map("de-{}".format), st.integers(0, 5).map("en-{}".format))
SCORE = st.integers(0, 6).map(lambda number: 0.9 + number / 20)


@given(st.lists(st.tuples(PAIR, SCORE), max_size=12), st.sets(PAIR, max_size=6))
@example([(("de-1", "en-1"), 1.2)], {("de-1", "en-1")})
@example([(("de-1", "en-1"), 1.2), (("de-2", "en-1"), 1.2)], {("de-1", "en-1")})
@example([], {("de-1", "en-1")})
@example([(("de-1", "en-1"), 1.2)], set())
def test_the_threshold_of_mining_equals_the_slow_one(candidates, golds):
    candidates = sorted(dict(candidates).items(), key=lambda row: -row[1])
    pairs, scores = [pair for pair, _ in candidates], [score for _, score in candidates]
    found = best_margin_threshold(pairs, scores, golds)
    value, f1 = slow.threshold(pairs, scores, golds)
    assert found.value == value
    assert found.f1 == pytest.approx(float(f1))
    kept = extracted(pairs, scores, found.value)
    assert kept == [pair for pair, score in candidates if score >= value]


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6), st.booleans())
def test_the_nearest_sentence_equals_the_slow_one(size, queries, seed, twins):
    rng = np.random.default_rng(seed)
    index = rng.standard_normal((size, 6)).astype(np.float32)
    if twins:
        index[-1] = 2 * index[0]
    asked = index[rng.integers(0, size, queries)] + 0.3 * rng.standard_normal((queries, 6)).astype(np.float32)
    for row, distances in zip(nearest(index, asked), slow.nearest(index, asked), strict=True):
        assert distances[row] <= min(distances) + 1e-6
        assert row == min(place for place, value in enumerate(distances) if value <= distances[row] + 1e-9)


@pytest.mark.parametrize("name", benchmarks.names())
@given(data=st.data())
@settings(max_examples=10)
def test_task_scores_equal_the_slow_ones(name, data):
    for task in benchmarks.get(name).tasks.values():
        value = st.integers(0, 1000).map(lambda number: number / 10)
        parts = SCORES[task.score].parts
        values = {
            language: {part: data.draw(value) for part in parts} for language in sorted(task.languages)[:5]
        }
        found = task_score(values, list(values))
        assert found.value == pytest.approx(float(slow.task_score(values, list(values), task.kind)))
        assert found.averages == pytest.approx(
            {part: sum(row[part] for row in values.values()) / len(values) for part in parts}
        )
