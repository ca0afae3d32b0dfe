"""Question answering scores against slow readings of their rules, and every worked example."""

import gzip
import json
import math
import re
import string
import unicodedata
import warnings
from collections import Counter
from fractions import Fraction
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adaptrans.errors import AdaptransError, UnknownNameError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.question_answering import (
    MLQA_ARTICLES,
    answered,
    best_no_answer_threshold,
    characters,
    exact_match,
    f1,
    normalize_mlqa,
    normalize_squad,
    shifted,
    squad2_statistics,
)

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
    assert str.split(normalize_squad("北京，2008年")) == ["北京，2008年"]
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


LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")
ARTICLES = {
    "en": "a an the",
    "es": "un una unos unas el la los las",
    "de": "ein eine einen einem eines einer der die das den dem des",
    "vi": "của là cái chiếc những",
}
WORDS = (
    "the a An der DES el la của là ال الكتاب بيت उत्तर । 北京 大 2008 ２００８ ， « – - 's U.S. é İ ß $ € ^"
)
MLQA_PIECES = st.sampled_from([*WORDS.split(), "e\u0301", "\u200f", " ", "\u3000", "\t"])
ANSWERS = st.lists(MLQA_PIECES | st.text(max_size=3), max_size=7).map("".join)


def word_character(character):
    return character.isalnum() or character == "_"


def slow_mlqa(text, language):
    """Every rule on its own, character by character."""
    kept = [c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P"]
    text = "".join(kept)
    if language == "ar":
        text = text.replace("ال", " ")
    for article in ARTICLES.get(language, "").split():
        at = 0
        while (at := text.find(article, at)) >= 0:
            before = at == 0 or not word_character(text[at - 1])
            after = at + len(article) == len(text) or not word_character(text[at + len(article)])
            if before and after:
                text = text[:at] + " " + text[at + len(article) :]
            at += 1
    if language == "zh":
        text = "".join(f" {c} " if "\u4e00" <= c <= "\u9fa5" else c for c in text)
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("ar", "الكتاب البيت", "كتاب بيت"),
        ("zh", "北京 2008，abc", "北 京 2008abc"),
        ("de", "Das Haus des Mannes", "haus mannes"),
        ("es", "El perro y la casa", "perro y casa"),
        ("vi", "của người", "người"),
        ("en", "«Москва» – the город", "москва город"),
        ("hi", "उत्तर।", "उत्तर"),
    ],
)
def test_worked_examples(language, text, expected):
    assert normalize_mlqa(text, language) == expected
    assert slow_mlqa(text, language) == expected


def no_marks(text):
    """Whether `\\b` and the slow test of a word's edge mean the same: no marks, no odd digits."""
    return all(word_character(c) or unicodedata.category(c)[0] not in "MN" for c in text.lower())


@given(ANSWERS, st.sampled_from(LANGUAGES))
@example("the-a", "en")
@example("a_the a", "en")
def test_normal_form_equals_the_rules(text, language):
    if no_marks(text):
        assert normalize_mlqa(text, language) == slow_mlqa(text, language)


def slow_mlqa_f1(gold, prediction, language):
    expected, found = (slow_mlqa(text, language).split() for text in (gold, prediction))
    common = sum(min(expected.count(token), found.count(token)) for token in Counter(expected))
    if not common:
        return Fraction(0)
    precision, recall = Fraction(common, len(found)), Fraction(common, len(expected))
    return 2 * precision * recall / (precision + recall)


@given(st.lists(st.tuples(st.lists(ANSWERS, min_size=1, max_size=3), ANSWERS), min_size=1, max_size=5),
       st.sampled_from(LANGUAGES))  # fmt: skip
@example([(["", "the"], "")], "en")
def test_score_equals_the_rules(rows, language):
    rows = [(golds, found) for golds, found in rows if all(map(no_marks, [*golds, found]))]
    if not rows:
        return
    values = SCORES["mlqa"].compute([golds for golds, _ in rows], [found for _, found in rows], language)
    f1s = [max(slow_mlqa_f1(gold, found, language) for gold in golds) for golds, found in rows]
    exact = [
        any(slow_mlqa(gold, language) == slow_mlqa(found, language) for gold in golds)
        for golds, found in rows
    ]
    assert values["f1"] == pytest.approx(float(100 * sum(f1s) / len(rows)), abs=1e-10)
    assert values["exact_match"] == pytest.approx(100 * sum(exact) / len(rows), abs=1e-10)
    assert values["score"] == pytest.approx((values["f1"] + values["exact_match"]) / 2, abs=1e-10)


def test_chinese_counts_characters_and_spanish_does_not():
    chinese, spanish = (partial(normalize_mlqa, language=language) for language in ("zh", "es"))
    assert f1("北京大学", "北京", normalize=chinese) == pytest.approx(2 / 3)
    assert f1("北京大学", "北京", normalize=spanish) == 0
    assert exact_match("", "El.", spanish) == 1


def test_a_pair_of_languages_counts_by_its_context():
    score = SCORES["mlqa"]
    assert score.compute([["das Haus"]], ["Haus"], "de-es")["exact_match"] == 100
    assert score.compute([["das Haus"]], ["Haus"], "es-de")["exact_match"] == 0


