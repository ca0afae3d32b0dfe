"""SQuAD scores against a slow reading of the rules, and every worked example."""

import gzip
import json
import warnings
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.squad import characters, exact_match, f1, normalize_squad, words

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
PIECES = [
    "a", "an", "the", "The", "A", "cat", "than", "Haus", "U.S.", "«Москва»", "–", "北京", "，", "2008年",
    "１２", "ไทย", "กำ", "東京タワー", "الكتاب", "\u200f", "\u0301", "e\u0301", "a\u0301", "İ", "ß", "ſ",
    "\u00a0", "\u3000", "\u2028", "\t", "\n", " ", "  ", "-", "_", "_a_", "'", ".", "", "\u200d", "١٢",
    "𠀀", "ǅ",
]  # fmt: skip
TEXTS = (
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
    | st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join)
    | st.text(max_size=12)
)


def slow_normalize(text):
    """The four steps one character at a time, without regular expressions."""
    kept = [c for c in text.lower() if c not in PUNCTUATION]
    out, run = [], ""
    for c in [*kept, " "]:
        if c.isalnum() or c == "_":
            run += c
            continue
        out.append(" " if run in ("a", "an", "the") else run)
        out.append(c)
        run = ""
    joined, result, gap = "".join(out), "", False
    for c in joined:
        if c.isspace():
            gap = True
        else:
            result += (" " if gap and result else "") + c
            gap = False
    return result


def slow_f1(gold, prediction, cut):
    expected, found = cut(slow_normalize(gold)), cut(slow_normalize(prediction))
    rest, common = list(expected), 0
    for token in found:
        if token in rest:
            rest.remove(token)
            common += 1
    if common == 0:
        return Fraction(0)
    precision, recall = Fraction(common, len(found)), Fraction(common, len(expected))
    return 2 * precision * recall / (precision + recall)


def slow_words(text):
    return [token for token in text.split(" ") if token]


def slow_characters(text):
    """One token per character of the listed ranges."""
    ranges = [
        (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3000, 0x30FF), (0x31F0, 0x31FF),
        (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF), (0x20000, 0x323AF),
    ]  # fmt: skip
    tokens, run = [], ""
    for c in text + " ":
        alone = any(low <= ord(c) <= high for low, high in ranges)
        if alone or c == " ":
            tokens += [run] if run else []
            tokens += [c] if alone else []
            run = ""
        else:
            run += c
    return tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("U.S. dollars", "us dollars"),
        ("«Москва» – the город", "«москва» – город"),
        ("Das Haus a b", "das haus b"),
        ("北京，2008年", "北京，2008年"),
        ("", ""),
        ("the", ""),
        ("A-the", "athe"),
        ("the-cat", "thecat"),
        ("theatre an other", "theatre other"),
        ("１２", "１２"),
    ],
)
def test_normalize(text, expected):
    assert normalize_squad(text) == expected


def test_chinese_is_one_token_and_a_character_each_in_the_clean_variant():
    assert words(normalize_squad("北京，2008年")) == ["北京，2008年"]
    assert characters(normalize_squad("北京，2008年")) == ["北", "京", "，", "2008", "年"]
    gold, prediction = ("北京大学",), "北京"
    assert SCORES["squad"].compute([gold], [prediction])["f1"] == 0
    assert SCORES["squad_characters"].compute([gold], [prediction])["f1"] == pytest.approx(200 / 3)


def test_clean_variant_changes_nothing_without_such_scripts():
    golds, predictions = [("Das alte Haus",), ("الكتاب القديم",)], ["alte Haus", "الكتاب"]
    one = SCORES["squad"].compute(golds, predictions)
    assert one == SCORES["squad_characters"].compute(golds, predictions)


@given(TEXTS)
@example("a\u0301 cat")
@example("İa")
def test_normalize_equals_the_rules(text):
    assert normalize_squad(text) == slow_normalize(text)


@given(TEXTS, TEXTS)
def test_exact_match_and_f1_equal_the_rules(gold, prediction):
    assert exact_match(gold, prediction) == (slow_normalize(gold) == slow_normalize(prediction))
    assert f1(gold, prediction) == pytest.approx(float(slow_f1(gold, prediction, slow_words)), abs=1e-12)
    assert f1(gold, prediction, characters) == pytest.approx(
        float(slow_f1(gold, prediction, slow_characters)), abs=1e-12
    )


def test_two_empty_texts_match_exactly_with_f1_zero():
    assert exact_match("", "a") == 1
    assert exact_match("", "") == 1
    assert f1("", "") == 0
    assert f1("", "a") == 0
    assert SCORES["squad"].compute([("the",)], [""]) == {"score": 50, "f1": 0, "exact_match": 100}


def test_best_gold_counts_for_each_value_apart():
    # "b c" is nearest in words to the first gold; only the second is equal once normalized.
    golds = [("b", "x y z"), ("", "one two")]
    values = SCORES["squad"].compute(golds, ["b c", "a"])
    assert values["f1"] == pytest.approx(100 * (2 / 3) / 2)
    assert values["exact_match"] == 50
    assert values["score"] == (values["f1"] + values["exact_match"]) / 2


@given(
    st.lists(st.tuples(st.lists(TEXTS, min_size=1, max_size=3), TEXTS | st.none()), min_size=1, max_size=8)
)
def test_corpus_equals_a_running_sum(questions):
    total_f1 = total_em = 0.0
    for answers, prediction in questions:
        if prediction is not None:
            total_f1 += max(f1(answer, prediction) for answer in answers)
            total_em += max(exact_match(answer, prediction) for answer in answers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        values = SCORES["squad"].compute([tuple(a) for a, _ in questions], [p for _, p in questions])
    assert values["f1"] == 100 * total_f1 / len(questions)
    assert values["exact_match"] == 100 * total_em / len(questions)


def test_unanswered_questions_score_zero_and_are_counted_aloud():
    with pytest.warns(UserWarning, match="1 of 2 questions are unanswered"):
        values = SCORES["squad"].compute([("a",), ("cat",)], [None, "cat"])
    assert values == {"score": 50, "f1": 50, "exact_match": 50}


def test_a_question_without_answers_is_refused():
    with pytest.raises(AdaptransError, match="question 1 needs one right answer"):
        SCORES["squad"].compute([("x",), ()], ["x", "x"])


def test_a_bare_text_as_answers_is_refused():
    with pytest.raises(AdaptransError, match="found 'cat'"):
        SCORES["squad"].compute(["cat"], ["cat"])


@pytest.mark.parametrize("language", ["en", "ar", "th", "zh"])
def test_real_answers_against_themselves(data_folder, language):
    paths = [
        path
        for path in sorted((data_folder / "xquad").glob(f"xquad.{language}.json*"))
        if path.suffix != ".tmp"
    ]
    if not paths:
        pytest.skip(f"no XQuAD in {language}")
    opened = gzip.open if paths[0].suffix == ".gz" else open
    with opened(paths[0], "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    golds = [
        tuple(answer["text"] for answer in question["answers"])
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    predictions = [answers[0] for answers in golds]
    for name in ("squad", "squad_characters"):
        values = SCORES[name].compute(golds, predictions)
        assert values["exact_match"] == 100
        # Only answers that are nothing but articles and punctuation can fall short.
        empty = sum(normalize_squad(text) == "" for text in predictions)
        assert values["f1"] == pytest.approx(100 * (1 - empty / len(golds)))
