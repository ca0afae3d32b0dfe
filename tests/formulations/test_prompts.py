"""All prompts that ship are complete, and a broken file is named with its line."""

import pytest

from adaptrans.errors import ConfigError, SetupError, UnknownNameError
from adaptrans.formulations.lookup import FORMULATIONS
from adaptrans.formulations.prompts import HERE, MARKS, book_kind, odd_words, read_book, slots
from adaptrans.formulations.written import Written
from adaptrans.tasks import catalogue

SHIPPED = sorted(HERE.glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_is_whole(path):
    kind = FORMULATIONS[book_kind(path)[0]]
    book = read_book(path, {*kind.MUST, *kind.FIELDS}, kind.MUST)
    assert odd_words(book) == []
    assert book.source
    assert book.license
    for name in book.tasks:
        task = catalogue.get(name)
        assert task.put(book.kind).type.book == book
        if task.labels:
            assert set(book.of("en").words) == set(task.labels)


@pytest.mark.parametrize(("name", "number"), [("xnli", 15), ("pawsx", 7), ("xcopa", 11)])
def test_every_language_of_a_target_has_a_prompt(name, number):
    task = catalogue.get(name)
    book = task.put("cloze:own").type.book
    assert len(set(task.languages) & set(book.languages)) == number == len(task.languages)
    for prompt in book.languages.values():
        assert [field for field, _ in slots(prompt.template)].count("mask") == 1
        assert not any(word != word.strip() or word[-1] in MARKS for word in prompt.words.values())


BOOK = """kind: cloze
title: mine
tasks: [xnli]
source: mine
license: mine
languages:
  en:
    template: "{text} {mask} {pair}"
    words: {entailment: "Yes", neutral: "Maybe", contradiction: "No"}
    words_by: ours
  de:
    template: "{text} {mask} {pair}"
    words: {entailment: "Ja", neutral: "Vielleicht", contradiction: "Nein"}
    words_by: ours
"""


GERMAN = '"{text} {mask} {pair}"\n    words: {entailment: "Ja"'


def write(folder, content):
    path = folder / "formulations" / "mine.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_a_file_of_ones_own_is_a_formulation(tmp_path):
    write(tmp_path, BOOK)
    found = catalogue.get("xnli", [tmp_path]).put("mine:de", [tmp_path])
    assert str(found.type) == "mine:de"
    assert found.type.book.title == "mine"
    # And it wins over ours of its kind.
    assert catalogue.get("xnli").put("cloze", [tmp_path]).type.book.title == "mine"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (GERMAN, GERMAN.replace("{mask} ", ""), 12, "{mask} stands in it 0 times"),
        ('neutral: "Vielleicht", ', "", 13, 'there is none for "neutral"'),
        ('"Vielleicht"', '"Ja"', 13, "have the same one, Ja"),
        ('"Vielleicht"', '" "', 13, 'for "neutral" is empty'),
        ("    words_by: ours\n  de", "    words_by: guess\n  de", 10, "words_by"),
        (GERMAN, GERMAN.replace("{text}", "{txt}"), 12, "no field {txt}"),
        ("title: mine", "titel: mine", 2, "titel"),
        ("  en:", "  fr:", 6, "no prompt in English"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, old, new, line, said):
    assert old in BOOK
    path = write(tmp_path, BOOK.replace(old, new))
    with pytest.raises(ConfigError) as error:
        catalogue.get("xnli").put("mine", [tmp_path])
    assert f"{path}:{line}: " in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("task", "text", "kind", "said"),
    [
        ("xnli", "clozze:en", UnknownNameError, "cloze"),
        ("xnli", "cloze:xx", UnknownNameError, "xx"),
        ("xnli", "cloze:en/untrianed", UnknownNameError, "untrained"),
        ("xnli", "cloze:", ConfigError, "is no formulation"),
        ("udpos", "cloze:en", SetupError, "no prompts for udpos"),
        ("xnli", "head/untrained", ConfigError, "has no prompt"),
    ],
)
def test_what_is_no_formulation_is_told_so(task, text, kind, said):
    if text == "cloze:":
        assert str(Written.parse(text)) == "cloze:en"
        return
    with pytest.raises(kind, match=said):
        catalogue.get(task).put(text)


def test_a_slip_of_a_translation_is_seen(tmp_path):
    path = write(tmp_path, BOOK.replace('"Ja"', '"Nαί"'))
    book = read_book(path, ("text", "mask", "pair"), ("mask",))
    assert odd_words(book) == ["de: the word Nαί for entailment mixes GREEK and LATIN letters"]