def test_other_languages_have_no_rules():
    assert MLQA_ARTICLES.names() == sorted(LANGUAGES)
    with pytest.raises(UnknownNameError, match='unknown language of the MLQA score "fr"'):
        SCORES["mlqa"].compute([["a"]], ["a"], "fr")


def slow_normal(text):
    text = "".join(char for char in text.lower() if char not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def slow_exact(gold, given):
    return int(slow_normal(gold) == slow_normal(given))


def slow_squad2_f1(gold, given):
    expected, found = slow_normal(gold).split(), slow_normal(given).split()
    if not expected or not found:
        return int(expected == found)
    same = sum((Counter(expected) & Counter(found)).values())
    if same == 0:
        return 0
    precision, recall = same / len(found), same / len(expected)
    return 2 * precision * recall / (precision + recall)


def slow_raw(golds, texts):
    exact, f1 = [], []
    for answers, text in zip(golds, texts, strict=True):
        kept = [answer for answer in answers if slow_normal(answer)] or [""]
        exact.append(max(slow_exact(answer, text) for answer in kept))
        f1.append(max(slow_squad2_f1(answer, text) for answer in kept))
    return exact, f1


def slow_has(golds):
    return [any(slow_normal(answer) for answer in answers) for answers in golds]


def slow_best(golds, texts, odds):
    """Try every threshold: those of the predictions, and one below all of them."""
    _, f1 = slow_raw(golds, texts)
    has = slow_has(golds)

    def total(threshold):
        return sum(
            (f1[row] if odds[row] <= threshold else 0)
            if has[row]
            else float(odds[row] > threshold or not texts[row])
            for row in range(len(golds))
        )

    return 100 * max(total(threshold) for threshold in [-math.inf, *odds]) / len(golds)


SQUAD2_TEXT = st.sampled_from(
    ["", "the", "1906", "Black cats", "two black cats.", "北京，2008年", "«Москва»", "U.S.", "a b"]
)
ITEM = st.tuples(
    st.lists(SQUAD2_TEXT, min_size=1, max_size=3),
    SQUAD2_TEXT,
    st.integers(-6, 6).map(lambda number: number / 2),
)


@given(st.lists(ITEM, min_size=1, max_size=20))
def test_scores_equal_the_slow_ones(items):
    golds = [answers for answers, _, _ in items]
    predictions = [{"text": text, "no_answer": odds} for _, text, odds in items]
    final = ["" if odds > 0 else text for _, text, odds in items]
    exact, f1 = slow_raw(golds, final)
    has = slow_has(golds)
    found = SCORES["squad2"].compute(golds, predictions)
    assert found["f1"] == pytest.approx(100 * sum(f1) / len(f1))
    assert found["exact_match"] == pytest.approx(100 * sum(exact) / len(exact))
    answerable = [row for row, value in enumerate(has) if value]
    others = [row for row, value in enumerate(has) if not value]
    for part, rows, values in (
        ("has_answer_f1", answerable, f1),
        ("has_answer_exact_match", answerable, exact),
        ("no_answer_accuracy", others, f1),
    ):
        expected = 100 * sum(values[row] for row in rows) / len(rows) if rows else 0
        assert found[part] == pytest.approx(expected)


@given(st.lists(ITEM, min_size=1, max_size=12, unique_by=lambda item: item[2]))
def test_best_threshold_is_the_best_of_all(items):
    golds = [answers for answers, _, _ in items]
    predictions = [{"text": text, "no_answer": odds} for _, text, odds in items]
    best = best_no_answer_threshold(golds, predictions)
    assert best.f1 == pytest.approx(
        slow_best(golds, [item[1] for item in items], [item[2] for item in items])
    )


def test_the_best_threshold_reaches_its_score():
    golds = [["1906"], [""], ["Anna"], [""]]
    odds = [1.0, 3.0, 2.0, 4.0]
    predictions = [
        {"text": text, "no_answer": value}
        for text, value in zip(["1906", "x", "Anna", "y"], odds, strict=True)
    ]
    assert SCORES["squad2"].compute(golds, predictions)["f1"] == 50
    best = best_no_answer_threshold(golds, predictions)
    assert best == (2.0, 100.0)
    moved = [shifted(prediction, best.value) for prediction in predictions]
    assert SCORES["squad2"].compute(golds, moved)["f1"] == 100
    assert SCORES["squad2_best"].compute(golds, predictions)["f1"] == 100


@pytest.mark.parametrize("odds", [-3.0, 0.0, 2.0])
def test_where_answering_nothing_is_best_nothing_is_answered(odds):
    predictions = [{"text": "oil", "no_answer": odds}]
    best = best_no_answer_threshold([[""]], predictions)
    assert best.f1 == 100
    assert answered(shifted(predictions[0], best.value)) == ""
    assert SCORES["squad2_best"].compute([[""]], predictions)["f1"] == 100


def test_plain_texts_are_predictions_too():
    assert squad2_statistics([[""], ["cat"]], ["", "the cat"]).sum(axis=0).tolist() == [2, 2, 2, 1, 1, 1]
    assert answered(None) == ""
    with pytest.raises(AdaptransError, match="1 predictions for 2 examples"):
        squad2_statistics([[""], [""]], [""])


def test_a_gold_of_articles_alone_is_no_answer():
    assert SCORES["squad2"].compute([["the"]], [""])["no_answer_accuracy"] == 100
