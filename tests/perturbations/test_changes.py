"""What each perturbation does to an example, in several scripts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrans.errors import ConfigError, UnknownNameError
from adaptrans.perturbations.base import PERTURBATIONS, perturbation_of
from adaptrans.perturbations.units import letters, script, words
from adaptrans.task_types.base import TASK_TYPES
from adaptrans.task_types.classification import ClassificationExample
from adaptrans.task_types.multiple_choice import MultipleChoiceExample
from adaptrans.task_types.span_qa import SpanQAExample

PAIR = ClassificationExample("1", "The man was in the house.", "Someone is at home.", "entailment")
TEXT = ClassificationExample("2", "One single text here.", None, "neutral")
CHOICE = MultipleChoiceExample("3", "The glass fell.", ("It broke.", "It sang.", "It grew."), 0)
QUESTION = SpanQAExample("4", "Where is it?", "It is in Rome.", ())
LONG = {
    "en": "the quick brown fox jumps over the lazy dog near the old river bank " * 4,
    "ru": "быстрая коричневая лиса прыгает через ленивую собаку у старой реки " * 4,
    "hi": "तेज भूरी लोमड़ी आलसी कुत्ते के ऊपर से पुरानी नदी के पास कूदती है " * 4,
    "zh": "敏捷的棕色狐狸在古老的河岸边跳过了懒狗" * 4,
    "th": "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจใกล้ริมฝั่งแม่น้ำ" * 4,
    "ar": "الثعلب البني السريع يقفز فوق الكلب الكسول بالقرب من ضفة النهر " * 4,
}


def changed(name, example, kind="classification"):
    return perturbation_of(name, kind).change(example)


def test_parts_are_taken_away():
    found = changed("empty_premise", PAIR)
    assert (found.text, found.pair, found.label) == ("", PAIR.pair, PAIR.label)
    found = changed("choices_only", CHOICE, "multiple_choice")
    assert (found.prompt, found.choices, found.label) == ("", CHOICE.choices, 0)
    found = changed("empty_question", QUESTION, "span_qa")
    assert (found.question, found.context) == ("", QUESTION.context)
    # A single text is no premise.
    assert changed("empty_premise", TEXT) == TEXT


@given(st.integers(2, 6), st.text(min_size=1, max_size=8))
def test_another_order_keeps_the_right_choice(number, id):
    choices = tuple(f"choice {place}" for place in range(number))
    for label in (None, number - 1):
        example = MultipleChoiceExample(id, "p", choices, label)
        found = changed("choice_order", example, "multiple_choice")
        assert found.choices != choices
        assert sorted(found.choices) == sorted(choices)
        assert found.label is None if label is None else found.choices[found.label] == choices[label]


@pytest.mark.parametrize("language", LONG)
@pytest.mark.parametrize("share", [5, 10, 50])
def test_typos_touch_the_share_of_words_in_every_script(language, share):
    text = LONG[language]
    examples = [ClassificationExample(str(place), text, None, None) for place in range(40)]
    found = [changed(f"typos:{share}", example) for example in examples]
    assert len({example.text for example in found}) > 30
    scripts = {script(letter) for letter in text if letter.isalpha()}
    wanted, differ = len(words(text)) * share / 100, 0
    for example in found:
        assert {script(letter) for letter in example.text if letter.isalpha()} <= scripts
        # A slip changes the length by one letter at most.
        assert abs(len(letters(example.text)) - len(letters(text))) <= wanted + 1
        if language in ("en", "ru", "hi", "ar"):
            own = example.text.split()
            assert len(own) == len(text.split())
            differ += sum(a != b for a, b in zip(own, text.split(), strict=True))
    if differ:
        assert differ / len(found) == pytest.approx(wanted, rel=0.15)


def test_a_letter_keeps_its_marks():
    text = LONG["hi"]
    for place in range(30):
        found = changed("typos:50", ClassificationExample(str(place), text, None, None)).text
        known = set(letters(text))
        # Joined anew, marks of neighbors may meet; no letter has lost its own.
        assert all(letter in known or letter[0] in text for letter in letters(found))


@pytest.mark.parametrize("language", LONG)
def test_words_are_left_out_but_never_all(language):
    text = LONG[language]
    found = changed("drop_words:20", ClassificationExample("1", text, None, None)).text
    assert len(words(found)) < len(words(text))
    assert 0.6 * len(text) < len(found) < len(text)
    assert changed("drop_words:100", ClassificationExample("1", "word", None, None)).text == "word"
    assert changed("drop_words", ClassificationExample("1", "", None, None)).text == ""


@pytest.mark.parametrize("name", ["typos", "drop_words"])
def test_the_same_item_is_changed_alike_and_others_otherwise(name):
    example = ClassificationExample("7", LONG["en"], LONG["en"], None)
    assert changed(name, example) == changed(name, example)
    found = changed(name, example)
    assert found.text != found.pair
    assert changed(name, ClassificationExample("8", LONG["en"], LONG["en"], None)) != found
    assert perturbation_of(name, "classification", seed=1).change(example) != found


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_can_be_changed(first, second):
    for name in PERTURBATIONS.names():
        if PERTURBATIONS[name].changes("classification"):
            found = changed(name, ClassificationExample("1", first, second, "neutral"))
            assert (found.id, found.label) == ("1", "neutral")


def test_what_cannot_be_is_one_line():
    with pytest.raises(UnknownNameError, match="typo"):
        perturbation_of("typo", "classification")
    for text, kind, said in [
        ("typos:0", "classification", "not a percentage"),
        ("typos:x", "classification", "not a percentage"),
        ("choice_order:5", "multiple_choice", "takes no share"),
        ("choice_order", "classification", "changes a choice, which classification does not have"),
        ("typos", "tagging", "changes a text, which tagging does not have"),
    ]:
        with pytest.raises(ConfigError, match=said):
            perturbation_of(text, kind)


def test_every_perturbation_says_what_it_does():
    for name in PERTURBATIONS.names():
        cls = PERTURBATIONS[name]
        assert name == cls.NAME
        assert cls.TITLE
        assert any(cls.changes(kind) for kind in TASK_TYPES.names())
        assert cls().inputs["name"].startswith(name)
