"""MLQA's score against the worked examples of its rules and a slow implementation of them."""

import string
import unicodedata
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adaptrans.errors import UnknownNameError
from adaptrans.evaluation.metrics import SCORES
from adaptrans.evaluation.metrics.mlqa import RULES, exact_match, f1, normalize_mlqa

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
PIECES = st.sampled_from([*WORDS.split(), "e\u0301", "\u200f", " ", "\u3000", "\t"])
ANSWERS = st.lists(PIECES | st.text(max_size=3), max_size=7).map("".join)


def word_character(character):
    return character.isalnum() or character == "_"


def slow_normalize(text, language):
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
    assert slow_normalize(text, language) == expected


def no_marks(text):
    """Whether `\\b` and the slow test of a word's edge mean the same: no marks, no odd digits."""
    return all(word_character(c) or unicodedata.category(c)[0] not in "MN" for c in text.lower())


@given(ANSWERS, st.sampled_from(LANGUAGES))
@example("the-a", "en")
@example("a_the a", "en")
def test_normal_form_equals_the_rules(text, language):
    if no_marks(text):
        assert normalize_mlqa(text, language) == slow_normalize(text, language)


def slow_f1(gold, prediction, language):
    expected, found = (slow_normalize(text, language).split() for text in (gold, prediction))
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
    f1s = [max(slow_f1(gold, found, language) for gold in golds) for golds, found in rows]
    exact = [
        any(slow_normalize(gold, language) == slow_normalize(found, language) for gold in golds)
        for golds, found in rows
    ]
    assert values["f1"] == pytest.approx(float(100 * sum(f1s) / len(rows)), abs=1e-10)
    assert values["exact_match"] == pytest.approx(100 * sum(exact) / len(rows), abs=1e-10)
    assert values["score"] == pytest.approx((values["f1"] + values["exact_match"]) / 2, abs=1e-10)


def test_chinese_counts_characters_and_spanish_does_not():
    assert f1("北京大学", "北京", "zh") == pytest.approx(2 / 3)
    assert f1("北京大学", "北京", "es") == 0
    assert exact_match("", "El.", "es") == 1


def test_a_pair_of_languages_counts_by_its_context():
    score = SCORES["mlqa"]
    assert score.compute([["das Haus"]], ["Haus"], "de-es")["exact_match"] == 100
    assert score.compute([["das Haus"]], ["Haus"], "es-de")["exact_match"] == 0


def test_other_languages_have_no_rules():
    assert RULES.names() == sorted(LANGUAGES)
    with pytest.raises(UnknownNameError, match='unknown language of the MLQA score "fr"'):
        SCORES["mlqa"].compute([["a"]], ["a"], "fr")
